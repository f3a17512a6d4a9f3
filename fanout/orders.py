"""Orders to a run: what each makes of the orders that stand, and why one makes no sense. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from fanout import tolerance
from fanout.messages import Order
from fanout.models import Status
from fanout.rates import per_second

_CHECKS: dict[str, Callable[[Any], object]] = {
    "rate_limit": per_second,
    "tolerated_failures": tolerance.normal,
}

LONGEST_PAUSE = 366 * 86_400.0
"""Seconds after which a pause can be over by itself; one without an end has no such time."""

CHANGEABLE = ("max_concurrency", "rate_limit", "tolerated_failures")
"""What `update` changes: fields of an order and of what stands, each None where nothing is said of it."""


@dataclass(frozen=True)
class Stance:
    """What all orders so far amount to.

    Attributes:
        paused: Nothing new begins.
        now: And what was in flight was cut off.
        draining: Nothing new begins any more, and the run ends.
        max_concurrency: Items in flight; None where nobody has changed what the run was started with.
        pause_id: The order that paused it.
        rate_limit: Items that may begin in some time, such as `5/s`; likewise, and `none` where it was lifted.
        tolerated_failures: What may fail, such as `2.5%`; likewise.
        failing: More items have failed than are tolerated: no order of a person's, and stronger than theirs.
        enough: What was to stop the run has come about; likewise.
    """

    paused: bool = False
    now: bool = False
    draining: bool = False
    max_concurrency: int | None = None
    pause_id: str = ""
    failing: bool = False
    enough: bool = False
    rate_limit: str | None = None
    tolerated_failures: str | None = None

    @property
    def revoked(self) -> bool:
        """Whether batches that run begin no further item."""
        return self.failing or self.enough

    @property
    def status(self) -> Status:
        """What a run that goes on is doing."""
        if self.draining:
            return Status.DRAINING
        return Status.PAUSED if self.paused else Status.RUNNING


@dataclass(frozen=True)
class Effect:
    """What an order has done.

    Attributes:
        words: For people.
        refused: Whether it made no sense, and changed nothing.
    """

    words: str
    refused: bool = False


def apply(stance: Stance, order: Order) -> tuple[Stance, Effect]:
    """Return what stands after an order, and what the order has done."""
    match order.kind:
        case "pause":
            return _pause(stance, order)
        case "resume":
            return _resume(stance)
        case "drain":
            return _drain(stance)
        case "update":
            return _update(stance, order)
    # Sent by a client that is newer than this worker.
    return stance, Effect(f"this version of fanout does not know the order {order.kind!r}", refused=True)


def _pause(stance: Stance, order: Order) -> tuple[Stance, Effect]:
    if stance.draining:
        return stance, Effect("it is being drained: nothing new begins any more", refused=True)
    if order.resume_after is not None and not order.resume_after <= LONGEST_PAUSE:
        # Not sent by our own client; a timer cannot be so long.
        return stance, Effect(f"it cannot be paused for {order.resume_after:g} s", refused=True)
    if stance.paused and (stance.now or not order.now) and order.resume_after is None:
        return stance, Effect("it is paused already", refused=True)
    words = "paused: what is in flight is cut off, and runs again later" if order.now else "paused"
    if order.resume_after is not None:
        words += f", for {order.resume_after:g} s"
    return replace(stance, paused=True, now=order.now or stance.now, pause_id=order.id), Effect(words)


def _resume(stance: Stance) -> tuple[Stance, Effect]:
    if stance.draining:
        return stance, Effect("it is being drained, which cannot be undone", refused=True)
    if not stance.paused:
        return stance, Effect("it is not paused", refused=True)
    return over(stance), Effect("resumed")


def fail(stance: Stance) -> Stance:
    """Return what stands once more items have failed than are tolerated."""
    return replace(over(stance), draining=True, failing=True)


def stop(stance: Stance) -> Stance:
    """Return what stands once what was to stop the run has come about."""
    return replace(over(stance), draining=True, enough=True)


def over(stance: Stance) -> Stance:
    """Return what stands once a pause for a time is over."""
    return replace(stance, paused=False, now=False, pause_id="")


def _drain(stance: Stance) -> tuple[Stance, Effect]:
    if stance.draining:
        return stance, Effect("it is being drained already", refused=True)
    # What is in flight ends, also in a run that was paused; what was to be cut off still is.
    return replace(over(stance), now=stance.now, draining=True), Effect(
        "draining: what is in flight ends, the rest is not run"
    )


def _update(stance: Stance, order: Order) -> tuple[Stance, Effect]:
    said = {name: getattr(order, name) for name in CHANGEABLE if getattr(order, name) is not None}
    if not said:
        return stance, Effect("it says nothing to change", refused=True)
    for name, check in _CHECKS.items():
        try:
            check(said.get(name))
        except ValueError as error:
            # Not sent by our own client, which checks.
            return stance, Effect(f"{name} {said[name]!r}: {error}", refused=True)
    after = replace(stance, **said)
    words = "; ".join(_change(name, getattr(stance, name), wanted) for name, wanted in said.items())
    return after, Effect(words, refused=after == stance)


def _change(name: str, before: Any, wanted: Any) -> str:
    if wanted == before:
        return f"{name} is {_shown(wanted)} already"
    return f"{name} is {_shown(wanted)}" + ("" if before is None else f", was {_shown(before)}")


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
