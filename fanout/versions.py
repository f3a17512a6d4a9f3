"""Versions of a processor: what a worker has, against what a run was planned with."""

from __future__ import annotations

import re

_NUMBERS = re.compile(r"\d+(\.\d+)*", re.ASCII)


def is_older(version: str, than: str) -> bool:
    """Say whether a version is known to be older than another: both must be numbers with dots.

    Others, such as hashes or names, cannot be compared: None of them is older.

    Args:
        version: The one in question.
        than: The other.
    """
    if not (_NUMBERS.fullmatch(version) and _NUMBERS.fullmatch(than)):
        return False
    return _numbers(version) < _numbers(than)


def _numbers(version: str) -> list[int]:
    numbers = [int(number) for number in version.split(".")]
    # 2 and 2.0 are the same.
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers
