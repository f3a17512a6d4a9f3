"""`fanout run`: start a run and watch it, or join one."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fanout.cli import exits, say, sources, targets
from fanout.cli.connection import Connection
from fanout.cli.flags import command
from fanout.cli.outcome import settle
from fanout.cli.settings import Settings
from fanout.cli.sourceflags import Params, ProcessorName, SourceFlags, SourceName
from fanout.counting import parse_condition
from fanout.errors import RunExists, SourceError, UsageError
from fanout.models import RunResult

if TYPE_CHECKING:
    from fanout.run import Run

Processes = Annotated[
    int | None,
    typer.Option(min=1, max=256, help="With --local: worker processes; default: one a core, up to 4."),
]


@command
async def run(
    connection: Connection,
    settings: Settings,
    reading: SourceFlags,
    processor: ProcessorName,
    source: SourceName,
    id: Annotated[
        str | None, typer.Option(help="Id of the run; default: made of the processor and the time.")
    ] = None,
    param: Params = None,
    task_queue: Annotated[
        str | None, typer.Option(help="Queue; default: the processor's own, FANOUT_TASK_QUEUE, or fanout.")
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="URL or folder for the output; default FANOUT_STORE.")
    ] = None,
    if_exists: Annotated[
        Literal["fail", "attach", "new"],
        typer.Option(help="Where a run of that id exists: join it, or start anew."),
    ] = "fail",
    continue_: Annotated[
        bool, typer.Option("--continue", help="Run the items after those that the run of this id ended with.")
    ] = False,
    stop_when: Annotated[
        str | None,
        typer.Option(
            help="End the run early when a counter is above a value: 'usd > 200'.", metavar="CONDITION"
        ),
    ] = None,
    processes: Processes = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start the run, print its id, and leave.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")] = False,
) -> int:
    """Run a processor over the items of a source, and watch it.

    Ctrl-C detaches: the run goes on. With --local, a dev server and worker processes run as long as this command.
    Each option of the run is also read from FANOUT_MAX_CONCURRENCY and so on, which yields to the processor's own.
    """
    _check_flags(connection, processor, id, continue_, processes, detach)
    found = targets.load_processor(processor)
    items = reading.make(source)
    kind = reading.kind(source)
    check_file(source, kind)
    params = sources.parse_params(param or ())
    enough = None if stop_when is None else parse_condition(stop_when)
    module = processor.rpartition(":")[0]

    from fanout import client as api

    async with connection.located() as place, contextlib.AsyncExitStack() as stack:
        serving: asyncio.Task[None] | None = None
        client = await place.connect()
        try:
            started = await api.start(
                client,
                found,
                items,
                id=id,
                task_queue=task_queue,
                output=output,
                if_exists=if_exists,
                params=params,
                continue_run=continue_,
                stop_when=enough,
                **settings.given,
            )
        except RunExists:
            raise RunExists(_taken(id, if_exists)) from None
        if connection.local:
            count = processes or default_processes()
            roots = [root for root in (sources.source_folder(source, kind), output) if root]
            serving = await stack.enter_async_context(
                workers(place, [module], count, task_queue=task_queue, roots=roots)
            )
        await _say_where(started, processor, source, connection, processes)
        if detach:
            return await leave(started, module, as_json)
        ending = shown(started, module, serving)
        flags = " --local" if connection.local else ""
        more = _continuation(started.id) if reading.limit is not None else None
        attach = f"{_command(started.id, drop=('--continue',))} --if-exists attach"
        with detaching(started, connection, module, attach):
            return await settle(ending, as_json=as_json, flags=flags, more=more)


def _check_flags(
    connection: Connection,
    processor: str,
    id: str | None,
    continue_: bool,
    processes: int | None,
    detach: bool,
) -> None:
    if continue_ and id is None:
        raise UsageError("--continue needs --id: the id of the run to continue")
    if connection.local:
        if ":" not in processor:
            raise UsageError(
                f"--local needs MODULE:NAME, so that its workers know what to import; got {processor!r}"
            )
        if detach:
            raise UsageError("--detach does not go with --local: its workers end with this command")
    elif processes is not None:
        raise UsageError("--processes goes with --local; elsewhere `fanout worker --processes` says it")


def check_file(source: str, kind: str) -> None:
    """Refuse a local file that is not there before anything is started for it."""
    if kind == "range" or source == sources.STDIN or "://" in source or any(sign in source for sign in "*?["):
        return
    if not Path(source).exists():
        raise SourceError(f"there is no file {source!r} in {Path.cwd()}")


def _taken(id: str | None, if_exists: str) -> str:
    if if_exists == "new":
        return f"run {id!r} is still running: cancel it first (fanout cancel {id}), or say another --id"
    return (
        f"a run {id!r} exists: see `fanout status {id}`, say another --id, "
        "or --if-exists attach (to join it) or --if-exists new (to start over once it has ended)"
    )


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


async def _say_where(
    started: Run, processor: str, source: str, connection: Connection, processes: int | None
) -> None:
    from fanout.storage.roots import display

    info = await started.info()
    server = started.client.service_client.config.target_host
    say.note(
        f"run {started.id}: {processor} over {source}, at {server}, "
        f"namespace {started.client.namespace}, queue {info.task_queue}"
    )
    say.note(f"output: {display(info.output)}")
    if connection.local:
        count = processes or default_processes()
        many = "process" if count == 1 else "processes"
        say.note(
            f"local: a dev server and {count} worker {many} as long as this command; see .fanout/worker.log"
        )


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


def _continuation(run_id: str) -> str:
    return f"{_command(run_id, drop=('--limit', '--if-exists', '--continue'))} --continue"


def _command(run_id: str, drop: Sequence[str]) -> str:
    """Return the command that was typed, with the run's id and without some flags."""
    return shlex.join(["fanout", *without(sys.argv[1:], drop, run_id)])


def without(words: Sequence[str], drop: Sequence[str], run_id: str) -> list[str]:
    """Return the words of a command line without some flags (and their values), and with `--id`."""
    alone = {"--continue"}
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
            continue
        name = word.partition("=")[0]
        if name in drop:
            skip = "=" not in word and name not in alone
            continue
        kept.append(word)
    if not any(word == "--id" or word.startswith("--id=") for word in kept):
        kept += ["--id", run_id]
    return kept
