"""`fanout run`: start a run and watch it, or join one."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fanout.cli import say, sources, targets
from fanout.cli.connection import Connection
from fanout.cli.flags import command
from fanout.cli.following import Processes, check_local, default_processes, detaching, leave, shown, workers
from fanout.cli.outcome import settle
from fanout.cli.reducing import ReduceFlags
from fanout.cli.settings import Settings
from fanout.cli.sourceflags import Params, ProcessorName, SourceFlags, SourceName, StopWhen
from fanout.errors import RunExists, UsageError
from fanout.stopping import parse_condition

if TYPE_CHECKING:
    from fanout.runs.run import Run


@command
async def run(
    connection: Connection,
    settings: Settings,
    reading: SourceFlags,
    reducing: ReduceFlags,
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
    compensate: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The processor that undoes what succeeded, if the run fails or is canceled: its name, or MODULE:NAME.",
        ),
    ] = None,
    stop_when: StopWhen = None,
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
    sources.check_file(source, kind)
    params = sources.parse_params(param or ())
    undo = None if compensate is None else targets.load_processor(compensate)
    enough = None if stop_when is None else parse_condition(stop_when)
    reduction = reducing.make()
    module = processor.rpartition(":")[0]
    undoing = (compensate or "").rpartition(":")[0]
    modules = list(dict.fromkeys(name for name in (module, undoing) if name))

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
                compensate=undo,
                reduce=reduction,
                **settings.given,
            )
        except RunExists:
            raise RunExists(_taken(id, if_exists)) from None
        if connection.local:
            count = processes or default_processes()
            roots = [root for root in (sources.source_folder(source, kind), output) if root]
            serving = await stack.enter_async_context(
                workers(place, modules, count, task_queue=task_queue, roots=roots)
            )
        await _say_where(started, processor, source, connection, processes)
        if detach:
            return await leave(started, module, as_json)
        ending = shown(started, module, serving)
        flags = " --local" if connection.local else ""
        more = _continuation(started.id) if reading.limit is not None else None
        attach = f"{_command(started.id, drop=('--continue', '--if-exists'))} --if-exists attach"
        with detaching(started, connection, module, attach):
            code = await settle(ending, as_json=as_json, flags=flags, more=more)
            if connection.local and undo is not None:
                from fanout.cli.compensate import follow

                await follow(started, module, serving)
            return code


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
    module = processor.rpartition(":")[0]
    check_local(connection, module, "MODULE:NAME", processes=processes, detach=detach)


def _taken(id: str | None, if_exists: str) -> str:
    if if_exists == "new":
        return f"run {id!r} is still running: cancel it first (fanout cancel {id}), or say another --id"
    return (
        f"a run {id!r} exists: see `fanout status {id}`, say another --id, "
        "or --if-exists attach (to join it) or --if-exists new (to start over once it has ended)"
    )


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
