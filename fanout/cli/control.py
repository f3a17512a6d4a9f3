"""Orders that a run goes on with, or ends in order by: `pause`, `resume`, `update`, `drain`; and what was ordered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fanout.cli import exits, say
from fanout.cli.chosen import Chosen, RunIds, choose, confirmed
from fanout.cli.connection import Connection
from fanout.cli.flags import FlagGroup, command
from fanout.cli.inspect import AsJson, RunId
from fanout.cli.sources import parse_duration
from fanout.errors import FanoutError
from fanout.observability.bar import no_worker

if TYPE_CHECKING:
    from fanout.models import RunEvent
    from fanout.runs.run import Run

Give = Callable[["Run"], Awaitable["RunEvent"]]


@dataclass(frozen=True)
class Ordering(FlagGroup):
    """Flags of all orders."""

    reason: Annotated[str, typer.Option(help="Why; `fanout events` shows it.")] = ""
    wait: Annotated[
        str, typer.Option(help="How long to wait until the run has taken the order.", metavar="DURATION")
    ] = "10s"
    as_json: AsJson = False

    @property
    def arguments(self) -> Any:
        """What the methods of a run take.

        Raises:
            UsageError: `wait` is no duration.
        """
        return {"reason": self.reason, "wait": parse_duration(self.wait)}


@command
async def pause(
    connection: Connection,
    chosen: Chosen,
    ordering: Ordering,
    runs: RunIds = None,
    now: Annotated[
        bool, typer.Option("--now", help="Cut off what is in flight as well; it runs again later.")
    ] = False,
    resume_after: Annotated[
        str | None, typer.Option(help="When the run goes on by itself.", metavar="DURATION")
    ] = None,
) -> int:
    """Pause runs: nothing new begins until they are resumed; batches that run end as usual.

    The server keeps the order: a run whose workers are away carries it out when they are back.
    """
    after = None if resume_after is None else parse_duration(resume_after)
    said = {"now": now, "resume_after": after, **ordering.arguments}
    return await _order(connection, chosen, ordering, runs, "pause", lambda run: run.pause(**said))


@command
async def resume(connection: Connection, chosen: Chosen, ordering: Ordering, runs: RunIds = None) -> int:
    """Let paused runs go on."""
    said = ordering.arguments
    return await _order(connection, chosen, ordering, runs, "resume", lambda run: run.resume(**said))


@command
async def update(
    connection: Connection,
    chosen: Chosen,
    ordering: Ordering,
    runs: RunIds = None,
    max_concurrency: Annotated[
        int | None, typer.Option(min=1, help="Items in flight over the whole run from now on.")
    ] = None,
    rate_limit: Annotated[
        str | None,
        typer.Option(help="Items that begin in a second or minute, such as 50/s; none lifts the limit."),
    ] = None,
    tolerated_failures: Annotated[
        str | None,
        typer.Option(help="Items that may fail before a run stops: a number, or a percentage such as 2.5%."),
    ] = None,
) -> int:
    """Change how many items of runs may be in flight, begin in some time, or fail, while they go on."""
    from fanout.runs.orders import changes

    wanted = {
        "max_concurrency": max_concurrency,
        "rate_limit": rate_limit,
        "tolerated_failures": tolerated_failures,
    }
    # What is wrong here is so for each of the runs.
    changes(**wanted)
    said = {**wanted, **ordering.arguments}
    return await _order(connection, chosen, ordering, runs, "update", lambda run: run.update(**said))


@command
async def drain(connection: Connection, chosen: Chosen, ordering: Ordering, runs: RunIds = None) -> int:
    """End runs in order: what is in flight ends, the rest is not run, what is done is published."""
    said = ordering.arguments
    return await _order(
        connection, chosen, ordering, runs, "drain", lambda run: run.drain(**said), always_ask=True
    )


@command
async def events(connection: Connection, run: RunId, as_json: AsJson = False) -> int:
    """Show who ordered what of a run, when and why, and what it did. Needs no worker."""
    from fanout import client as api

    async with connection.client() as client:
        found = await api.get_run(client, run).events()
    if as_json:
        for event in found:
            say.data(asdict(event))
        return exits.SUCCEEDED
    if not found:
        say.note("no orders")
        return exits.SUCCEEDED
    say.table(
        ["WHEN", "ORDER", "BY", "REASON", "EFFECT"],
        (
            [
                say.when(datetime.fromtimestamp(event.at, UTC)),
                event.kind,
                event.who,
                event.reason,
                _effect(event),
            ]
            for event in found
        ),
    )
    return exits.SUCCEEDED


async def _order(
    connection: Connection,
    chosen: Chosen,
    ordering: Ordering,
    ids: list[str] | None,
    order: str,
    give: Give,
    *,
    always_ask: bool = False,
) -> int:
    """Give an order to each run, tell what it did, and return the exit code: of the worst that has happened."""
    code = exits.SUCCEEDED
    async with connection.client() as client:
        runs = await choose(client, ids, chosen)
        if not confirmed(order, [run.id for run in runs], yes=chosen.yes or not (always_ask or chosen.all)):
            return exits.ERROR
        for run in runs:
            try:
                event = await give(run)
                if ordering.as_json:
                    say.data({"run": run.id, **asdict(event)})
                say.note(f"{run.id}: {_effect(event)}", style="yellow" if event.refused else "")
                if event.refused:
                    code = exits.ERROR
                elif not event.taken:
                    code = code or exits.NO_WORKER
                    # The server counts those that have died for a minute more.
                    if not await run.pollers():
                        say.note(no_worker((await run.info()).task_queue), style="yellow")
            except FanoutError as error:
                say.error(str(error))
                code = exits.ERROR
    return code


def _effect(event: RunEvent) -> str:
    if not event.taken:
        return "recorded; the run has not taken it yet"
    return f"refused: {event.effect}" if event.refused else event.effect
