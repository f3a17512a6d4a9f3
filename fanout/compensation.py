"""Runs that undo others: what the messages of both, and their outputs, say of each other. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from fanout.models import Status

SUFFIX = ".compensation"

COMPENSATED = frozenset({Status.FAILED, Status.FAILED_TOLERANCE_EXCEEDED, Status.CANCELED})
"""Ends that start a compensation where the run was started with one.

Not STOPPED: somebody wanted it to end early and to keep what it had. A run that was TERMINATED starts nothing any more.
"""


@dataclass(frozen=True)
class Compensator:
    """What a run starts by itself where it fails.

    Attributes:
        processor: Registered name.
        task_queue: Where its workers poll; None for the run's own queue.
    """

    processor: str
    task_queue: str | None = None


@dataclass(frozen=True)
class Undone:
    """What a compensation undoes.

    Attributes:
        run_id: The other run's id.
        output: URL of its output; it is undone together with those that it goes on from.
        mean: Bytes of its results' rows, on average; found by planning.
    """

    run_id: str
    output: str
    mean: int = 0


def compensation_id(run_id: str) -> str:
    """Return the id of the run that undoes another one."""
    return f"{run_id}{SUFFIX}"
