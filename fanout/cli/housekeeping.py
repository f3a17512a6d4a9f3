"""Making room: `delete`, `gc`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from fanout.cli import exits, say
from fanout.cli.chosen import NamedRuns, Yes, confirmed
from fanout.cli.connection import Connection
from fanout.cli.flags import command
from fanout.cli.inspect import AsJson, counted
from fanout.cli.sources import parse_duration
from fanout.errors import FanoutError, NoServer
from fanout.observability.drawing import size_of

if TYPE_CHECKING:
    from fanout.runs.housekeeping import OldOutput


@command
async def delete(
    connection: Connection,
    runs: NamedRuns,
    yes: Yes = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also where nobody knows whether the run has ended.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Delete ended runs: their outputs, and the histories of their workflows. Refuses a run that lives."""
    if not confirmed("delete", runs, yes=yes):
        return exits.ERROR
    from fanout.runs.housekeeping import delete_run

    code = exits.SUCCEEDED
    async with connection.client() as client:
        for run in dict.fromkeys(runs):
            try:
                deleted = await delete_run(client, run, force=force)
            except NoServer:
                raise
            except FanoutError as error:
                say.error(str(error))
                code = exits.ERROR
                continue
            if as_json:
                say.data(asdict(deleted))
            say.note(
                f"{run}: deleted {counted(len(deleted.outputs), 'output')} ({deleted.objects:,} objects, "
                f"{size_of(deleted.bytes)}) and {deleted.histories:,} histories of workflows"
            )
    return code


@command
async def gc(
    connection: Connection,
    older_than: Annotated[
        str, typer.Option(help="For how long runs must have ended: 90d, 12h.", metavar="DURATION")
    ],
    store: Annotated[
        str | None, typer.Option(help="URL or folder with the outputs; default FANOUT_STORE.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be deleted.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Delete the outputs of runs that ended long ago, and list them first. Runs that live are left alone."""
    from fanout.runs.housekeeping import old_outputs

    seconds = parse_duration(older_than)
    async with connection.client() as client:
        found = await old_outputs(client, seconds, store=store)
        _print(found, as_json)
        total = f"{counted(len(found), 'output')}, {size_of(sum(one.bytes for one in found))}"
        if dry_run or not found:
            say.note(f"{total}; nothing was deleted")
            return exits.SUCCEEDED
        if not confirmed("delete", [one.output for one in found], yes=yes, what=total):
            return exits.ERROR
        for one in found:
            await one.delete()
    say.note(f"deleted {total}")
    return exits.SUCCEEDED


def _print(found: list[OldOutput], as_json: bool) -> None:
    if as_json:
        for one in found:
            say.data({name: value for name, value in asdict(one).items() if name != "stored"})
        return
    if not found:
        return
    from fanout.storage.roots import display

    say.table(
        ["RUN", "ENDED", "ITEMS", "OBJECTS", "SIZE", "OUTPUT"],
        (
            [
                one.run_id,
                say.when(one.ended),
                "" if one.items is None else f"{one.items:,}",
                f"{one.objects:,}",
                size_of(one.bytes),
                display(one.output),
            ]
            for one in found
        ),
        right=["ITEMS", "OBJECTS", "SIZE"],
    )
