"""`fanout try`: one item of a run again, in this process."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from fanout.cli import exits, say, targets
from fanout.cli.connection import Connection
from fanout.cli.flags import command
from fanout.cli.inspect import AsJson, RunId
from fanout.cli.output import Index, Key, check_which, show
from fanout.errors import UsageError
from fanout.models import Failure

if TYPE_CHECKING:
    from fanout.runs.run import Run
    from fanout.tryout import Outcome


@command
async def try_(
    connection: Connection,
    module: Annotated[
        str,
        typer.Argument(
            metavar="MODULE[:NAME]", help="Where the processor is; without NAME the one that the run names."
        ),
    ],
    run: RunId,
    index: Index = None,
    key: Key = None,
    pdb: Annotated[bool, typer.Option("--pdb", help="Enter the debugger where the item fails.")] = False,
    as_json: AsJson = False,
) -> int:
    """Run one item of a run again, in this process; nothing is written to the run.

    The item is read again from the run's source, with this machine's access to it, and the processor is called once,
    with the run's parameters and timeout. Exit code 1 when the item fails.
    """
    check_which(index, key)
    from fanout import client as api

    async with connection.client() as client:
        outcome = await _tried(api.get_run(client, run), module, index, key, quiet=as_json)
    show(outcome.row, as_json=as_json, counters=outcome.counters)
    if not isinstance(outcome.row, Failure):
        return exits.SUCCEEDED
    if pdb:
        _debug(outcome)
    return exits.ERROR


async def _tried(handle: Run, module: str, index: int | None, key: str | None, *, quiet: bool) -> Outcome:
    from fanout.tryout import find_record, try_item

    if index is None:
        index = await _index_of(handle, key)
    record = await find_record(await handle.readable(), index)
    target = module if ":" in module else f"{module}:{record.processor}"
    processor = targets.load_processor(target)
    if isinstance(processor, str):
        raise UsageError(f"say where the processor is: MODULE:NAME, not {module!r}")
    if processor.version != record.version:
        say.note(
            f"the run was planned with version {record.version} of {record.processor!r}; "
            f"this is version {processor.version} of {processor.name!r}",
            style="yellow",
        )
    began = time.monotonic()
    # What the processor prints must not stand between the JSON.
    with contextlib.redirect_stdout(sys.stderr) if quiet else contextlib.nullcontext():
        outcome = await try_item(processor, record, index, handle.client)
    say.note(
        f"item {index} of run {handle.id}, tried here in {time.monotonic() - began:.2f} s; the run is as it was"
    )
    await _say_if_changed(handle, outcome.row)
    return outcome


async def _index_of(handle: Run, key: str | None) -> int:
    found = await handle.item(key=key)
    if found is None:
        raise UsageError(
            f"run {handle.id!r} has no outcome of an item with key {key!r}: say its INDEX where it was not run yet"
        )
    return found.index


async def _say_if_changed(handle: Run, row: object) -> None:
    before = await handle.item(row.index) if isinstance(row, Failure) else None
    if isinstance(row, Failure) and isinstance(before, Failure) and before.input != row.input:
        say.note("the source has changed since: the run recorded another input for this item", style="yellow")


def _debug(outcome: Outcome) -> None:
    import pdb  # noqa: T100 - what --pdb is for

    if outcome.raised is None:
        say.note("no frame to debug: the processor has raised nothing; see the error")
        return
    pdb.post_mortem(outcome.raised.__traceback__)
