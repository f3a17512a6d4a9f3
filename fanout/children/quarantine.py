"""The window for what is left of a batch that has killed its worker: items run in processes that may die.

A death costs such a process, not the worker. Who is to blame is found by running the suspects apart: `isolation.py`.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

from temporalio import activity

from fanout.children.address import Address
from fanout.children.book import Book
from fanout.children.cell import Order
from fanout.children.cell_process import CellProcess
from fanout.children.cellbook import Message
from fanout.children.isolation import WAYS, Death, Ended, Isolation
from fanout.children.window import Window
from fanout.pages import Json

WORKER_DIED = "WorkerDied"


class QuarantineWindow(Window):
    """Runs the unsettled items of a book in disposable processes, and convicts those that kill theirs.

    Args:
        book: The items.
        params: Parameters of the run, as JSON.
        limit: Items in flight at most.
        deadline: Seconds after which no further item is begun, but for finding out which of some has killed.
        rate: Items that may begin in a second; 0 for any number. Suspects, which are looked into in several cells at
            once, have an equal part of it each.
    """

    def __init__(
        self,
        book: Book,
        params: dict[str, Json],
        *,
        limit: int,
        deadline: float,
        rate: float = 0.0,
    ) -> None:
        self.book = book
        self.limit = limit
        self.stopping = False
        self.most = book.options.max_batch_bytes
        self._params = params
        self._rate = rate
        self._deadline = deadline
        self._cells: set[CellProcess] = set()
        self._number = 0
        self._isolation: Isolation | None = None

    @property
    def deaths(self) -> int:
        """Processes that have died so far."""
        return self._isolation.deaths if self._isolation else 0

    async def run(self) -> None:
        """See base class.

        Raises:
            Unisolable: The processor cannot be run in another process.
        """
        loop = asyncio.get_running_loop()
        self._ends = loop.time() + self._deadline
        self._isolation = Isolation(
            self._run,
            self._condemn,
            name=self.book.processor.name,
            fresh=lambda: not self.stopping and loop.time() < self._ends,
            going=lambda: not self.stopping,
        )
        with tempfile.TemporaryDirectory(prefix="fanout-cells-") as folder:
            self._folder = Path(folder)
            await self._isolation.through(self.book.unsettled())

    def stop(self) -> None:
        """See base class."""
        self.stopping = True
        self._stop_cells()

    async def halt(self) -> None:
        """See base class."""
        self.stopping = True
        for cell in self._cells:
            cell.halt()

    @property
    def in_flight(self) -> int:
        """See base class."""
        return sum(len(cell.ledger.started()) for cell in self._cells)

    # ---- for the isolation

    async def _run(self, positions: Sequence[int], suspects: bool) -> Ended:
        self._number += 1
        cell = CellProcess(
            Address.of(self.book.processor),
            self._order(positions, suspects),
            folder=self._folder,
            name=str(self._number),
            hear=lambda message: self._hear(message, positions),
        )
        self._cells.add(cell)
        try:
            death = await cell.run()
            return self._ended(cell, positions, death)
        finally:
            self._cells.discard(cell)
            cell.close()

    def _ended(self, cell: CellProcess, positions: Sequence[int], death: Death | None) -> Ended:
        book = self.book
        if death is None:
            return Ended(None)
        for mark, attempts in cell.ledger.attempts().items():
            if not book.settled(positions[mark]):
                book.attempts[positions[mark]] = max(attempts, book.attempts.get(positions[mark], 0))
        # What has returned, but was not heard of, is the next best guess where nothing was running.
        started = [positions[mark] for mark in cell.ledger.started()]
        ended = [positions[mark] for mark in cell.ledger.ended()]
        suspects = [p for p in started if not book.settled(p)] or [p for p in ended if not book.settled(p)]
        known = set(suspects)
        left = [p for p in positions if not book.settled(p) and p not in known]
        return Ended(death, suspects, left)

    def _condemn(self, position: int, death: Death) -> None:
        book = self.book
        book.attempts[position] = book.attempts.get(position, 0) + 1
        book.settle(position, WORKER_DIED, death.words, death.traceback)

    def _hear(self, message: Message, positions: Sequence[int]) -> None:
        book = self.book
        for mark, attempts in message.attempts.items():
            book.attempts[positions[mark]] = attempts
        for mark, due in message.due.items():
            book.due[positions[mark]] = due
        for mark, row in message.succeeded.items():
            book.succeed(positions[mark], row)
        for mark, account in message.failed.items():
            book.settle(positions[mark], *account)
        book.tally.keep(message.counters)
        if book.held >= self.most:
            # Nothing further begins, but suspects get their verdicts: handed back without, they would kill again.
            self._ends = 0.0
            self._stop_cells()

    def _stop_cells(self) -> None:
        loop = asyncio.get_running_loop()
        for cell in self._cells:
            loop.run_in_executor(None, cell.stop)

    def _order(self, positions: Sequence[int], suspects: bool) -> Order:
        book = self.book
        attempts = {
            mark: book.attempts[position]
            for mark, position in enumerate(positions)
            if position in book.attempts
        }
        left = math.inf if suspects else self._ends - asyncio.get_running_loop().time()
        return Order(
            run_id=book.run_id,
            options=book.options,
            params=dict(self._params),
            key=book.key,
            indexes=[book.indexes[position] for position in positions],
            values=[book.values[position] for position in positions],
            json=book.json,
            attempts=attempts,
            worker=book.worker,
            limit=max(1, min(self.limit, len(positions))),
            deadline=left,
            activity=_activity(),
            rate=self._rate / WAYS if suspects else self._rate,
            undone=[book.undone[position] for position in positions] if book.undone else (),
        )


def _activity() -> activity.Info | None:
    return activity.info() if activity.in_activity() else None
