"""What one activity or child workflow is started with: the keyword arguments of all patterns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypedDict

from temporalio.common import (
    Priority,
    RetryPolicy,
    SearchAttributes,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)
from temporalio.workflow import (
    ActivityCancellationType,
    EventGroup,
    ParentClosePolicy,
    VersioningIntent,
)


class _Shared(TypedDict, total=False):
    task_queue: str | None
    retry_policy: RetryPolicy | None
    priority: Priority
    versioning_intent: VersioningIntent | None
    event_groups: Sequence[EventGroup] | None


class _OfActivities(TypedDict, total=False):
    schedule_to_close_timeout: timedelta | None
    schedule_to_start_timeout: timedelta | None
    start_to_close_timeout: timedelta | None
    heartbeat_timeout: timedelta | None
    summary: str | None


class _OfChildren(TypedDict, total=False):
    id: Callable[[Any], str]
    parent_close_policy: ParentClosePolicy
    execution_timeout: timedelta | None
    run_timeout: timedelta | None
    task_timeout: timedelta | None
    id_reuse_policy: WorkflowIDReusePolicy
    memo: Mapping[str, Any] | None
    search_attributes: SearchAttributes | TypedSearchAttributes | None
    static_summary: str | None
    static_details: str | None


class ActivityOptions(_Shared, _OfActivities, total=False):
    """Keyword arguments of `temporalio.workflow.execute_activity` that go for every item.

    `cancellation_type` is WAIT_CANCELLATION_COMPLETED here: whoever cancels waits until the activities have ended.
    """

    cancellation_type: ActivityCancellationType


class ChildOptions(_Shared, _OfChildren, total=False):
    """Keyword arguments of `temporalio.workflow.execute_child_workflow` that go for every item.

    `id` is a function from the item to the id of its workflow. By default the seventeenth child workflow `Transcode`
    of `album` is `album/Transcode/000017`. There is no `cancellation_type`: whoever cancels waits until the child
    workflows have ended.
    """


class CallOptions(_Shared, _OfActivities, _OfChildren, total=False):
    """The keyword arguments of a pattern: those of `ActivityOptions`, or those of `ChildOptions`."""

    cancellation_type: ActivityCancellationType


ACTIVITY_OPTIONS = frozenset(ActivityOptions.__annotations__)
CHILD_OPTIONS = frozenset(ChildOptions.__annotations__)
