"""Asks the live nodes of a run's tree how far they are: costs no history, but needs a worker that answers."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.service import RPCError

from fanout import wire
from fanout.errors import NoWorker
from fanout.runinfo import RunInfo, count_pollers

QUERY_TIMEOUT = timedelta(seconds=5)


async def ask_nodes(client: Client, info: RunInfo) -> list[wire.NodeProgress]:
    """Return the progress of the root and of all live nodes below it, the root first.

    Raises:
        NoWorker: Nobody answers for the root.
    """
    # Asked first: the server holds a query that nobody answers for many seconds.
    if not await count_pollers(client, info.task_queue):
        raise NoWorker(f"no worker polls {info.task_queue!r}: start one with `fanout worker …`")
    root = await _ask(client, info.id)
    if root is None:
        raise NoWorker(f"the workers that poll {info.task_queue!r} do not answer for {info.id!r} just now")
    nodes = [root]
    waiting = list(root.children)
    while waiting:
        answers = await asyncio.gather(*(_ask(client, child) for child in waiting))
        below = [node for node in answers if node is not None]
        nodes += below
        waiting = [child for node in below for child in node.children]
    return nodes


async def _ask(client: Client, workflow_id: str) -> wire.NodeProgress | None:
    handle = client.get_workflow_handle(workflow_id)
    try:
        answer: wire.NodeProgress = await handle.query(
            wire.PROGRESS_QUERY, result_type=wire.NodeProgress, rpc_timeout=QUERY_TIMEOUT
        )
        return answer
    except (RPCError, WorkflowQueryFailedError):
        # Not there yet, or nobody answers for it now: its numbers come with the next look.
        return None
