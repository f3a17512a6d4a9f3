"""What was ordered of a run, by whom and why, and what it did: read from the history that the server keeps.

No worker is asked. An order is a signal in the history of the root; the run has taken it once a workflow task was
completed after it, and what it did follows from the orders before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from fanout import orders
from fanout.models import RunEvent
from fanout.orders import Stance
from fanout.wire import ORDER_SIGNAL, Order


async def read_events(client: Client, events: Sequence[HistoryEvent], now: float) -> list[RunEvent]:
    """Return the orders in the history of a root workflow, the oldest first.

    Args:
        client: Its converter has encoded them.
        events: The history.
        now: Seconds since the epoch: pauses for a time end by themselves.
    """
    found: list[RunEvent] = []
    given: set[str] = set()
    stance, pause = Stance(), _Pause()
    taken = max(
        (
            event.event_id
            for event in events
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        ),
        default=0,
    )
    for event in events:
        at = event.event_time.ToNanoseconds() / 1e9
        if ended := pause.ended(stance, at):
            found.append(ended)
            stance = replace(stance, paused=False, now=False, pause_id="")
        order = await _order(client, event)
        if order is None:
            found += _of_the_server(event, at)
            continue
        if order.id in given:
            continue
        given.add(order.id)
        stance, effect = orders.apply(stance, order)
        if not effect.refused and order.kind == "pause":
            pause = _Pause(order, at)
        known = event.event_id < taken
        found.append(
            RunEvent(
                id=order.id,
                kind=order.kind,
                at=order.at,
                who=order.who,
                reason=order.reason,
                effect=effect.words if known else "",
                refused=effect.refused and known,
                taken=known,
            )
        )
    if ended := pause.ended(stance, now):
        found.append(ended)
    return found


class _Pause:
    """The last pause, which may be over by itself."""

    def __init__(self, order: Order | None = None, at: float = 0.0) -> None:
        self._order = order
        self._at = at

    def ended(self, stance: Stance, now: float) -> RunEvent | None:
        """Return the event of its end, where that has come, and nothing else has ended it."""
        order = self._order
        if order is None or order.resume_after is None or stance.pause_id != order.id:
            return None
        end = self._at + order.resume_after
        if now < end:
            return None
        self._order = None
        reason = f"the pause was for {order.resume_after:g} s"
        return RunEvent(f"{order.id}/end", "resume", end, order.who, reason, "resumed", taken=True)


async def _order(client: Client, event: HistoryEvent) -> Order | None:
    if event.event_type != EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
        return None
    signal = event.workflow_execution_signaled_event_attributes
    if signal.signal_name != ORDER_SIGNAL:
        return None
    (order,) = await client.data_converter.decode(list(signal.input.payloads), [Order])
    return order if isinstance(order, Order) else None


def _of_the_server(event: HistoryEvent, at: float) -> list[RunEvent]:
    """Return what the server itself carries out."""
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
        cancel = event.workflow_execution_cancel_requested_event_attributes
        effect = "canceled: what is in flight is cut off, the rest is not run"
        return [RunEvent("", "cancel", at, cancel.identity, cancel.cause, effect, taken=True)]
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
        end = event.workflow_execution_terminated_event_attributes
        return [RunEvent("", "terminate", at, end.identity, end.reason, "terminated", taken=True)]
    return []
