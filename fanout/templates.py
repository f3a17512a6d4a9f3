"""Dates in the sources and parameters of scheduled runs: `{date:%Y-%m-%d}` stands for when the run was due. Pure."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from fanout.errors import UsageError
from fanout.pages import Json, Source
from fanout.storage import roots

if TYPE_CHECKING:
    from collections.abc import Callable

_DATE = re.compile(r"\{date(?:(?P<sign>[+-])(?P<count>\d{1,5})(?P<unit>[hdw]))?:(?P<format>[^{}]+)\}")
_BRACES = re.compile(r"\{[^{}]*\}")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_DIRECTIVE = re.compile(r"%(.?)", re.DOTALL)
_KNOWN = "YymdHMSjGVu%"
_HOW = (
    "write {date:%Y-%m-%d} for the day on which the run is due, {date-1d:%Y/%m/%d} for the one before "
    "(also +, and h for hours or w for weeks)"
)


def is_template(value: Json) -> bool:
    """Tell whether there is a date anywhere in a value.

    Raises:
        UsageError: What looks like one is none; the text says what is wrong.
    """
    found = False

    def look(text: str) -> str:
        nonlocal found
        found = _check(text) or found
        return text

    _map(value, look)
    return found


def fill(value: Json, moment: datetime) -> Json:
    """Return a value with its dates filled in.

    Args:
        value: JSON; dates may be in any text in it.
        moment: When the run was due, in the time zone of its schedule.

    Raises:
        UsageError: What looks like a date is none.
    """
    return _map(value, lambda text: _fill(text, moment))


def fill_source(source: Source, moment: datetime) -> Source:
    """Return a source with its dates filled in; see `fill`."""
    return replace(source, args=fill(source.args, moment))


def zone(name: str) -> tzinfo:
    """Return a time zone of the database of time zones.

    Raises:
        UsageError: There is none of that name.
    """
    from zoneinfo import ZoneInfo

    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise UsageError(f"there is no time zone {name!r}: write one such as Europe/Berlin") from None


def _map(value: Json, change: Callable[[str], str]) -> Json:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_map(one, change) for one in value]
    if isinstance(value, dict):
        return {name: _map(one, change) for name, one in value.items()}
    return value


def _check(text: str) -> bool:
    plain, is_url = _plain(text)
    # Braces of other texts, such as a query's, are nobody's business.
    for braces in _BRACES.findall(plain) if is_url else ():
        if not _DATE.fullmatch(braces):
            raise UsageError(f"{braces} in {plain!r} is no date: {_HOW}")
    found = _DATE.findall(plain)
    for *_, form in found:
        directives = _DIRECTIVE.findall(form)
        wrong = [one for one in directives if not one or one not in _KNOWN]
        if wrong or not directives:
            said = f"%{wrong[0]} in {form!r}" if wrong else repr(form)
            raise UsageError(
                f"{said} is no part of a date: there are {' '.join('%' + one for one in _KNOWN)}"
            )
    return bool(found)


def _fill(text: str, moment: datetime) -> str:
    if not _check(text):
        return text
    plain, is_url = _plain(text)
    filled = _DATE.sub(lambda match: _shifted(match, moment).strftime(match["format"]), plain)
    return roots.to_url(filled) if is_url else filled


def _plain(text: str) -> tuple[str, bool]:
    """Return a text as it was written, without what URLs do to braces; and whether it is a URL."""
    if not _SCHEME.match(text):
        return text, False
    if text.startswith("file://"):
        return str(roots.to_path(text)), True
    return text.replace("%7B", "{").replace("%7D", "}"), True


def _shifted(match: re.Match[str], moment: datetime) -> datetime:
    if match["count"] is None:
        return moment
    count = int(match["sign"] + match["count"])
    if match["unit"] == "h":
        return (moment.astimezone(UTC) + timedelta(hours=count)).astimezone(moment.tzinfo)
    # Days are those of the calendar, also where one has 23 hours.
    return moment + timedelta(days=count * (7 if match["unit"] == "w" else 1))
