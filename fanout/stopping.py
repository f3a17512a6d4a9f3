"""What ends a run early, as `stop_when` says it: a number that the run counts, and how high it may become. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from fanout.counting import NAME, number
from fanout.errors import CountError, UsageError
from fanout.models import MATCHES, Totals
from fanout.tolerance import TELLINGS

_FIRST_SUCCESS = re.compile(r"first-success(?:\s*=\s*(\d+))?")


@dataclass(frozen=True)
class FirstSuccess:
    """Ends a run early once enough of its items are a match: those that succeed with an output that is not None.

    Attributes:
        count: How many matches are enough, at least 1.
    """

    count: int = 1

    def __str__(self) -> str:
        return f"first-success={self.count}" if self.count != 1 else "first-success"


@dataclass(frozen=True)
class CounterAbove:
    """Ends a run early once a counter is above a value.

    Attributes:
        counter: Name of the counter; see `fanout.count`.
        value: What it may be; a finite number, not negative.
    """

    counter: str
    value: float

    def __str__(self) -> str:
        return f"{self.counter} > {self.value:g}"


StopWhen = CounterAbove | FirstSuccess


def check_condition(given: StopWhen) -> StopWhen:
    """Return a condition as it will be used.

    Raises:
        UsageError: It counts what cannot be counted, or names no number that this may become.
    """
    match given:
        case FirstSuccess(count):
            if type(count) is not int or count < 1:
                raise UsageError(
                    f"stop_when: FirstSuccess takes a number of matches from 1 on, not {count!r}"
                )
            return given
        case CounterAbove(counter, value):
            try:
                if type(counter) is not str or not NAME.fullmatch(counter):
                    raise CountError(f"{str(counter)[:80]!r} cannot name a counter")
                return CounterAbove(counter, number(counter, value))
            except CountError as error:
                raise UsageError(f"stop_when: {error}") from None
    raise UsageError(f"stop_when takes FirstSuccess or CounterAbove, not {type(given).__name__}")


def parse_condition(text: str) -> StopWhen:
    """Return what a condition such as `usd > 200` or `first-success` says.

    Raises:
        UsageError: It is none.
    """
    if found := _FIRST_SUCCESS.fullmatch(text.strip()):
        return check_condition(FirstSuccess(int(found[1] or 1)))
    counter, _, value = (part.strip() for part in text.partition(">"))
    try:
        return check_condition(CounterAbove(counter, float(value)))
    except ValueError:
        raise UsageError(
            f"{text!r} is no condition: say the name of a counter and a number, as 'usd > 200'; "
            "or first-success, or first-success=3"
        ) from None


def steps(enough: StopWhen | None) -> dict[str, float]:
    """Return by how much each counter is to rise before a node speaks of it."""
    match enough:
        case FirstSuccess(count):
            return {MATCHES: count / TELLINGS}
        case CounterAbove(counter, value):
            # A counter that is to stay at nothing is heard of whenever it rises.
            return {counter: value / TELLINGS or 1e-12}
    return {}


def has_come(enough: StopWhen, counted: Callable[[str], float]) -> bool:
    """Tell whether a condition has come about.

    Args:
        enough: The condition.
        counted: Returns what a counter has come to.
    """
    if isinstance(enough, FirstSuccess):
        return counted(MATCHES) >= enough.count
    return counted(enough.counter) > enough.value


def reason(enough: StopWhen, totals: Totals) -> str:
    """Return why a run has ended early, in words."""
    if isinstance(enough, FirstSuccess):
        found = f"{totals.matched:,} {'match' if totals.matched == 1 else 'matches'} found"
        return f"{found}; it was to stop at {'the first' if enough.count == 1 else f'{enough.count:,}'}"
    return f"{enough.counter} is {totals.counted(enough.counter):,.12g}; it was to stop when {enough}"


def wanted(enough: StopWhen | None) -> float:
    """Return how many matches are enough; infinite where the run looks for none."""
    return enough.count if isinstance(enough, FirstSuccess) else math.inf
