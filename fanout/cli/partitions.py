"""The partitions of a run, one by one: `status --partitions`."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fanout.cli import say
from fanout.errors import NoWorker
from fanout.models import PartitionProgress
from fanout.observability.drawing import per_second

if TYPE_CHECKING:
    from fanout.runs.run import Run

COLUMNS = ["PARTITION", "ITEMS", "DONE", "FAILED", "IN FLIGHT", "WAITING", "RATE"]


@dataclass(frozen=True)
class Listed:
    """What was found of a run's partitions.

    Attributes:
        found: By number.
        answering: Whether those that live are among them.
        all: Whether those that have ended are.
    """

    found: list[PartitionProgress]
    answering: bool
    all: bool


async def read(handle: Run, *, answering: bool, ended: bool) -> Listed:
    """Ask a run for its partitions.

    Args:
        handle: Of the run.
        answering: Whether its workflows have answered a moment ago.
        ended: Whether those are wanted that have ended.
    """
    if answering:
        with contextlib.suppress(NoWorker):
            return Listed(await handle.partitions(ended=ended), True, ended)
    return Listed(await handle.ended_partitions() if ended else [], False, ended)


def show(listed: Listed, ended: int) -> None:
    """Print a table of partitions on stdout, and say what is not in it.

    Args:
        listed: What was found.
        ended: How many have ended.
    """
    if listed.found:
        say.table(COLUMNS, map(_row, listed.found), right=COLUMNS)
    if not listed.answering:
        say.note("no worker tells of the partitions that live", style="yellow")
    if not listed.all and ended:
        say.note(f"{ended:,} have ended: --all shows them too")


def _row(one: PartitionProgress) -> list[str]:
    numbers = [f"{one.partition:,}", f"{one.items:,}", f"{one.done:,}", f"{one.failed:,}"]
    if one.ended:
        return [*numbers, "", "", "ended"]
    return [*numbers, f"{one.in_flight:,}", f"{one.waiting:,}", per_second(one.rate)]
