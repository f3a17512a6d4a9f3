"""`fanout compensate`: undo what succeeded in a run."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from fanout.cli import say, sources, targets
from fanout.cli.connection import Connection
from fanout.cli.flags import command
from fanout.cli.following import Processes, check_local, default_processes, detaching, leave, shown, workers
from fanout.cli.inspect import AsJson, RunId
from fanout.cli.outcome import settle
from fanout.cli.settings import Settings
from fanout.cli.sourceflags import Params

if TYPE_CHECKING:
    from fanout.runs.run import Run


@command
async def compensate(
    connection: Connection,
    settings: Settings,
    run: RunId,
    processor: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:NAME",
            help="What undoes an item; default: what the run was started with. Needed with --local.",
        ),
    ] = None,
    param: Params = None,
    task_queue: Annotated[str | None, typer.Option(help="Queue; default: that of the run.")] = None,
    processes: Processes = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start it, print its id, and leave.")] = False,
    as_json: AsJson = False,
) -> int:
    """Undo what succeeded in a run, once each; and watch it.

    The run must have ended. Its compensation is a run of its own, RUN.compensation, over the items that have a
    result: the processor gets each with the output that it had, in no certain order. Asked for again, it says how that
    stands; what is left of it then: fanout rerun RUN.compensation. Ctrl-C detaches, as with `fanout run`.
    """
    module = (processor or "").rpartition(":")[0]
    check_local(connection, module, "--processor MODULE:NAME", processes=processes, detach=detach)
    found = None if processor is None else targets.load_processor(processor)
    params = sources.parse_params(param or ())

    from fanout.runs.compensate import start_compensation
    from fanout.runs.run import Run as Handle

    async with connection.located() as place, contextlib.AsyncExitStack() as stack:
        serving: asyncio.Task[None] | None = None
        client = await place.connect()
        begun = await start_compensation(
            Handle(client, run), found, params=params, task_queue=task_queue, settings=settings.given
        )
        started = Handle(client, begun.run_id, execution=begun.execution)
        if connection.local:
            count = processes or default_processes()
            serving = await stack.enter_async_context(
                workers(place, [module], count, task_queue=task_queue, roots=[])
            )
        await _say_what(started, run, new=begun.execution is not None)
        if detach:
            return await leave(started, module, as_json)
        flags = " --local" if connection.local else ""
        with detaching(started, connection, module):
            return await settle(shown(started, module, serving), as_json=as_json, flags=flags)


async def follow(started: Run, module: str, serving: asyncio.Task[None] | None) -> None:
    """Watch what a run has started to undo itself, as long as its local workers are there; nothing where it did not."""
    compensation = await started.compensation()
    if compensation is not None:
        say.note(f"run {started.id} is undone by run {compensation.id}")
        await settle(shown(compensation, module, serving), as_json=False, flags=" --local")


async def _say_what(started: Run, run: str, *, new: bool) -> None:
    from fanout.storage.roots import display

    info = await started.info()
    if not new:
        say.note(f"run {run} has its compensation already: {started.id}, {info.status}", style="yellow")
        return
    server = started.client.service_client.config.target_host
    say.note(
        f"run {started.id}: {info.processor} over what succeeded in run {run}, at {server}, "
        f"namespace {started.client.namespace}, queue {info.task_queue}"
    )
    say.note(f"output: {display(info.output)}")
