from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import (
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
)

from fanout.cli import schedulespec
from fanout.cli.schedulespec import POLICIES, When, calendar_of, interval_of, moment_of, policy_of, words
from fanout.errors import UsageError


@pytest.mark.parametrize("name", POLICIES)
def test_policies_have_temporals_names(name: str) -> None:
    assert schedulespec.name_of(policy_of(name)) == name
    assert policy_of(name.lower()) == policy_of(name)
    assert policy_of("buffer-all") is ScheduleOverlapPolicy.BUFFER_ALL


def test_times_are_read_as_temporal_writes_them() -> None:
    assert moment_of("2026-11-27T02:00:00Z") == datetime(2026, 11, 27, 2, tzinfo=UTC)
    assert moment_of("2026-11-27T02:00:00+02:00") == datetime(2026, 11, 27, tzinfo=UTC)
    assert moment_of("2026-11-27") == datetime(2026, 11, 27, tzinfo=UTC)
    assert interval_of("90m") == ScheduleIntervalSpec(timedelta(minutes=90))
    assert interval_of("60m/15m") == ScheduleIntervalSpec(timedelta(hours=1), timedelta(minutes=15))


def test_a_calendar_is_read_as_temporal_reads_it() -> None:
    assert calendar_of('{"dayOfWeek": "Fri", "hour": "17", "minute": "5"}') == ScheduleCalendarSpec(
        second=[ScheduleRange(0)],
        minute=[ScheduleRange(5, 5, 1)],
        hour=[ScheduleRange(17, 17, 1)],
        day_of_week=[ScheduleRange(5, 5, 1)],
    )
    every = calendar_of('{"hour": "8-16/2,20", "minute": "*/15", "month": "March", "dayOfWeek": 7}')
    assert every.hour == [ScheduleRange(8, 16, 2), ScheduleRange(20, 20, 1)]
    assert every.minute == [ScheduleRange(0, 59, 15)]
    assert every.month == [ScheduleRange(3, 3, 1)]
    assert every.day_of_week == [ScheduleRange(0, 0, 1)]


@pytest.mark.parametrize(
    ("read", "text", "says"),
    [
        (policy_of, "Sometimes", "choose one of Skip, BufferOne"),
        (moment_of, "tomorrow", "'tomorrow' is no time"),
        (interval_of, "often", "is no duration"),
        (interval_of, "0", "at least a second"),
        (calendar_of, "friday", "write JSON such as"),
        (calendar_of, '{"day": 5}', "has no 'day'; there are second, minute, hour, dayOfMonth"),
        (calendar_of, '{"hour": "25"}', "'25' is not within 0 to 23"),
        (calendar_of, '{"hour": "5-"}', "write 5, 1-5"),
        (calendar_of, '{"month": "Brumaire"}', "'Brumaire' is not a number"),
    ],
)
def test_what_cannot_be_read_is_told(read: object, text: str, says: str) -> None:
    assert callable(read)
    with pytest.raises(UsageError, match=says):
        read(text)


def test_what_is_not_said_stays_as_it_was() -> None:
    spec = ScheduleSpec(cron_expressions=["0 2 * * *"], time_zone_name="Europe/Berlin")
    assert When().spec(spec) == spec
    assert When(jitter="30s").spec(spec).cron_expressions == ["0 2 * * *"]
    changed = When(interval=["1h"]).spec(spec)
    assert (changed.cron_expressions, changed.time_zone_name) == ([], "Europe/Berlin")
    assert spec.cron_expressions == ["0 2 * * *"]
    policy = SchedulePolicy(overlap=ScheduleOverlapPolicy.BUFFER_ONE)
    assert When(pause_on_failure=True).policy(policy).overlap is ScheduleOverlapPolicy.BUFFER_ONE
    state = When(remaining_actions=3, notes="x").state(ScheduleState(paused=True))
    assert (state.paused, state.limited_actions, state.remaining_actions, state.note) == (True, True, 3, "x")


def test_times_are_told_in_words() -> None:
    spec = When(
        calendar=['{"dayOfWeek": "Fri", "hour": "17", "minute": "5"}'],
        interval=["60m/15m"],
        time_zone="Europe/Berlin",
        start_time="2026-01-01",
        jitter="10s",
    ).spec(ScheduleSpec())
    assert words(spec) == (
        "every 1:00:00 + 0:15:00, minute 5 hour 17 dayOfWeek 5, in Europe/Berlin, from 2026-01-01 00:00:00Z, "
        "up to 0:00:10 later"
    )
    assert words(ScheduleSpec()) == "never by itself"
