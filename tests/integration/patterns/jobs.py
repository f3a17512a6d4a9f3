"""What the activities of these tests do, and what is seen of them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypedDict

from temporalio import activity
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

ONCE = RetryPolicy(maximum_attempts=1)
MINUTE = timedelta(minutes=1)


class Timeouts(TypedDict):
    """The options of an activity that learns of its cancellation."""

    start_to_close_timeout: timedelta
    heartbeat_timeout: timedelta


OPTIONS = Timeouts(start_to_close_timeout=MINUTE, heartbeat_timeout=timedelta(seconds=1))


@dataclass(frozen=True)
class Job:
    """What one activity does.

    Attributes:
        number: What it returns is twice as much.
        holds: Whether it goes on until the test lets it.
        fails: Whether it raises.
        after: Numbers of the jobs that end before it does.
        payload: What makes it large.
    """

    number: int
    holds: bool = False
    fails: bool = False
    after: int | None = None
    payload: str = ""


@dataclass
class Seen:
    """What is seen of the jobs of one workflow."""

    released: asyncio.Event = field(default_factory=asyncio.Event)
    begun: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    in_flight: int = 0
    most: int = 0


seen: defaultdict[str, Seen] = defaultdict(Seen)
"""By the id of the workflow, of the top one where there are children."""


def of(workflow_id: str) -> Seen:
    """Return what is seen of the jobs of a workflow, and of its children."""
    return seen[workflow_id.partition("/")[0]]


@activity.defn
async def work(job: Job) -> int:
    """Do a job."""
    mine = of(activity.info().workflow_id or "")
    mine.begun.append(job.number)
    mine.in_flight += 1
    mine.most = max(mine.most, mine.in_flight)
    try:
        while (job.holds and not mine.released.is_set()) or (
            job.after is not None and job.after not in mine.ended
        ):
            activity.heartbeat()
            await asyncio.sleep(0.01)
        if job.fails:
            raise ApplicationError(f"job {job.number} fails", type="Broken", non_retryable=True)
    except asyncio.CancelledError:
        mine.cancelled.append(job.number)
        raise
    finally:
        mine.in_flight -= 1
        mine.ended.append(job.number)
    return 2 * job.number


@activity.defn
def half(number: int) -> float:
    """Return half of it."""
    return number / 2


@activity.defn
async def add(number: int, more: int) -> int:
    """Return the sum."""
    return number + more


@activity.defn
async def length(text: str) -> int:
    """Return how long a text is."""
    return len(text)


@activity.defn
async def page(first: int) -> list[int]:
    """Return the numbers of a page."""
    return [] if first >= 9 else list(range(first, first + 3))


@activity.defn
async def flaky(number: int) -> int:
    """Fail the first attempts of a number: as many as it says."""
    if activity.info().attempt <= number:
        raise ValueError(f"attempt {activity.info().attempt}")
    return number


ACTIVITIES: list[Callable[..., Any]] = [work, half, add, length, page, flaky]
