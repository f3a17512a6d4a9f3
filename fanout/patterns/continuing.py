"""Continuing as new from a long loop, with nothing in flight that would be lost."""

from __future__ import annotations

from typing import Any, NoReturn

from temporalio import workflow

from fanout.patterns.limits import limits
from fanout.patterns.refusal import refusal

HIGHEST_HISTORY_LIMIT = 40_000
"""Temporal terminates at 51,200 events; the window that is drained adds some yet."""
HISTORY_BYTES = 8 * 1024 * 1024
"""Far below the 50 MiB at which Temporal terminates; a fifth of it is already slow to load."""


def should_continue_as_new(history_limit: int | None = None) -> bool:
    """Tell whether the history of this workflow is long enough to continue as new.

    Ask for it in a loop, then `drain()` the window, go on with the loop until it ends, and `continue_as_new()`.

    Args:
        history_limit: Events, at most 40,000. By default the server decides: it suggests to at 4,096 events or 4 MiB,
            which a window of 500 activities reaches every few rounds. Each item costs about 5 events; a limit of
            10,000 is a good one for large windows. With a limit, 8 MiB of history are enough as well.
    """
    info = workflow.info()
    if history_limit is None:
        return info.is_continue_as_new_suggested()
    limit = min(history_limit, HIGHEST_HISTORY_LIMIT)
    return info.get_current_history_length() >= limit or info.get_current_history_size() >= HISTORY_BYTES


async def continue_as_new(*args: Any, **options: Any) -> NoReturn:
    """Continue this workflow as new, once its signal and update handlers have finished.

    Args:
        args: What the workflow's run method is given.
        options: As for `workflow.continue_as_new`.

    Raises:
        ApplicationError: A pattern still has something in flight, which would be lost.
    """
    if running := limits().in_flight:
        raise refusal(
            f"{running} activities or child workflows are in flight and would be lost: "
            "drain() the window and leave its block first"
        )
    await workflow.wait_condition(workflow.all_handlers_finished)
    workflow.continue_as_new(args=args, **options)
