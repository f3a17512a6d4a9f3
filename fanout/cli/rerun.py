"""`fanout rerun`: run again what failed, and what was not run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fanout.cli import say, sources, targets
from fanout.cli.connection import Connection
from fanout.cli.flags import command
from fanout.cli.following import Processes, check_local, default_processes, detaching, leave, shown, workers
from fanout.cli.inspect import AsJson, RunId
from fanout.cli.outcome import settle
from fanout.cli.settings import Settings
from fanout.errors import UsageError

if TYPE_CHECKING:
    from fanout.runs.run import Run


@command
async def rerun(
    connection: Connection,
    settings: Settings,
    run: RunId,
    failed: Annotated[bool, typer.Option("--failed", help="What failed; alone, only that.")] = False,
    not_run: Annotated[bool, typer.Option("--not-run", help="What was not run; alone, only that.")] = False,
    error_type: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Of what failed, only items with this error type.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(help="Of what failed, only this group of `fanout failures RUN --by-type`."),
    ] = None,
    keys_from: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Of what failed, only the keys in this file, one a line, or rows of `fanout failures`; - for stdin.",
        ),
    ] = None,
    processor: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:NAME", help="Another processor than the run's own; needed with --local."
        ),
    ] = None,
    task_queue: Annotated[str | None, typer.Option(help="Queue; default: that of the run.")] = None,
    processes: Processes = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start it, print the id, and leave.")] = False,
    as_json: AsJson = False,
) -> int:
    """Run again what failed, and what was not run; and watch it.

    The run must have ended. The rerun has the same id, source, parameters and options; results and failures of both
    read as one: the newest outcome of each item counts. May be repeated. Ctrl-C detaches, as with `fanout run`.
    """
    module = (processor or "").rpartition(":")[0]
    check_local(connection, module, "--processor MODULE:NAME", processes=processes, detach=detach)
    keys = None if keys_from is None else read_keys(keys_from)
    found = None if processor is None else targets.load_processor(processor)

    from fanout import client as api

    async with connection.located() as place, contextlib.AsyncExitStack() as stack:
        serving: asyncio.Task[None] | None = None
        client = await place.connect()
        # Only flags that are there say something.
        started = await api.get_run(client, run).rerun(
            failed=failed or None,
            not_run=not_run or None,
            error_type=error_type,
            group=group,
            keys=keys,
            processor=found,
            task_queue=task_queue,
            **settings.given,
        )
        if connection.local:
            count = processes or default_processes()
            serving = await stack.enter_async_context(
                workers(place, [module], count, task_queue=task_queue, roots=[])
            )
        await _say_what(started)
        if detach:
            return await leave(started, module, as_json)
        flags = " --local" if connection.local else ""
        with detaching(started, connection, module):
            return await settle(shown(started, module, serving), as_json=as_json, flags=flags)


def read_keys(name: str) -> list[str]:
    """Return the keys in a file: one a line, or the keys of rows that `fanout failures` has written.

    Raises:
        UsageError: The file cannot be read, or holds no key.
    """
    try:
        text = sys.stdin.read() if name == sources.STDIN else Path(name).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"cannot read the keys in {name}: {reason}") from None
    keys = [_key_of(line) for line in text.splitlines() if line.strip()]
    if not keys:
        raise UsageError(f"there are no keys in {'stdin' if name == sources.STDIN else name}")
    return keys


def _key_of(line: str) -> str:
    if line.startswith("{"):
        with contextlib.suppress(ValueError):
            row = json.loads(line)
            if isinstance(row.get("key"), str):
                return str(row["key"])
    return line


async def _say_what(started: Run) -> None:
    from fanout.storage.roots import display

    info = await started.info()
    server = started.client.service_client.config.target_host
    say.note(
        f"run {started.id}: {info.processor} again, over {info.rerun}, at {server}, "
        f"namespace {started.client.namespace}, queue {info.task_queue}"
    )
    say.note(f"output: {display(info.output)}; read together with what was there before")
