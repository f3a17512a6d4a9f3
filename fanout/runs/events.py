"""What was ordered of a run, by whom and why, and what it did: read from the history that the server keeps.

No worker is asked. An order is a signal in the history of the root; the run has taken it once a workflow task was
completed after it, and what it did follows from the orders before it.
"""

from __future__ import annotations

from collections.abc import Sequence

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from fanout import orders
from fanout.messages import Order
from fanout.models import RunEvent
from fanout.orders import Effect, Stance
from fanout.wire import ORDER_SIGNAL, PAUSE_TIMER


async def read_events(client: Client, events: Sequence[HistoryEvent]) -> list[RunEvent]:
    """Return the orders in the history of a root workflow, the oldest first, and the ends of pauses for a time.

    Args:
        client: Its converter has encoded them.
        events: The history.
    """
    found: list[RunEvent] = []
    given: dict[str, Order] = {}
    timers: dict[str, str] = {}
    stance = Stance()
    taken = max(
        (
            event.event_id
            for event in events
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        ),
        default=0,
    )
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
            timers[event.timer_started_event_attributes.timer_id] = await _paused_by(client, event)
        elif event.event_type == EventType.EVENT_TYPE_TIMER_FIRED:
            pause = given.get(timers.get(event.timer_fired_event_attributes.timer_id, ""))
            if pause is not None and stance.pause_id == pause.id:
                stance = orders.over(stance)
                found.append(_end(pause, _when(event)))
        elif (order := await _order(client, event)) is None:
            found += _of_the_server(event)
        elif order.id not in given:
            given[order.id] = order
            stance, effect = orders.apply(stance, order)
            found.append(_event(order, effect, taken=event.event_id < taken))
    return found


def _event(order: Order, effect: Effect, *, taken: bool) -> RunEvent:
    return RunEvent(
        id=order.id,
        kind=order.kind,
        at=order.at,
        who=order.who,
        reason=order.reason,
        effect=effect.words if taken else "",
        refused=effect.refused and taken,
        taken=taken,
    )


def _end(pause: Order, at: float) -> RunEvent:
    reason = f"the pause was for {pause.resume_after:g} s"
    return RunEvent(f"{pause.id}/end", "resume", at, pause.who, reason, "resumed", taken=True)


async def _paused_by(client: Client, event: HistoryEvent) -> str:
    """Return the order whose pause a timer ends; empty for any other timer."""
    if not event.user_metadata.HasField("summary"):
        return ""
    (summary,) = await client.data_converter.decode([event.user_metadata.summary], [str])
    return summary.removeprefix(PAUSE_TIMER) if summary.startswith(PAUSE_TIMER) else ""


async def _order(client: Client, event: HistoryEvent) -> Order | None:
    if event.event_type != EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
        return None
    signal = event.workflow_execution_signaled_event_attributes
    if signal.signal_name != ORDER_SIGNAL:
        return None
    (order,) = await client.data_converter.decode(list(signal.input.payloads), [Order])
    return order if isinstance(order, Order) else None


def _of_the_server(event: HistoryEvent) -> list[RunEvent]:
    """Return what the server itself carries out."""
    at = _when(event)
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
        cancel = event.workflow_execution_cancel_requested_event_attributes
        effect = "canceled: what is in flight is cut off, the rest is not run"
        return [RunEvent("", "cancel", at, cancel.identity, cancel.cause, effect, taken=True)]
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
        end = event.workflow_execution_terminated_event_attributes
        return [RunEvent("", "terminate", at, end.identity, end.reason, "terminated", taken=True)]
    return []


def _when(event: HistoryEvent) -> float:
    return event.event_time.ToNanoseconds() / 1e9
