"""Runs that Temporal starts by itself: `fanout schedule …`, with the verbs and flags of `temporal schedule`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from fanout.cli import exits, say, sources, targets
from fanout.cli.chosen import confirmed
from fanout.cli.connection import Connection
from fanout.cli.flags import command
from fanout.cli.inspect import AsJson
from fanout.cli.reducing import ReduceFlags
from fanout.cli.scheduleshow import data_of, first_of, next_of, rows_of, run_of, show, state_of
from fanout.cli.schedulespec import When, moment_of, policy_of, words
from fanout.cli.settings import Settings
from fanout.cli.sourceflags import Params, ProcessorName, SourceFlags, SourceName, StopWhen
from fanout.cli.sources import check_file
from fanout.errors import FanoutError, UsageError
from fanout.stopping import parse_condition

if TYPE_CHECKING:
    from temporalio.client import (
        Client,
        ScheduleActionStartWorkflow,
        ScheduleHandle,
        ScheduleUpdate,
        ScheduleUpdateInput,
    )

SHORT = timedelta(seconds=1)
STARTED_WITHIN = 5.0
"""Seconds in which the server starts what was triggered, before the command says that it will."""

ScheduleId = Annotated[
    str, typer.Option("--schedule-id", "-s", metavar="SCHEDULE", help="Id of the schedule.")
]
RunIds = Annotated[
    str | None,
    typer.Option("--id", help="Of its runs: the time is added to it. Default: the schedule's.", metavar="ID"),
]
Queue = Annotated[
    str | None, typer.Option(help="Queue; default: the processor's own, FANOUT_TASK_QUEUE, or fanout.")
]
Output = Annotated[
    str | None, typer.Option("--output", "-o", help="URL or folder for the outputs; default FANOUT_STORE.")
]
Overlap = Annotated[
    str | None,
    typer.Option("--overlap-policy", help="When a run goes on; as for `create`.", metavar="POLICY"),
]


@command
async def create(
    connection: Connection,
    when: When,
    settings: Settings,
    reading: SourceFlags,
    reducing: ReduceFlags,
    processor: ProcessorName,
    source: SourceName,
    schedule_id: ScheduleId,
    id: RunIds = None,
    param: Params = None,
    task_queue: Queue = None,
    output: Output = None,
    stop_when: StopWhen = None,
) -> int:
    """Create a schedule: Temporal starts a run of a processor over a source, again and again.

    {date:%Y-%m-%d} in the source or in a parameter stands for the day for which a run is scheduled, {date-1d:%Y/%m/%d}
    for the one before (also +, and h for hours or w for weeks). Each run has the time in its id:
    nightly-2026-11-27T02:00:00Z.
    """
    from temporalio.client import Schedule, SchedulePolicy, ScheduleSpec, ScheduleState

    if not (when.cron or when.interval or when.calendar):
        raise UsageError("say when: --cron, --interval or --calendar")
    spec = when.spec(ScheduleSpec())
    policy, state = when.policy(SchedulePolicy()), when.state(ScheduleState())
    async with connection.client() as client:
        action = await _action(
            client, processor, source, reading, reducing, settings,
            id=id or schedule_id, param=param, task_queue=task_queue, output=output, stop_when=stop_when,
            time_zone=spec.time_zone_name,
        )  # fmt: skip
        from temporalio.client import ScheduleAlreadyRunningError

        with _told(schedule_id):
            try:
                made = await client.create_schedule(
                    schedule_id, Schedule(action=action, spec=spec, policy=policy, state=state)
                )
            except ScheduleAlreadyRunningError:
                raise FanoutError(
                    f"a schedule {schedule_id!r} exists: see `fanout schedule describe -s {schedule_id}`, or "
                    "change it with `fanout schedule update`"
                ) from None
        found = await made.describe()
    sys.stdout.write(f"{schedule_id}\n")
    say.note(f"{words(found.schedule.spec)}; next: {next_of(found)}")
    return exits.SUCCEEDED


@command
async def update(
    connection: Connection,
    when: When,
    settings: Settings,
    reading: SourceFlags,
    reducing: ReduceFlags,
    schedule_id: ScheduleId,
    processor: Annotated[
        str | None, typer.Argument(metavar="MODULE:NAME", help="Of its runs from now on.")
    ] = None,
    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help="Of its runs from now on.")] = None,
    id: RunIds = None,
    param: Params = None,
    task_queue: Queue = None,
    output: Output = None,
    stop_when: StopWhen = None,
) -> int:
    """Change a schedule: what is not said stays as it is.

    --cron, --interval and --calendar replace all times that there were. With a processor and a source, all that
    describes the runs is said anew, options and parameters too.
    """
    if (processor is None) != (source is None):
        raise UsageError("say both the processor and the source of the runs, or neither")
    if processor is None and (
        settings.given or param or task_queue or output or id or reading != SourceFlags()
    ):
        raise UsageError("to change the runs say all of them anew: MODULE:NAME SOURCE and their flags")
    async with connection.client() as client:
        handle = client.get_schedule_handle(schedule_id)
        with _told(schedule_id):
            before = (await handle.describe()).schedule
        spec = when.spec(before.spec)
        action = before.action
        if processor is not None and source is not None:
            action = await _action(
                client, processor, source, reading, reducing, settings,
                id=id or schedule_id, param=param, task_queue=task_queue, output=output, stop_when=stop_when,
                time_zone=spec.time_zone_name,
            )  # fmt: skip
        elif when.time_zone is not None:
            raise UsageError("with another --time-zone say the runs anew: MODULE:NAME SOURCE and their flags")

        def change(found: ScheduleUpdateInput) -> ScheduleUpdate:
            from temporalio.client import ScheduleUpdate

            was = found.description.schedule
            return ScheduleUpdate(
                replace(
                    was,
                    action=action if processor is not None else was.action,
                    spec=when.spec(was.spec),
                    policy=when.policy(was.policy),
                    state=when.state(was.state),
                )
            )

        with _told(schedule_id):
            await handle.update(change)
            say.note(f"{schedule_id}: {words((await handle.describe()).schedule.spec)}")
    return exits.SUCCEEDED


@command
async def describe(connection: Connection, schedule_id: ScheduleId, as_json: AsJson = False) -> int:
    """Show what a schedule starts and when, and the runs that it has started lately."""
    async with _schedule(connection, schedule_id) as (client, handle):
        found = await handle.describe()
        data = await data_of(client, found)
    if as_json:
        say.data(data)
    else:
        show(data)
    return exits.SUCCEEDED


@command
async def list_(
    connection: Connection,
    query: Annotated[
        str | None, typer.Option("--query", "-q", help="Temporal's list filter.", metavar="FILTER")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """List the schedules that start runs. The server's list lags behind by a second or so."""
    async with connection.client() as client:
        rows = await rows_of(client, query)
    if as_json:
        for row in rows:
            say.data(row)
        return exits.SUCCEEDED
    if not rows:
        say.note("no schedules")
        return exits.SUCCEEDED
    say.table(
        ["SCHEDULE", "STATE", "WHEN", "NEXT", "LAST RUN"],
        (
            [row["id"], state_of(row), row["when"], first_of(row["next"]), "".join(row["recent"][-1:])]
            for row in rows
        ),
    )
    return exits.SUCCEEDED


@command
async def toggle(
    connection: Connection,
    schedule_id: ScheduleId,
    pause: Annotated[bool, typer.Option("--pause", help="Start nothing from now on.")] = False,
    unpause: Annotated[bool, typer.Option("--unpause", help="Start runs again.")] = False,
    reason: Annotated[str, typer.Option(help="Why; it becomes the schedule's notes.")] = "",
) -> int:
    """Pause a schedule, or let it go on. Runs that have begun are left alone."""
    if pause == unpause:
        raise UsageError("say --pause or --unpause")
    async with _schedule(connection, schedule_id) as (_, handle):
        if pause:
            await handle.pause(note=reason or None)
        else:
            await handle.unpause(note=reason or None)
    say.note(f"{schedule_id}: {'paused' if pause else 'goes on'}")
    return exits.SUCCEEDED


@command
async def trigger(connection: Connection, schedule_id: ScheduleId, overlap_policy: Overlap = None) -> int:
    """Start a run of a schedule now, and print its id. It counts as due now: dates are those of today."""
    overlap = None if overlap_policy is None else policy_of(overlap_policy)
    async with _schedule(connection, schedule_id) as (_, handle):
        before = (await handle.describe()).info
        await handle.trigger(overlap=overlap)
        known = {run_of(one.action) for one in before.recent_actions}
        until = asyncio.get_running_loop().time() + STARTED_WITHIN
        while asyncio.get_running_loop().time() < until:
            info = (await handle.describe()).info
            fresh = [run for one in info.recent_actions if (run := run_of(one.action)) not in known]
            if fresh:
                sys.stdout.write(f"{fresh[-1]}\n")
                say.note(f"watch it with: fanout watch {fresh[-1]}")
                return exits.SUCCEEDED
            if info.num_actions_skipped_overlap > before.num_actions_skipped_overlap:
                say.error(
                    "nothing was started: the run before goes on (--overlap-policy says what happens then)"
                )
                return exits.ERROR
            await asyncio.sleep(0.1)
    say.note("the server starts it as soon as it can: the run before may have to end first")
    return exits.SUCCEEDED


@command
async def backfill(
    connection: Connection,
    schedule_id: ScheduleId,
    start_time: Annotated[str, typer.Option(help="Begin of the time, included.", metavar="TIME")],
    end_time: Annotated[str, typer.Option(help="End of the time, included.", metavar="TIME")],
    overlap_policy: Annotated[
        str,
        typer.Option(
            "--overlap-policy", help="As for `create`; one after the other by default.", metavar="POLICY"
        ),
    ] = "BufferAll",
) -> int:
    """Start the runs that a schedule would have started in some time that is over, each with the dates of its own."""
    from temporalio.client import ScheduleBackfill

    begin, end = moment_of(start_time), moment_of(end_time)
    if end < begin:
        raise UsageError("--end-time is before --start-time")
    overlap = policy_of(overlap_policy)
    async with _schedule(connection, schedule_id) as (_, handle):
        # The server leaves the very first moment out.
        await handle.backfill(ScheduleBackfill(begin - SHORT, end, overlap=overlap))
    say.note(f"the server starts them: see `fanout schedule describe -s {schedule_id}`")
    return exits.SUCCEEDED


@command
async def delete(
    connection: Connection,
    schedule_id: ScheduleId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> int:
    """Delete a schedule. Its runs stay, also those that go on."""
    if not confirmed("delete", [f"schedule {schedule_id}"], yes=yes):
        return exits.ERROR
    async with _schedule(connection, schedule_id) as (_, handle):
        await handle.delete()
    say.note(f"{schedule_id}: deleted")
    return exits.SUCCEEDED


app = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Start runs again and again: the verbs and flags of `temporal schedule`.",
)
for _name, _function in (
    ("create", create),
    ("describe", describe),
    ("list", list_),
    ("update", update),
    ("toggle", toggle),
    ("trigger", trigger),
    ("backfill", backfill),
    ("delete", delete),
):
    app.command(_name)(_function)


# ---------------------------------------------------------------------------------------------- private


async def _action(
    client: Client,
    processor: str,
    source: str,
    reading: SourceFlags,
    reducing: ReduceFlags,
    settings: Settings,
    *,
    id: str,
    param: list[str] | None,
    task_queue: str | None,
    output: str | None,
    stop_when: str | None,
    time_zone: str | None,
) -> ScheduleActionStartWorkflow:
    from fanout.runs.schedules import schedule_action

    if source == sources.STDIN:
        raise UsageError("a schedule reads its source anew for each run: stdin can be read once")
    found = targets.load_processor(processor)
    reader = reading.make(source)
    if "{" not in source:
        check_file(source, reading.kind(source))
    return await schedule_action(
        client,
        found,
        reader,
        id=id,
        task_queue=task_queue,
        output=output,
        params=sources.parse_params(param or ()),
        time_zone=time_zone or "UTC",
        stop_when=None if stop_when is None else parse_condition(stop_when),
        reduce=reducing.make(),
        **settings.given,
    )


@asynccontextmanager
async def _schedule(connection: Connection, schedule_id: str) -> AsyncIterator[tuple[Client, ScheduleHandle]]:
    async with connection.client() as client:
        with _told(schedule_id):
            yield client, client.get_schedule_handle(schedule_id)


@contextmanager
def _told(schedule_id: str) -> Iterator[None]:
    """Tell what the server refuses in words."""
    from temporalio.service import RPCError, RPCStatusCode

    from fanout.runs.info import refused

    try:
        yield
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise FanoutError(f"no schedule {schedule_id!r}: see `fanout schedule list`") from None
        raise refused(error, f"schedule {schedule_id!r}") from None
