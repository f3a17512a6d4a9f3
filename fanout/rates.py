"""Rates as people write them, `200/s` or `12000/min`, in items per second."""

from __future__ import annotations

import re

from pydantic_core import PydanticCustomError

NO_RATE = "none"
"""Says that there is no limit, where another says that there is one."""

HIGHEST = 10_000_000.0
LOWEST = 1 / 60

_SECONDS = {"s": 1, "min": 60}
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|min)")


def per_second(rate: str | None) -> float:
    """Return the items per second that a rate says; 0 where there is no limit.

    Raises:
        ValueError: It is no rate.
    """
    if rate is None or rate.strip().lower() == NO_RATE:
        return 0.0
    found = _RATE.fullmatch(rate.strip())
    if found is None:
        raise ValueError("say items per second or minute, such as 200/s or 12000/min")
    items = float(found[1]) / _SECONDS[found[2]]
    if items == 0:
        raise ValueError("a rate is above 0; to stop a run for a while, pause it")
    if not LOWEST <= items <= HIGHEST:
        raise ValueError(f"a rate is at least 1/min and at most {HIGHEST:.0f}/s")
    return items


def checked(rate: object) -> str | None:
    """Return a rate as it was written; None for no limit. For pydantic: the error's text is the reason alone."""
    try:
        if rate is not None and not isinstance(rate, str):
            raise ValueError("say items per second or minute, such as 200/s or 12000/min")
        return rate.strip() if rate is not None and per_second(rate) else None
    except ValueError as error:
        raise PydanticCustomError("rate", "{reason}", {"reason": str(error)}) from None
