"""Events in the histories of a run's workflows, and what of them Temporal Cloud bills. Pure.

Counted as if no two things ended at the same moment. Those that do share a workflow task: so histories are at most as
long as is said here.
"""

from __future__ import annotations

from math import ceil

WORKFLOW_TASK = 3
"""Scheduled, started, completed."""

BEGIN = 1 + WORKFLOW_TASK
END = 1

ACTIVITY = 3 + WORKFLOW_TASK
"""Scheduled, started, completed; and the workflow task that hears of it."""

LOCAL_ACTIVITY = 1
"""A marker, in the workflow task that goes on anyway."""

CHILD = 3 + 2 * WORKFLOW_TASK
"""Initiated, started, completed; and the workflow tasks that hear of the last two."""

SIGNAL_SENT = 2 + WORKFLOW_TASK
SIGNAL_RECEIVED = 1 + WORKFLOW_TASK

PATCH = 2
"""A marker, and the search attribute that goes with it: once in a workflow that hands shares on."""

MEMO = 2
"""How many items there are, once that is known; and how the run ended."""
MARK = 1
"""Search attributes, where the namespace has them."""


def of_partition(batches: int, executions: int, *, small: bool) -> int:
    """Return the events of a partition's histories.

    Args:
        batches: In all of them.
        executions: How many histories.
        small: Whether it publishes within a local activity.
    """
    return executions * (BEGIN + END) + batches * ACTIVITY + _control(small)


def of_root_alone(batches: int, *, inline: bool) -> int:
    """Return the events of a root that takes care of all items itself.

    Args:
        batches: How many.
        inline: Whether planning reads nothing.
    """
    return of_partition(batches, 1, small=True) + _control(inline) + _control(True) + MEMO + MARK


def of_root(children: int, pages: int, *, inline: bool, small: bool) -> int:
    """Return the events of a root, but for the shares that it hands on.

    Args:
        children: How many it has in all.
        pages: In which it plans the source.
        inline: Whether planning reads nothing.
        small: Whether the run is finished within a local activity.
    """
    return of_group(children) + pages * _control(inline) + _control(small) + MEMO + MARK


def of_group(children: int) -> int:
    """Return the events of a group, but for the shares that it hands on."""
    return BEGIN + children * CHILD + END


def of_hand_ons(count: int) -> int:
    """Return the events that so many shares handed on add to the node that does so."""
    return PATCH + count * SIGNAL_SENT if count else 0


def batches_within(limit: int, live: int) -> int:
    """Return how many batches a history holds when its workflow continues as new.

    Args:
        limit: Events after which no further batch begins; those in flight end.
        live: Batches in flight.
    """
    # Of those in flight, only that they were scheduled is in the history yet.
    return max(0, ceil((limit - BEGIN - live) / ACTIVITY)) + live


def _control(local: bool) -> int:
    return LOCAL_ACTIVITY if local else ACTIVITY
