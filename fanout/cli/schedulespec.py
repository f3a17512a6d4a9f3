"""When a schedule starts runs, as the flags of `temporal schedule` say it; and the same in words."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fanout.cli.flags import FlagGroup
from fanout.cli.sources import parse_duration
from fanout.errors import UsageError

if TYPE_CHECKING:
    from temporalio.client import (
        ScheduleCalendarSpec,
        ScheduleIntervalSpec,
        ScheduleOverlapPolicy,
        SchedulePolicy,
        ScheduleRange,
        ScheduleSpec,
        ScheduleState,
    )

POLICIES = ("Skip", "BufferOne", "BufferAll", "CancelOther", "TerminateOther", "AllowAll")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = {
    "second": ("second", 0, 59),
    "minute": ("minute", 0, 59),
    "hour": ("hour", 0, 23),
    "dayOfMonth": ("day_of_month", 1, 31),
    "month": ("month", 1, 12),
    "year": ("year", 2000, 2100),
    "dayOfWeek": ("day_of_week", 0, 6),
}
_RANGE = re.compile(r"(?:(?P<all>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?")


def _flag(text: str, **more: Any) -> Any:
    return typer.Option(help=text, rich_help_panel="When", **more)


@dataclass(frozen=True)
class When(FlagGroup):
    """The times of a schedule, and what it does when something comes between; the flags of `temporal schedule`."""

    cron: Annotated[
        list[str] | None, _flag('In cron\'s form, such as "0 2 * * *"; may be repeated.', metavar="CRON")
    ] = None
    interval: Annotated[
        list[str] | None,
        _flag("Such as 90m, or 60m/15m with an offset; may be repeated.", metavar="DURATION"),
    ] = None
    calendar: Annotated[
        list[str] | None,
        _flag('In JSON, such as {"dayOfWeek": "Fri", "hour": "17"}; may be repeated.', metavar="JSON"),
    ] = None
    time_zone: Annotated[
        str | None, _flag("Of the times, and of the dates in sources; default UTC.", metavar="TZ")
    ] = None
    start_time: Annotated[str | None, _flag("Nothing is started before.", metavar="TIME")] = None
    end_time: Annotated[str | None, _flag("Nothing is started after.", metavar="TIME")] = None
    jitter: Annotated[str | None, _flag("Start up to so much later, at random.", metavar="DURATION")] = None
    overlap_policy: Annotated[
        str | None,
        _flag(f"When the run before goes on: {', '.join(POLICIES)}; default Skip.", metavar="POLICY"),
    ] = None
    catchup_window: Annotated[
        str | None,
        _flag("What an outage of the server delayed by less is started after it.", metavar="DURATION"),
    ] = None
    pause_on_failure: Annotated[
        bool | None, _flag("Pause the schedule when a run fails; failed items are no failure of a run.")
    ] = None
    notes: Annotated[str | None, _flag("Notes, for people.", metavar="TEXT")] = None
    paused: Annotated[bool | None, _flag("Start nothing until `toggle --unpause`.")] = None
    remaining_actions: Annotated[int | None, _flag("Start so many runs, then no more.", min=0)] = None

    def spec(self, before: ScheduleSpec) -> ScheduleSpec:
        """Return the times: what was said, and the rest as before.

        Raises:
            UsageError: A time cannot be read.
        """
        made = replace(before)
        if self.cron or self.interval or self.calendar:
            made.cron_expressions = list(self.cron or ())
            made.intervals = [interval_of(text) for text in self.interval or ()]
            made.calendars = [calendar_of(text) for text in self.calendar or ()]
        if self.time_zone is not None:
            made.time_zone_name = self.time_zone
        if self.start_time is not None:
            made.start_at = moment_of(self.start_time)
        if self.end_time is not None:
            made.end_at = moment_of(self.end_time)
        if self.jitter is not None:
            made.jitter = timedelta(seconds=parse_duration(self.jitter))
        return made

    def policy(self, before: SchedulePolicy) -> SchedulePolicy:
        """Return what happens when something comes between: what was said, and the rest as before.

        Raises:
            UsageError: There is no such policy.
        """
        made = replace(before)
        if self.overlap_policy is not None:
            made.overlap = policy_of(self.overlap_policy)
        if self.catchup_window is not None:
            made.catchup_window = timedelta(seconds=parse_duration(self.catchup_window))
        if self.pause_on_failure is not None:
            made.pause_on_failure = self.pause_on_failure
        return made

    def state(self, before: ScheduleState) -> ScheduleState:
        """Return the state: what was said, and the rest as before."""
        made = replace(before)
        if self.notes is not None:
            made.note = self.notes
        if self.paused is not None:
            made.paused = self.paused
        if self.remaining_actions is not None:
            made.limited_actions = self.remaining_actions > 0
            made.remaining_actions = self.remaining_actions
        return made


# ------------------------------------------------------------------------------------------ from words


def policy_of(text: str) -> ScheduleOverlapPolicy:
    """Return the overlap policy of a name, in any case, with or without hyphens.

    Raises:
        UsageError: There is none of that name.
    """
    from temporalio.client import ScheduleOverlapPolicy

    plain = re.sub(r"[-_]", "", text).lower()
    for name in POLICIES:
        if name.lower() == plain:
            return ScheduleOverlapPolicy[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()]
    raise UsageError(f"--overlap-policy {text!r}: choose one of {', '.join(POLICIES)}")


def name_of(policy: ScheduleOverlapPolicy) -> str:
    """Return the name of an overlap policy."""
    return policy.name.title().replace("_", "")


def moment_of(text: str) -> datetime:
    """Return a moment as RFC 3339 writes it; UTC where no offset is said, and midnight where no time is.

    Raises:
        UsageError: It is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no time: write 2026-11-27T02:00:00Z, or 2026-11-27") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def interval_of(text: str) -> ScheduleIntervalSpec:
    """Return the interval that `90m` or `60m/15m` says.

    Raises:
        UsageError: It is none.
    """
    from temporalio.client import ScheduleIntervalSpec

    every, slash, offset = text.partition("/")
    seconds = parse_duration(every)
    if seconds < 1:
        raise UsageError(f"--interval {text!r}: at least a second")
    return ScheduleIntervalSpec(
        every=timedelta(seconds=seconds),
        offset=timedelta(seconds=parse_duration(offset)) if slash else None,
    )


def calendar_of(text: str) -> ScheduleCalendarSpec:
    """Return the calendar that JSON says, in the form of `temporal schedule`.

    Raises:
        UsageError: It says none.
    """
    from temporalio.client import ScheduleCalendarSpec, ScheduleRange

    try:
        said = json.loads(text)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise UsageError(f'--calendar {text!r}: write JSON such as {{"dayOfWeek": "Fri", "hour": "17"}}')
    comment = said.pop("comment", None)
    unknown = sorted(set(said) - set(_FIELDS))
    if unknown:
        raise UsageError(f"--calendar has no {unknown[0]!r}; there are {', '.join(_FIELDS)}, comment")
    # As for `temporal`: times that are not said are 0, days and months any.
    ranges: dict[str, Sequence[ScheduleRange]] = {
        "second": [ScheduleRange(0)],
        "minute": [ScheduleRange(0)],
        "hour": [ScheduleRange(0)],
    }
    for name, value in said.items():
        field, first, last = _FIELDS[name]
        ranges[field] = [_range(name, part.strip(), first, last) for part in str(value).split(",")]
    return ScheduleCalendarSpec(comment=comment, **ranges)


def _range(name: str, text: str, first: int, last: int) -> ScheduleRange:
    from temporalio.client import ScheduleRange

    match = _RANGE.fullmatch(text)
    if match is None:
        raise UsageError(f"--calendar: {name} {text!r} is none: write 5, 1-5, */10 or 1,15")
    begin = first if match["all"] else _number(name, match["first"])
    end = last if match["all"] else _number(name, match["last"] or match["first"])
    if not (first <= begin <= end <= last):
        raise UsageError(f"--calendar: {name} {text!r} is not within {first} to {last}")
    return ScheduleRange(begin, end, int(match["step"] or 1))


def _number(name: str, text: str) -> int:
    if text.isdigit():
        number = int(text)
        return 0 if name == "dayOfWeek" and number == 7 else number
    names = {"month": _MONTHS, "dayOfWeek": _DAYS}.get(name, ())
    short = text[:3].lower()
    if short not in names:
        raise UsageError(f"--calendar: {name} {text!r} is not a number")
    return names.index(short) + (name == "month")


# -------------------------------------------------------------------------------------------- to words


def words(spec: ScheduleSpec) -> str:
    """Return the times of a schedule in words; the server keeps cron's form as calendars."""
    parts = [f"cron {text}" for text in spec.cron_expressions]
    parts += [f"every {one.every}{f' + {one.offset}' if one.offset else ''}" for one in spec.intervals]
    parts += [one.comment or _calendar_words(one) for one in spec.calendars]
    if spec.time_zone_name:
        parts.append(f"in {spec.time_zone_name}")
    if spec.start_at:
        parts.append(f"from {spec.start_at:%Y-%m-%d %H:%M:%SZ}")
    if spec.end_at:
        parts.append(f"until {spec.end_at:%Y-%m-%d %H:%M:%SZ}")
    if spec.jitter:
        parts.append(f"up to {spec.jitter} later")
    return ", ".join(parts) or "never by itself"


def _calendar_words(calendar: ScheduleCalendarSpec) -> str:
    said = []
    for name, (field, first, last) in _FIELDS.items():
        ranges = getattr(calendar, field)
        whole = not ranges or any(one.start == first and one.end == last and one.step <= 1 for one in ranges)
        zero = field in ("second", "minute", "hour") and [(one.start, one.end) for one in ranges] == [(0, 0)]
        if not whole and not (zero and field == "second"):
            said.append(f"{name} {','.join(map(_range_words, ranges))}")
    return " ".join(said) or "every second"


def _range_words(one: ScheduleRange) -> str:
    text = f"{one.start}-{one.end}" if one.end > one.start else f"{one.start}"
    return f"{text}/{one.step}" if one.step > 1 else text
