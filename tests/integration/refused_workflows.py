"""Workflows that cannot be processors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue


@workflow.defn
class NoItem:
    """Takes nothing."""

    @workflow.run
    async def run(self) -> None:
        """Do nothing."""


@workflow.defn
class Many:
    """Takes any number of items."""

    @workflow.run
    async def run(self, *items: int) -> None:
        """Do nothing."""


@workflow.defn(dynamic=True)
class Dynamic:
    """Has no name."""

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> None:
        """Do nothing."""


@workflow.defn
class Plain:
    """Could be one."""

    @workflow.run
    async def run(self, item: int) -> None:
        """Do nothing."""


CASES: list[tuple[type, dict[str, Any], str]] = [
    (NoItem, {}, "must take the item"),
    (Many, {}, "must take the item"),
    (Dynamic, {}, "a dynamic workflow"),
    (Plain, {"name": "other"}, "its name is that of the workflow"),
    (Plain, {"executor": "thread"}, "cannot have executor"),
    (Plain, {"list_size": 3}, "cannot have list_size"),
]
