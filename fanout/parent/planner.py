"""Planning: finds the items of a run page by page, a little ahead of the tree that takes them. Code for workflows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from temporalio import workflow
from temporalio.common import SearchAttributeKey

with workflow.unsafe.imports_passed_through():
    from fanout import quick, wire
    from fanout.inputs import PlanInput, PlanOutput
    from fanout.messages import RunInput
    from fanout.parent.branch import as_failure
    from fanout.parent.tiler import Span, Tiler

LOOK_AHEAD = 2
"""Children's worth of items that planning stays ahead of the tree."""


class Planner:
    """The pages of one run, and the spans of them that children have not taken yet.

    Args:
        order: What the run is.

    Attributes:
        total: Items of the run: exact once planning is complete, else the best estimate.
        unit: Items of a child.
    """

    def __init__(self, order: RunInput) -> None:
        self.total = 0
        self.unit = 1
        self._order = order
        self._tiler = Tiler()
        self._cursor: dict[str, object] | None = None
        self._step = 0
        self._seen = 0
        self._failed: BaseException | None = None

    @property
    def complete(self) -> bool:
        """Whether all items are found."""
        return self._tiler.complete

    async def next_page(self) -> PlanOutput:
        """Find the next page, and return what planning says of it."""
        info = workflow.info()
        output = await quick.execute(
            wire.PLAN_ACTIVITY,
            PlanInput(
                run=self._order,
                run_id=info.workflow_id,
                execution=info.first_execution_run_id,
                cursor=self._cursor,
                step=self._step,
                seen=self._seen,
                due=0.0 if self._order.scheduled is None else _due(),
            ),
            PlanOutput,
            small=self._order.source.inline,
            summary=f"plan, page {self._step + 1}",
        )
        self._step += 1
        self._cursor = output.scan.cursor
        self._seen = output.scan.page.end
        self.total = output.scan.total
        self._tiler.add(output.scan.page)
        self._tiler.complete = self._cursor is None
        return output

    async def stay_ahead(self, plan: Callable[[], Awaitable[object]]) -> None:
        """Plan on whenever few items are left to take, until all are found.

        Args:
            plan: Finds the next page.
        """
        while not self.complete:
            await workflow.wait_condition(lambda: self._tiler.available < LOOK_AHEAD * self.unit)
            try:
                await plan()
            except BaseException as error:
                self._failed = error
                raise

    def take(self, size: int) -> Span | None:
        """Take so many items, or the last ones; None where so many are not found yet, or none is left."""
        return self._tiler.take(size)

    async def next_span(self, size: int) -> Span | None:
        """Take the items of the next child, once they are found; None where none is left."""
        self.unit = size
        span = self.take(size)
        while span is None and not self.complete:
            step = self._step
            await workflow.wait_condition(
                lambda: self._step != step or self._failed is not None  # noqa: B023 - awaited here
            )
            if self._failed is not None:
                raise as_failure(self._failed)
            span = self.take(size)
        return span


def _due() -> float:
    """Return when a schedule wanted the run: of one that catches up, or fills a gap, long ago."""
    info = workflow.info()
    due = info.typed_search_attributes.get(
        SearchAttributeKey.for_datetime(wire.DUE_ATTRIBUTE), info.workflow_start_time
    )
    return due.timestamp()
