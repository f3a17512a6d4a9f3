"""Watches how many items of a run fail, and says when that is more than is tolerated. Code for workflows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import ceil

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from fanout.models import Totals
    from fanout.tolerance import Tolerance

LOOK_AGAIN = 1.1
"""Factor by which failures grow between two counts of all that is settled: each costs the history three events."""

MORE_THAN_ALL = 2**62


class Judge:
    """Judges a run while it goes on.

    Args:
        tolerance: What may fail.
        failed: Returns how many items have failed for good, as far as the root knows.
        total: Returns how many items the run has, as far as known.
        planned: Returns whether that is exact.
        count: Counts what is settled by now.
    """

    def __init__(
        self,
        tolerance: Tolerance,
        *,
        failed: Callable[[], int],
        total: Callable[[], int],
        planned: Callable[[], bool],
        count: Callable[[], Awaitable[Totals]],
    ) -> None:
        self.tolerance = tolerance
        self._counted = 0
        self._failed = failed
        self._items = total
        self._planned = planned
        self._count = count

    @property
    def tell_every(self) -> int:
        """After how many further failures the root wants to hear of them; 0 for never."""
        return self.tolerance.step(self._items(), exact=self._planned())

    def tolerate(self, tolerance: Tolerance) -> None:
        """Go by another tolerance from now on."""
        self.tolerance = tolerance
        self._counted = 0

    async def exceeded(self) -> None:
        """Return once more items have failed than are tolerated."""
        while True:
            await workflow.wait_condition(self._is_suspect)
            if self._is_certain(self._failed()):
                return
            settled = await self._count()
            if self.tolerance.is_exceeded(settled.failed, settled.done, self._total()):
                return
            self._counted = max(settled.failed, self._failed())

    def _total(self) -> int | None:
        return self._items() if self._planned() else None

    def _is_suspect(self) -> bool:
        failed, total = self._failed(), self._total()
        if failed < ceil(LOOK_AGAIN * self._counted) and not self._is_certain(failed):
            return False
        return self.tolerance.may_be_exceeded(failed, total)

    def _is_certain(self, failed: int) -> bool:
        """Tell whether it does not matter how many items are settled."""
        total = self._total()
        return self.tolerance.is_exceeded(failed, MORE_THAN_ALL if total is None else total, total)
