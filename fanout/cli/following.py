"""What the commands that start a run do with it then: local workers, the bar, leaving it to itself."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fanout.cli import exits, say
from fanout.cli.connection import Connection
from fanout.errors import UsageError
from fanout.models import RunResult

if TYPE_CHECKING:
    from fanout.runs.run import Run

Processes = Annotated[
    int | None,
    typer.Option(min=1, max=256, help="With --local: worker processes; default: one a core, up to 4."),
]


def check_local(
    connection: Connection, module: str, named: str, *, processes: int | None, detach: bool
) -> None:
    """Check that what goes with `--local`, and what does not, is said accordingly.

    Args:
        connection: Says whether it is there.
        module: What its workers import; empty where nothing says it.
        named: What would say it.
        processes: How many of them.
        detach: Whether the command is to leave at once.

    Raises:
        UsageError: It is not.
    """
    if not connection.local:
        if processes is not None:
            raise UsageError("--processes goes with --local; elsewhere `fanout worker --processes` says it")
    elif not module:
        raise UsageError(f"--local needs {named}, so that its workers know what to import")
    elif detach:
        raise UsageError("--detach does not go with --local: its workers end with this command")


def default_processes() -> int:
    """Return how many worker processes `--local` starts where nobody says."""
    from fanout.cli import local

    return local.default_processes()


@contextlib.asynccontextmanager
async def workers(
    place: Connection, modules: Sequence[str], processes: int, *, task_queue: str | None, roots: Sequence[str]
) -> AsyncIterator[asyncio.Task[None]]:
    """Run worker processes for `--local` as long as the block lasts; see `fanout.cli.local`."""
    from fanout.cli import local

    async with local.workers(
        place, modules, processes=processes, task_queue=task_queue, roots=roots, store=None
    ) as watching:
        yield watching


async def leave(started: Run, module: str, as_json: bool) -> int:
    """Print the id of a run that was started, and how to come back."""
    from fanout.observability.bar import no_worker

    info = await started.info()
    if as_json:
        say.data(
            {"id": started.id, "execution": info.execution, "output": info.output, "web": started.web_url}
        )
    else:
        sys.stdout.write(f"{started.id}\n")
    if not await started.pollers():
        say.note(no_worker(info.task_queue, module or "MODULE"), style="yellow")
    say.note(f"watch it with: fanout watch {started.id}")
    return exits.SUCCEEDED


async def shown(started: Run, module: str, serving: asyncio.Task[None] | None) -> RunResult:
    """Show the bar until the run ends, or until its local workers turn out not to start."""
    from fanout.observability.bar import show

    showing = asyncio.ensure_future(
        show(started, console=say.console(stderr=True), modules=module or "MODULE")
    )
    both: set[asyncio.Future[Any]] = {showing}
    if serving is not None:
        both.add(serving)
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if serving is not None and serving.done() and not showing.done():
            serving.result()
        return await showing
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)


@contextlib.contextmanager
def detaching(started: Run, connection: Connection, module: str, attach: str = "") -> Iterator[None]:
    """Say how to come back when Ctrl-C ends this command but not the run; `attach` does so with `--local`."""
    try:
        yield
    except asyncio.CancelledError:
        say.note()
        if connection.local:
            say.note(f"stopping the local workers and the dev server; run {started.id} is kept in .fanout/")
            if attach:
                say.note(f"go on with: {attach}")
            either = "or with" if attach else "go on with"
            say.note(f"{either} `fanout dev` in one terminal and `fanout worker {module}` in another")
        else:
            say.note(f"detached: run {started.id} goes on. Come back with: fanout watch {started.id}")
        raise
