"""Orders to a run: what each makes of the orders that stand, and why one makes no sense. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fanout.models import Status
from fanout.wire import Order


@dataclass(frozen=True)
class Stance:
    """What all orders so far amount to.

    Attributes:
        paused: Nothing new begins.
        now: And what was in flight was cut off.
        draining: Nothing new begins any more, and the run ends.
        max_concurrency: Items in flight; None where nobody has changed what the run was started with.
        pause_id: The order that paused it.
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
    # What is in flight ends, also in a run that was paused.
    return replace(over(stance), draining=True), Effect(
        "draining: what is in flight ends, the rest is not run"
    )


def _update(stance: Stance, order: Order) -> tuple[Stance, Effect]:
    wanted = order.max_concurrency
    if wanted is None:
        return stance, Effect("it says nothing to change", refused=True)
    if wanted == stance.max_concurrency:
        return stance, Effect(f"max_concurrency is {wanted:,} already", refused=True)
    before = "" if stance.max_concurrency is None else f", was {stance.max_concurrency:,}"
    return replace(stance, max_concurrency=wanted), Effect(f"max_concurrency is {wanted:,}{before}")
