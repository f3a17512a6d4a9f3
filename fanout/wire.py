"""Names that workflows, activities and clients share: whoever sends and whoever receives use these.

Histories keep them for years: change none of them.
"""

from __future__ import annotations

RUN_WORKFLOW = "fanout.run"
GROUP_WORKFLOW = "fanout.group"
PARTITION_WORKFLOW = "fanout.partition"

PLAN_ACTIVITY = "fanout.plan"
PUBLISH_ACTIVITY = "fanout.publish"
FINALIZE_ACTIVITY = "fanout.finalize"
COUNT_ACTIVITY = "fanout.count"
COMPENSATE_ACTIVITY = "fanout.compensate"
PREPARE_ACTIVITY = "fanout.prepare"
ACTIVITIES = (
    PLAN_ACTIVITY,
    PUBLISH_ACTIVITY,
    FINALIZE_ACTIVITY,
    COUNT_ACTIVITY,
    COMPENSATE_ACTIVITY,
    PREPARE_ACTIVITY,
)
"""All but the batches."""

PROGRESS_QUERY = "progress"

HASTE_QUERY = "haste"
"""From a batch that is told to end to its workflow: whether to cut off what it has in flight."""

ORDER_SIGNAL = "order"
"""From a person to the root."""

PAUSE_TIMER = "until the pause is over, order "
"""Begin of a timer's summary; the id of the order follows."""

STANDING_SIGNAL = "standing"
"""From a node to a child: the standing orders, as a whole."""

INTERIM_SIGNAL = "interim"
"""From a node to the one above it: how far it is with what may stop the run."""

SPARE_SIGNAL = "spare"
"""From a batch to its workflow: it has fewer items left than it may run at once."""

SHARE_SIGNAL = "share"
"""From a node to a child, in histories of earlier versions: how many items may be in flight below it from now on."""

STORE_MEMO = "fanout.store"
PROCESSOR_MEMO = "fanout.processor"
PREVIOUS_MEMO = "fanout.previous"
RERUN_MEMO = "fanout.rerun"
UNDONE_MEMO = "fanout.undone"
"""Of a compensation: id and output of the run that it undoes."""

ITEM_MEMO = "fanout.item"
"""Of the workflow of an item: what `fanout.info()` says of it."""

STATUS_MEMO = "fanout.status"
ITEMS_MEMO = "fanout.items"
FAILED_MEMO = "fanout.failed"
COMPENSATION_MEMO = "fanout.compensation"
"""Of a run that has started its compensation: the id of that."""

DUE_ATTRIBUTE = "TemporalScheduledStartTime"
"""Temporal's own, of a workflow that a schedule starts: the time that it was scheduled for."""

WAITING = "waiting"
"""Field of an activity's heartbeat details: what it waits for, in words."""

RUN_FAILED = "RunFailed"
"""Type of the error with which a root workflow fails; its details hold the `RunResult`."""


def batch_activity(processor: str) -> str:
    """Return the activity type of a processor's batches."""
    return f"fanout:{processor}"


def control_queue(task_queue: str) -> str:
    """Return the queue of what must not wait behind a hundred running batches: planning, sealing, publishing."""
    return f"{task_queue}/control"


def partition_id(run_id: str, number: int) -> str:
    """Return the workflow id of a partition."""
    return f"{run_id}/partition-{number:06d}"


def group_id(run_id: str, level: int, number: int) -> str:
    """Return the workflow id of a group: its level above the partitions, and its number there."""
    return f"{run_id}/group-{level}-{number:06d}"
