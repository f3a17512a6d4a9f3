"""Processes for `executor="process"`: each runs one item at a time, so that a death has one culprit.

A pool of the standard library would not do: when one of its processes dies, all its items fail, and nothing says whose
fault it was; one that hangs cannot be ended without the others; and each item goes through two threads and back.

A process that has ended a short item would idle until the event loop comes round to giving it another one. So it is
given the next items early, and runs them in that order: when it dies, the first without an outcome is the culprit.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.exceptions import ApplicationError

from fanout.children.address import Address
from fanout.children.async_window import untimed
from fanout.children.gate import Gate, NotBegun
from fanout.processors import Processor
from fanout.workers.item_process import Died, ItemProcess

TRIES = 2
"""An item whose process dies runs once more: the system may have killed it for another's hunger for memory."""

SHORT = 0.05
"""Seconds of an item up to which the next ones are given early: behind a longer one they had better not wait."""

AHEAD_SECONDS = 0.01
"""Work that is given early: more than the event loop takes to come round …"""

MOST_AHEAD = 8
"""… and not so many items that other processes idle at the end of a batch."""

INERTIA = 0.8
"""How much of what items usually take is what they took before."""


class ItemProcesses:
    """The processes of one processor; each is started when it is first needed.

    Args:
        processor: The processor.
        most: How many there are at most.
    """

    def __init__(self, processor: Processor[..., Any], most: int) -> None:
        self._address = Address.of(processor)
        self._lists = processor.list_size is not None
        self._most = most
        self._processes: list[ItemProcess] = []
        self._places = asyncio.Semaphore(most)
        self._width = most
        self._usual = math.inf

    def bind(self, params: dict[str, Any], gate: Gate | None = None) -> Callable[[Any], Awaitable[Any]]:
        """Return what runs an item in a process; while the item waits for one, its timeout does not run.

        Args:
            params: Of the run.
            gate: Where an item waits until it may begin, once there is a process for it: those that waited for one
                behind the gate would all begin together.
        """

        async def call(item: Any) -> Any:
            with untimed():
                await self._places.acquire()
            try:
                return await self._run(item, params, gate)
            finally:
                self._leave()

        return call

    def close(self) -> None:
        """End all processes, also those that hang."""
        for process in self._processes:
            process.kill()

    async def _run(self, item: Any, params: dict[str, Any], gate: Gate | None) -> Any:
        async def let_in() -> None:
            if gate is not None and not await gate.through(len(item) if self._lists else 1):
                raise NotBegun

        deaths = 0
        while deaths < TRIES:
            process = self._choose()
            try:
                seconds, output = await process.run(item, params, let_in)
            except Died as death:
                deaths += death.guilty
            else:
                known = self._usual < math.inf
                self._usual = INERTIA * self._usual + (1 - INERTIA) * seconds if known else seconds
                return output
        raise ApplicationError(
            f"the process that ran this item died, {TRIES} times", type="WorkerDied", non_retryable=True
        )

    def _choose(self) -> ItemProcess:
        """Return the process that will come to a further item first."""
        self._processes = [process for process in self._processes if process.items or not process.retired]
        fit = [process for process in self._processes if not process.retired]
        first = min(fit, key=lambda process: process.items, default=None)
        if first is None or (first.items and len(fit) < self._most):
            first = ItemProcess(self._address)
            self._processes.append(first)
        return first

    def _leave(self) -> None:
        """Give a place back; there are as many for each process as it should have items."""
        self._width -= 1
        while self._width < self._most * self._depth():
            self._width += 1
            self._places.release()

    def _depth(self) -> int:
        if self._usual > SHORT:
            return 1
        return min(MOST_AHEAD, 2 + int(AHEAD_SECONDS / max(self._usual, 1e-6)))
