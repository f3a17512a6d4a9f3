"""`fanout plan`: know before running."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from fanout.cli import exits, say, sources, targets
from fanout.cli.connection import Connection
from fanout.cli.flags import command
from fanout.cli.inspect import AsJson
from fanout.cli.settings import Settings
from fanout.cli.sourceflags import Params, ProcessorName, SourceFlags, SourceName
from fanout.cli.sources import check_file
from fanout.observability.drawing import clock, size_of

if TYPE_CHECKING:
    from fanout.planning.runplan import RunPlan


@command
async def plan(
    connection: Connection,
    settings: Settings,
    reading: SourceFlags,
    processor: ProcessorName,
    source: SourceName,
    param: Params = None,
    item_seconds: Annotated[
        float | None, typer.Option(min=0, help="How long one item takes, in seconds.", metavar="SECONDS")
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(help="An earlier run that has ended: items take as long as there.", metavar="RUN"),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="Store with the output of that run; default FANOUT_STORE."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Say what a run will be, without starting anything: its tree, its cost, its duration, and what looks wrong.

    Takes the source and options of `fanout run`. Needs no server: what is said of the connection is not used.
    """
    found = targets.load_processor(processor)
    items = reading.make(source)
    check_file(source, reading.kind(source))
    from fanout.planning import look

    made = await look.plan(
        found,
        items,
        params=sources.parse_params(param or ()) if not isinstance(found, str) else None,
        item_seconds=item_seconds,
        like=like,
        output=output,
        **settings.given,
    )
    if as_json:
        say.data(asdict(made))
        return exits.SUCCEEDED
    _print(made)
    for note in made.notes:
        say.note(f"note: {note}")
    for warning in made.warnings:
        say.note(f"warning: {warning}", style="yellow")
    return exits.SUCCEEDED


def _print(made: RunPlan) -> None:
    say.table(
        ["LEVEL", "COUNT", "ITEMS EACH", "AT ONCE", "IN FLIGHT EACH"],
        (
            [
                level.kind,
                f"{level.count:,}",
                f"{level.items:,}",
                f"{level.live:,}",
                f"{level.in_flight:,}",
            ]
            for level in made.levels
        ),
        right=["COUNT", "ITEMS EACH", "AT ONCE", "IN FLIGHT EACH"],
    )
    say.pairs(
        [
            (
                "items",
                f"{'' if made.exact else 'about '}{made.items:,}, at most {made.in_flight:,} in flight",
            ),
            ("workflows", f"{made.workflows:,}{_continued(made.continued)}"),
            ("activities", f"{made.activities:,}, and {made.local_activities:,} local ones"),
            ("events", f"at most {made.events:,}, in the longest history {made.longest_history:,}"),
            ("actions", f"{made.actions:,} on Temporal Cloud, {_heartbeats(made.heartbeats)}"),
            ("bytes", _bytes(made)),
            ("takes", "unknown: say --item-seconds or --like" if made.seconds is None else _took(made)),
        ]
    )


def _continued(times: int) -> str:
    return f", which continue as new {times:,} times" if times else ""


def _heartbeats(count: int | None) -> str:
    return "without heartbeats" if count is None else f"of which {count:,} heartbeats"


def _bytes(made: RunPlan) -> str:
    source, staged, read = map(size_of, (made.source_bytes, made.staged_bytes, made.read_bytes))
    return f"{source} in the source, {staged} staged, {read} read by workers"


def _took(made: RunPlan) -> str:
    seconds = made.seconds or 0.0
    about = f"{seconds:.1f} s" if seconds < 60 else clock(seconds)
    return f"about {about}, at {made.item_seconds or 0:.3g} s an item"
