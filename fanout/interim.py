"""What a node tells the one above while it goes on: too much of something stops the run. Code for workflows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

from temporalio import workflow
from temporalio.exceptions import FailureError

from fanout import quick
from fanout.messages import Interim, Standing
from fanout.stopping import has_come
from fanout.wire import INTERIM_SIGNAL


class Node(Protocol):
    """A node of a run's tree.

    Attributes:
        told: What it has told the node above, as far as it knows; None where it knows of nothing.
    """

    told: Interim | None

    @property
    def standing(self) -> Standing:
        """What it is to go by."""

    @property
    def interim(self) -> Interim:
        """What it would tell the node above just now."""


@contextlib.contextmanager
def telling(node: Node) -> Iterator[None]:
    """Tell the workflow above of a node as often as it wants to hear, as long as the block lasts."""
    ended = False

    async def keep() -> None:
        above = workflow.info().parent
        told = node.told = node.told or node.interim
        # The SDK forgets a cancellation that comes while a signal is on its way. Another one, after the workflow's end,
        # the server would refuse together with that end, again and again.
        while above is not None and not ended:
            await workflow.wait_condition(lambda: is_news(told, node))  # noqa: B023 - awaited here
            told = node.interim
            # It may have ended.
            with contextlib.suppress(FailureError):
                await workflow.get_external_workflow_handle(above.workflow_id).signal(INTERIM_SIGNAL, told)
            # Not before, nor where the block has ended: then it takes back what it was about to tell.
            if not ended:
                node.told = told

    with quick.alongside(keep()):
        try:
            yield
        finally:
            ended = True


def is_news(told: Interim, node: Node) -> bool:
    """Tell whether so much has changed at a node that the one above wants to hear of it."""
    standing = node.standing
    if not (standing.tell_every or standing.tell_counters):
        return False
    now = node.interim
    if _is_enough(standing, now) and not _is_enough(standing, told):
        return True
    return 0 < standing.tell_every <= now.failed - told.failed or any(
        now.counters.get(name, 0.0) - told.counters.get(name, 0.0) >= step
        for name, step in standing.tell_counters.items()
    )


def _is_enough(standing: Standing, said: Interim) -> bool:
    """Tell whether what ends the run has come about at a node alone: then it begins nothing until it is told to end."""
    return standing.enough is not None and has_come(
        standing.enough, lambda name: said.counters.get(name, 0.0)
    )
