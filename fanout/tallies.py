"""Tells the node above of failures while a node goes on: the run may have too many. Code for workflows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from temporalio import workflow
from temporalio.exceptions import FailureError

from fanout.wire import TALLY_SIGNAL, Tally


@contextlib.asynccontextmanager
async def telling(failed: Callable[[], int], every: Callable[[], int]) -> AsyncIterator[None]:
    """Tell the workflow above, as long as the block lasts, of each so many further failures.

    Args:
        failed: Returns how many items have failed by now.
        every: Returns after how many more of them it wants to hear; 0 for never.
    """
    told = failed()

    async def tell() -> None:
        nonlocal told
        info = workflow.info()
        while info.parent is not None:
            await workflow.wait_condition(lambda: 0 < every() <= failed() - told)  # noqa: B023 - awaited here
            told = failed()
            # It may have ended.
            with contextlib.suppress(FailureError):
                above = workflow.get_external_workflow_handle(info.parent.workflow_id)
                await above.signal(TALLY_SIGNAL, Tally(info.workflow_id, told))

    teller = asyncio.create_task(tell())
    try:
        yield
    finally:
        teller.cancel()
