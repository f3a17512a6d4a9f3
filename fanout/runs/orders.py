"""Orders to a run, and what they have done."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

from temporalio.service import RPCError

from fanout import messages, wire
from fanout.children.item_workflows import terminate_all
from fanout.errors import RunNotFound, UsageError
from fanout.models import RunEvent
from fanout.options import check
from fanout.orders import LONGEST_PAUSE
from fanout.rates import NO_RATE
from fanout.runs.events import read_events
from fanout.runs.handle import Handle
from fanout.runs.info import refused

WAIT = 10.0
"""Seconds that an order waits for the run to take it."""

LOOK_EVERY = 0.2


def changes(**wanted: Any) -> dict[str, Any]:
    """Check what an update is to change, and return the fields of its order.

    Args:
        wanted: Options, each None where nothing is said of it.

    Raises:
        UsageError: Nothing is said, or a value does not fit.
    """
    said = {name: value for name, value in wanted.items() if value is not None}
    if not said:
        raise UsageError(f"say what to change: {' or '.join(wanted)}")
    checked = check(said)
    if "rate_limit" in checked:
        # In an order None says nothing.
        checked["rate_limit"] = checked["rate_limit"] or NO_RATE
    return checked


class Orders(Handle):
    """Gives orders. The server keeps them, and the run carries them out as soon as a worker is there."""

    async def pause(
        self, *, now: bool = False, resume_after: float | None = None, reason: str = "", wait: float = WAIT
    ) -> RunEvent:
        """Let nothing new begin until the run is resumed; batches that run end as usual.

        Args:
            now: Cut off what is in flight as well; it runs again later, and this counts as no attempt.
            resume_after: Seconds after which the run goes on by itself, a year at most; None for no end.
            reason: For `events`.
            wait: Seconds to wait until the run has taken the order. It is kept by the server in any case, and carried
                out as soon as a worker is there.

        Returns:
            What the order has done; `taken` is false where the run has not taken it in time.

        Raises:
            UsageError: `resume_after` is longer than a year, or no number.
            RunNotFound: The server knows no such run, or it has ended.
        """
        if resume_after is not None and not resume_after <= LONGEST_PAUSE:
            raise UsageError(
                f"resume_after is {resume_after:g} s: say a year at most, or leave it out for no end"
            )
        return await self._order("pause", wait, reason=reason, now=now, resume_after=resume_after)

    async def resume(self, *, reason: str = "", wait: float = WAIT) -> RunEvent:
        """Let a paused run go on. Arguments and errors as for `pause`."""
        return await self._order("resume", wait, reason=reason)

    async def update(
        self,
        *,
        max_concurrency: int | None = None,
        rate_limit: str | None = None,
        tolerated_failures: str | int | None = None,
        reason: str = "",
        wait: float = WAIT,
    ) -> RunEvent:
        """Change how many items may be in flight, begin in some time, or fail; what is not said stays as it is.

        Where fewer may be in flight, batches begin nothing more and end; so do all where another rate holds.

        Args:
            max_concurrency: Items in flight over the whole run, 1 to 10,000,000.
            rate_limit: Items that begin in a second or minute, such as `"50/s"`; `"none"` for any number.
            tolerated_failures: How many items may fail before the run stops: a number, or a percentage such as
                `"2.5%"`.
            reason: For `events`.
            wait: As for `pause`.

        Raises:
            UsageError: Nothing is said, or a value does not fit.
            RunNotFound: The server knows no such run, or it has ended.
        """
        said = changes(
            max_concurrency=max_concurrency, rate_limit=rate_limit, tolerated_failures=tolerated_failures
        )
        return await self._order("update", wait, reason=reason, **said)

    async def drain(self, *, reason: str = "", wait: float = WAIT) -> RunEvent:
        """End the run in order: what is in flight ends, the rest is not run, what is done is published.

        The run ends as STOPPED, unless all of its items are done. Arguments and errors as for `pause`.
        """
        return await self._order("drain", wait, reason=reason)

    async def cancel(self, *, reason: str = "") -> None:
        """Ask the run to end: what is in flight is cut off, what was committed is published.

        The order is kept by the server and carried out as soon as a worker is there.

        Args:
            reason: For the run's history.

        Raises:
            RunNotFound: The server knows no such run, or it has ended.
        """
        # The server takes a cancellation of what has ended for done.
        await self._check_live("cancel")
        await self._asked(self._handle().cancel(reason=reason))

    async def terminate(self, *, reason: str = "") -> None:
        """End the run and all below it at once; committed results stay readable, nothing is published any more.

        Args:
            reason: For the run's history.

        Raises:
            RunNotFound: The server knows no such run, or it has ended.
        """
        await self._asked(self._handle().terminate(reason=reason))
        try:
            await terminate_all(self.client, self.id, reason=reason)
        except RPCError as error:
            raise refused(
                error, f"run {self.id!r} was terminated, but workflows of its items may run on"
            ) from None

    async def events(self) -> list[RunEvent]:
        """Return the orders that the run was given, the oldest first; needs no worker.

        Raises:
            RunNotFound: The server knows no run of that id.
            NoServer: The server does not answer.
        """
        description = await self._asked(self._handle().describe())
        first = description.raw_info.first_run_id or description.run_id
        execution = description.run_id if self._execution in (None, first) else self._execution
        history = await self._asked(
            self.client.get_workflow_handle(self.id, run_id=execution).fetch_history()
        )
        return await read_events(self.client, history.events)

    # ---- private

    async def _check_live(self, kind: str) -> None:
        if (await self.info()).closed is not None:
            raise RunNotFound(f"run {self.id!r} has ended: there is nothing to {kind}")

    async def _order(self, kind: str, wait: float, **said: Any) -> RunEvent:
        """Send an order, and wait until the run has taken it."""
        await self._check_live(kind)
        order = messages.Order(uuid.uuid4().hex, kind, time.time(), self.client.identity, **said)
        await self._asked(self._handle().signal(wire.ORDER_SIGNAL, order))
        recorded = RunEvent(order.id, kind, order.at, order.who, order.reason, effect="")
        until = time.monotonic() + wait
        while True:
            # The server shows a signal only once the workflow task is over that was going on when it came.
            found = [event for event in await self.events() if event.id == order.id]
            left = until - time.monotonic()
            if left <= 0 or (found and found[0].taken):
                return found[0] if found else recorded
            await asyncio.sleep(min(LOOK_EVERY, left))
