"""What Temporal allows one workflow, over all patterns that it runs at the same time."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

from temporalio import workflow

from fanout.patterns.limit import Limit
from fanout.patterns.refusal import refusal

PENDING_ACTIVITIES = 1_900
"""Temporal refuses more than 2,000, and the workflow may start some without a pattern."""
PENDING_CHILDREN = 1_000
WORKFLOW_TASK_BYTES = 1024 * 1024
"""A quarter of the 4 MB at which a completion terminates the workflow: a codec may make payloads longer, and a server
that hands out an activity may have to read all that came together with it."""
ITEM_BYTES = 2 * 1024 * 1024
HISTORY_EVENTS = 48_000
HISTORY_BYTES = 45 * 1024 * 1024
"""Temporal terminates a workflow at 51,200 events or 50 MiB: what is in flight, and the end, need some as well."""
EVENTS_TO_END = 3
OVERHEAD = 512
"""Bytes of a command besides its payloads, about."""
NEXT_TASK = 1.0
"""Seconds: servers fire shorter timers no sooner."""

_HOME = "_fanout_limits"


@dataclass
class Limits:
    """What all patterns of one workflow have in flight together, and how much they send in one workflow task.

    Attributes:
        activities: Pending activities: 1,900; the server refuses more than 2,000.
        children: Pending child workflows: 1,000; the server refuses more than 2,000.
        workflow_task_bytes: Bytes of encoded arguments that one workflow task may begin activities and child
            workflows with: 1 MiB. What is left begins in the next one: as soon as anything ends, or a second later.
            Lower it where a payload codec makes payloads much longer.
        item_bytes: Bytes that the encoded arguments of one item may have: 2 MiB, as the server takes. An item that has
            more fails. Raise it where a payload codec makes payloads shorter, or keeps them elsewhere.
        history_events: Events beyond which nothing more begins: the pattern fails. The server terminates a workflow at
            51,200, without giving it a chance to end well.
        history_bytes: The same for bytes: 45 MiB; the server terminates at 50 MiB.
    """

    activities: Limit = field(default_factory=lambda: Limit(PENDING_ACTIVITIES))
    children: Limit = field(default_factory=lambda: Limit(PENDING_CHILDREN))
    workflow_task_bytes: int = WORKFLOW_TASK_BYTES
    item_bytes: int = ITEM_BYTES
    history_events: int = HISTORY_EVENTS
    history_bytes: int = HISTORY_BYTES
    _sent: int = field(default=0, repr=False)
    _sent_at: int = field(default=-1, repr=False)
    _named: dict[str, int] = field(default_factory=dict, repr=False)

    @property
    def in_flight(self) -> int:
        """Activities and child workflows in flight by patterns."""
        return self.activities.in_flight + self.children.in_flight

    async def send(self, size: int) -> None:
        """Wait for a workflow task that has room for a command with so many bytes of arguments.

        Raises:
            ApplicationError: The history has no room for it.
        """
        self._check_history()
        while not self._has_room_for(size + OVERHEAD):
            # Whatever happens next brings one. Where nothing does, this timer: two events.
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    self._is_another_task,
                    timeout=NEXT_TASK,
                    timeout_summary="until there is room for more arguments",
                )

    def _check_history(self) -> None:
        info = workflow.info()
        events = info.get_current_history_length() + EVENTS_TO_END * self.in_flight
        size = info.get_current_history_size()
        if events < self.history_events and size < self.history_bytes:
            return
        raise refusal(
            f"this workflow has {events:,} events and {size / 2**20:.0f} MiB of history, and Temporal terminates it at "
            "51,200 or 50 MiB: continue as new in between, spread the items over child workflows, or use a run"
        )

    def _is_another_task(self) -> bool:
        return workflow.info().get_current_history_length() != self._sent_at

    def _has_room_for(self, size: int) -> bool:
        if self._is_another_task():
            self._sent, self._sent_at = 0, workflow.info().get_current_history_length()
        if self._sent and self._sent + size > self.workflow_task_bytes:
            return False
        self._sent += size
        return True

    def name_children(self, kind: str) -> str:
        """Return the part of the ids of one call's children that no other call of the workflow has."""
        number = self._named[kind] = self._named.get(kind, 0) + 1
        return kind if number == 1 else f"{kind}-{number}"


def limits() -> Limits:
    """Return the limits of the current workflow; change them before the first pattern begins.

    Raises:
        RuntimeError: The caller is no workflow.
    """
    if not workflow.in_workflow():
        raise RuntimeError("fanout.patterns is for workflow code; elsewhere, use fanout.map or fanout.start")
    # The loop is the workflow: it lives as long as the workflow is in memory, and no two workflows share one.
    loop = asyncio.get_running_loop()
    found = getattr(loop, _HOME, None)
    if found is None:
        found = Limits()
        setattr(loop, _HOME, found)
    return found


def as_limit(max_concurrency: int | Limit) -> Limit:
    """Return what bounds one call."""
    if isinstance(max_concurrency, Limit):
        return max_concurrency
    if max_concurrency < 1:
        raise refusal(f"max_concurrency is {max_concurrency}: nothing would ever begin")
    return Limit(max_concurrency)
