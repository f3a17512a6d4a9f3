"""What the root and the groups have in common: children over consecutive spans, so many at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    FailureError,
    is_cancelled_exception,
)
from temporalio.workflow import ChildWorkflowHandle

from fanout import quick, topology, wire
from fanout.models import PartitionTime, Totals, plain
from fanout.parent.tiler import Span
from fanout.topology import Shape
from fanout.wire import BranchInput, BranchOutput, NodeProgress, RunRef

EVERYTHING = 2**62
"""More items than any source has."""

SLOWEST = 5
MAX_SAMPLES = 5

NextSpan = Callable[[int], Awaitable[Span | None]]
"""Gives the next span of so many items; None when there is none left."""


class Branch:
    """Runs the children of one node.

    Args:
        run: What children need to know of the run.
        shape: The run's shape.
        level: Of the node: 0 where its children are partitions.
        concurrency: Items in flight that the node may spend, divided among its live children.
        items: Items below the node, as far as known.

    Attributes:
        run_ref: What children need to know of the run.
        totals: Of the children that have ended.
        live: What each live child may spend, the one begun last at the end.
    """

    def __init__(self, run: RunRef, shape: Shape, *, level: int, concurrency: int, items: int) -> None:
        self.run_ref = run
        self.totals = Totals()
        self.live: dict[str, int] = {}
        self._shape = shape
        self._level = level
        self._children = 0
        self._winding_up = False
        self._lock = asyncio.Lock()
        live = topology.live_children(shape, level, concurrency, items)
        self._concurrency = concurrency
        self._shares = topology.divide(concurrency, live)
        self._partitions = 0
        self._not_run = 0
        self._items = 0
        self._slowest: list[PartitionTime] = []

    async def run(self, next_span: NextSpan) -> BranchOutput:
        """Run children until there is no span left.

        A failed child stops the others: what they committed is published before the failure is raised. When the node
        is cancelled so are its children; the output then says what was not run.

        Raises:
            ApplicationError: A child failed.
        """
        tasks = [asyncio.create_task(self._slot(share, next_span)) for share in self._shares]
        try:
            await asyncio.gather(*tasks)
        except BaseException as error:
            self._winding_up = True
            failures = await quick.wind_up(tasks)
            if failures:
                raise as_failure(failures[0]) from None
            if not is_cancelled_exception(error):
                raise
        return self.output()

    async def spend(self, concurrency: int) -> None:
        """Take note of how many items may be in flight below the node from now on, where these are more."""
        more, self._concurrency = concurrency - self._concurrency, concurrency
        await self._hand_on(more)

    def output(self) -> BranchOutput:
        """Return what came of the children so far."""
        return BranchOutput(self._items, self.totals, self._not_run, self._partitions, self._slowest)

    def progress(self, total: int, planned: bool) -> NodeProgress:
        """Return the settled numbers of this node."""
        return NodeProgress(total=total, planned=planned, totals=self.totals, children=sorted(self.live))

    def _details(self) -> str:
        """Return the node's state as markdown, for Temporal Web."""
        lines = [
            f"**{self.totals.done:,}** items done, in {self._partitions:,} partitions that have ended",
            f"- succeeded: {self.totals.succeeded:,}",
            f"- failed: {self.totals.failed:,}",
        ]
        lines += [f"  - `{name}`: {count:,}" for name, count in plain(self.totals.error_types).items()]
        return "\n".join(lines)

    # ---- private

    async def _slot(self, share: int, next_span: NextSpan) -> None:
        task = asyncio.current_task()
        while not (self._winding_up or (task is not None and task.cancelling())):
            async with self._lock:
                # One at a time, so that children are numbered in the order of their items.
                rest = self._shape.takes_the_rest(self._children)
                span = await next_span(EVERYTHING if rest else self._shape.unit(self._level))
                if span is not None:
                    self._children += 1
            if span is None:
                await self._hand_on(share)
                return
            level = self._shape.level_holding(span.count) if rest else self._level
            share = await self._run_child(level, span, share)

    async def _hand_on(self, share: int) -> None:
        """Give what nothing is left for here to the live child that has least: it has the longest way to go."""
        # Histories of earlier versions hold no such signals.
        if share <= 0 or not self.live or not workflow.patched("hand-on-shares"):
            return
        child_id = min(reversed(self.live), key=self.live.__getitem__)
        self.live[child_id] += share
        # It may have ended, or be about to: then its share comes back with its end.
        with contextlib.suppress(FailureError):
            child = workflow.get_external_workflow_handle(child_id)
            await child.signal(wire.SHARE_SIGNAL, self.live[child_id])

    async def _run_child(self, level: int, span: Span, share: int) -> int:
        """Run a child to its end; returns what it was allowed to spend at last."""
        kind, child_id, number = self._name(level, span)
        self._items += span.count
        noun = "partition" if level == 0 else "group"
        try:
            starting: Coroutine[Any, Any, ChildWorkflowHandle[Any, Any]] = workflow.start_child_workflow(
                kind,
                BranchInput(
                    run=self.run_ref,
                    level=level - 1,
                    start=span.start,
                    count=span.count,
                    pages=span.pages,
                    concurrency=share,
                ),
                id=child_id,
                # The children of a root that was reset run on, or still end: they make way for those planned anew.
                id_reuse_policy=WorkflowIDReusePolicy.TERMINATE_IF_RUNNING,
                result_type=BranchOutput,
                static_summary=f"{noun} {number:,}: items {span.start:,}–{span.end - 1:,}",
                static_details=f"{span.count:,} items of run `{self.run_ref.run_id}`, at most {share:,} in flight",
            )
            child = await quick.begin(starting)
            self.live[child_id] = share
            output: BranchOutput = await quick.outcome(child)
        except (ChildWorkflowError, asyncio.CancelledError) as error:
            if is_cancelled_exception(error):
                self._not_run += span.count
            raise
        finally:
            share = self.live.pop(child_id, share)
        self._add(output)
        return share

    def _name(self, level: int, span: Span) -> tuple[str, str, int]:
        run = self.run_ref
        number = (span.start - run.first) // run.partition_size
        if level == 0:
            return wire.PARTITION_WORKFLOW, wire.partition_id(run.run_id, number), number
        return wire.GROUP_WORKFLOW, wire.group_id(run.run_id, level, number), number

    def _add(self, output: BranchOutput) -> None:
        self.totals += output.totals
        self._not_run += output.not_run
        self._partitions += output.partitions
        self._slowest = sorted(self._slowest + output.slowest, key=lambda p: -p.seconds)[:SLOWEST]
        workflow.set_current_details(self._details())


def as_failure(error: BaseException) -> BaseException:
    """Return the error at the bottom of Temporal's wrappers: its text is the one for people."""
    while isinstance(error, ActivityError | ChildWorkflowError) and error.cause is not None:
        error = error.cause
    if isinstance(error, ApplicationError):
        return ApplicationError(error.message, type=error.type, non_retryable=True)
    return error
