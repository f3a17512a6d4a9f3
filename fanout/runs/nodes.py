"""Asks the live nodes of a run's tree how far they are: costs no history, but needs a worker that answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.service import RPCError

from fanout import recent, wire
from fanout.messages import NodeProgress
from fanout.models import Totals
from fanout.stickiness import QUESTION

AT_ONCE = 100
"""Nodes that are asked at the same time."""

Ask = Callable[[str, str | None], Awaitable[NodeProgress | None]]
"""Asks a workflow (its execution, if that is known) for its numbers; None where it does not answer just now."""


@dataclass(frozen=True)
class Tree:
    """What the nodes of a run have said.

    Attributes:
        root: The root's answer.
        nodes: The answers by workflow id, the root's too.
        silent: How many nodes did not answer, now or ever.
    """

    root: NodeProgress
    nodes: dict[str, NodeProgress]
    silent: int

    @property
    def totals(self) -> Totals:
        """What is settled in the whole run."""
        return sum((node.totals for node in self.nodes.values()), Totals())

    @property
    def recent(self) -> recent.Recent:
        """How many items were settled lately in the whole run."""
        counts: recent.Recent = []
        for node in self.nodes.values():
            counts = recent.merge(counts, node.recent)
        return counts


class Nodes:
    """The nodes of one run, asked again and again.

    No item is counted twice, and none that was counted is forgotten, whatever ends in between: a node counts those
    of its children that have ended and names the others, and each of these is asked afterwards. One that has ended
    meanwhile answers all the same. For one that does not answer, its last answer stands.

    Args:
        ask: Asks one node.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: dict[str, NodeProgress] = {}

    async def look(
        self, root_id: str, execution: str | None = None, *, within: float | None = None
    ) -> Tree | None:
        """Ask the root and all nodes below it, level by level; None where the root does not answer.

        Args:
            root_id: The run's id.
            execution: The root's; without, another run may answer that was given the id just now.
            within: Seconds after which nobody is waited for any more.
        """
        until = None if within is None else asyncio.get_running_loop().time() + within
        [root] = await self._ask_all([root_id], until, execution)
        if root is None:
            return None
        found = {root_id: root}
        silent = 0
        level = list(root.children)
        while level:
            below: list[str] = []
            for child, answer in zip(level, await self._ask_all(level, until), strict=True):
                node = answer or self._known.get(child)
                silent += answer is None
                if node is not None:
                    found[child] = node
                    below += node.children
            level = below
        self._known = found
        return Tree(root, found, silent)

    async def _ask_all(
        self, ids: list[str], until: float | None, execution: str | None = None
    ) -> list[NodeProgress | None]:
        room = asyncio.Semaphore(AT_ONCE)

        async def ask(workflow_id: str) -> NodeProgress | None:
            with contextlib.suppress(TimeoutError):
                async with room, asyncio.timeout_at(until):
                    return await self._ask(workflow_id, execution)
            return None

        return await asyncio.gather(*map(ask, ids))


def asking(client: Client) -> Ask:
    """Return what asks the nodes of runs on a server."""

    async def ask(workflow_id: str, execution: str | None) -> NodeProgress | None:
        handle = client.get_workflow_handle(workflow_id, run_id=execution)
        try:
            answer: NodeProgress = await handle.query(
                wire.PROGRESS_QUERY, result_type=NodeProgress, rpc_timeout=QUESTION
            )
            return answer
        except (RPCError, WorkflowQueryFailedError):
            # Not there yet, or nobody answers for it now.
            return None

    return ask
