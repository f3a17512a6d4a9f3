"""Failures counted by kind: by error type, and by message without what changes from item to item."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json

from fanout.errors import UsageError
from fanout.models import FailureKind, FailureSample
from fanout.signatures import signature

MAX_KINDS = 1000
"""Kinds that are told apart. Further messages count as other messages of their error type …"""
MAX_TYPES = 100
"""… for so many error types, and as other messages of another type beyond."""
MAX_SAMPLES = 3
MAX_TYPE = 200
"""Characters of an error type."""

OTHER_TYPE = "other"
OTHER_MESSAGES = "other messages"

_GROUP = re.compile(r"[0-9a-f]{8}")

Name = tuple[str, str]


def group_of(error_type: str, message: str) -> str:
    """Return the short name of a kind of failures: the same for all whose types and signatures are the same.

    Args:
        error_type: Of a failure.
        message: Of a failure, or its signature.
    """
    name = f"{error_type[:MAX_TYPE]}\n{signature(message)}"
    return hashlib.blake2b(name.encode("utf-8", "backslashreplace"), digest_size=4).hexdigest()


def parse_group(text: str) -> str:
    """Return the group that a person names: by its short name, or by type and message as in `ValueError: not <n>`.

    Raises:
        UsageError: It is neither.
    """
    if _GROUP.fullmatch(text):
        return text
    error_type, colon, message = text.partition(": ")
    if not colon:
        raise UsageError(
            f"{text!r} names no group of failures: give its short name, or its type and message as in "
            "'ValueError: not <n>'; see `fanout failures RUN --by-type`"
        )
    return group_of(error_type, message)


def is_of_group(row: Mapping[str, Any], group: str) -> bool:
    """Tell whether a failure is of a group.

    Args:
        row: As it stands in the output.
        group: The group's short name.
    """
    return group_of(row["error_type"], row["message"]) == group


@dataclass
class _Count:
    count: int = 0
    first: float | None = None
    last: float | None = None
    samples: list[FailureSample] = field(default_factory=list)


class FailureKinds:
    """Counts failures by kind, in memory that does not grow with them."""

    def __init__(self) -> None:
        self._counts: dict[Name, _Count] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a failure.

        Args:
            row: As it stands in the output.
        """
        found = self._counts.setdefault(self._name(row), _Count())
        found.count += 1
        at = row.get("at")
        if at:
            found.first = at if found.first is None else min(found.first, at)
            found.last = at if found.last is None else max(found.last, at)
        if len(found.samples) < MAX_SAMPLES:
            found.samples.append(FailureSample(row["index"], row["key"], row.get("source", "")))

    def add_row(self, line: bytes) -> None:
        """Count a failure, as a line of JSON."""
        self.add(from_json(line))

    def most_common(self) -> list[FailureKind]:
        """Return the kinds, the one with most failures first."""
        ordered = sorted(self._counts.items(), key=lambda pair: (-pair[1].count, pair[0]))
        return [
            FailureKind(
                error_type,
                message,
                one.count,
                one.first,
                one.last,
                list(one.samples),
                "" if message == OTHER_MESSAGES else group_of(error_type, message),
            )
            for (error_type, message), one in ordered
        ]

    def _name(self, row: Mapping[str, Any]) -> Name:
        error_type = row["error_type"][:MAX_TYPE]
        for name, most in (
            ((error_type, signature(row["message"])), MAX_KINDS),
            ((error_type, OTHER_MESSAGES), MAX_KINDS + MAX_TYPES),
        ):
            if name in self._counts or len(self._counts) < most:
                return name
        return OTHER_TYPE, OTHER_MESSAGES
