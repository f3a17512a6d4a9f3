"""Patterns of parallel execution, for use inside any workflow.

Each runs an activity or a child workflow per item, holds the limits of Temporal, and leaves nothing behind: when it
returns, fails or is cancelled, what it began has ended.
"""

from fanout.patterns.calls import Call, activity, child
from fanout.patterns.chunked import chunked
from fanout.patterns.continuing import continue_as_new, should_continue_as_new
from fanout.patterns.first import first_completed, first_success
from fanout.patterns.gather import gather
from fanout.patterns.limit import Limit
from fanout.patterns.limits import Limits, limits
from fanout.patterns.options import ActivityOptions, CallOptions, ChildOptions
from fanout.patterns.results import ItemResult
from fanout.patterns.saga import CompensationFailure, SagaFailed, Step, saga, step
from fanout.patterns.sliding import as_completed, sliding_window
from fanout.patterns.window import Window

__all__ = [
    "ActivityOptions",
    "Call",
    "CallOptions",
    "ChildOptions",
    "CompensationFailure",
    "ItemResult",
    "Limit",
    "Limits",
    "SagaFailed",
    "Step",
    "Window",
    "activity",
    "as_completed",
    "child",
    "chunked",
    "continue_as_new",
    "first_completed",
    "first_success",
    "gather",
    "limits",
    "saga",
    "should_continue_as_new",
    "sliding_window",
    "step",
]
