"""Orders that end runs: `cancel`, `terminate`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from fanout.cli import exits, say
from fanout.cli.chosen import Chosen, RunIds, choose, confirmed
from fanout.cli.connection import Connection
from fanout.cli.flags import command
from fanout.cli.sources import parse_duration
from fanout.errors import FanoutError
from fanout.observability.bar import no_worker

if TYPE_CHECKING:
    from fanout.runs.run import Run

DEFAULT_WAIT = 10.0
_LOOK_EVERY = 0.25

Reason = Annotated[str, typer.Option(help="Why; Temporal keeps it with the run.")]


@command
async def cancel(
    connection: Connection,
    chosen: Chosen,
    runs: RunIds = None,
    reason: Reason = "",
    wait: Annotated[
        str | None,
        typer.Option(
            help="How long to wait for the end; default 10s. Exit code 1 if it takes longer.",
            metavar="DURATION",
        ),
    ] = None,
) -> int:
    """Cancel runs: what is in flight is ended, what is done is published, the rest is not run.

    The server keeps the order: a run whose workers are away carries it out when they are back.
    """
    seconds = DEFAULT_WAIT if wait is None else parse_duration(wait)
    code = exits.SUCCEEDED
    async with connection.client() as client:
        found = await choose(client, runs, chosen)
        if not confirmed("cancel", [run.id for run in found], yes=chosen.yes):
            return exits.ERROR
        for run in await _each(found, "cancel", reason):
            if run is None:
                code = exits.ERROR
            elif not await _ended(run, seconds):
                served = await run.pollers()
                info = await run.info()
                say.note(
                    f"{run.id}: the order is recorded; "
                    + ("the run is still ending" if served else no_worker(info.task_queue)),
                    style="yellow",
                )
                if wait is not None:
                    code = exits.ERROR if served else exits.NO_WORKER
            else:
                say.note(f"{run.id}: {(await run.info()).status.lower()}")
    return code


@command
async def terminate(connection: Connection, chosen: Chosen, runs: RunIds = None, reason: Reason = "") -> int:
    """End runs at once. What is committed stays readable, nothing more is published.

    Prefer `cancel`, which leaves a whole output behind.
    """
    code = exits.SUCCEEDED
    async with connection.client() as client:
        found = await choose(client, runs, chosen)
        if not confirmed("terminate", [run.id for run in found], yes=chosen.yes):
            return exits.ERROR
        for run in await _each(found, "terminate", reason):
            if run is None:
                code = exits.ERROR
            else:
                say.note(f"{run.id}: terminated")
    return code


async def _each(runs: list[Run], order: str, reason: str) -> list[Run | None]:
    """Send the order to each run; None stands for one that cannot take it, which is told."""
    done: list[Run | None] = []
    for run in runs:
        try:
            info = await run.info()
            if info.closed is not None:
                say.note(f"{run.id}: has ended already, as {info.status}")
                done.append(None)
                continue
            await (run.cancel(reason=reason) if order == "cancel" else run.terminate(reason=reason))
            done.append(run)
        except FanoutError as error:
            say.error(str(error))
            done.append(None)
    return done


async def _ended(run: Run, seconds: float) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while (await run.info()).closed is None:
        if loop.time() > deadline:
            return False
        await asyncio.sleep(_LOOK_EVERY)
    return True
