"""A partition: keeps a sliding window of batches in flight over its range of items. Code for workflows."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from fanout import quick, topology, wire
    from fanout.models import Page, PartitionTime, Totals, cut
    from fanout.options import Options
    from fanout.storage.layout import batch_key
    from fanout.wire import (
        BatchInput,
        BatchOutput,
        BranchInput,
        BranchOutput,
        NodeProgress,
        PartitionState,
        PublishInput,
    )

SMALL = 1000
"""Items of a partition whose publishing is quick enough for a local activity."""

MAX_SAMPLES = 5
LONGEST_BATCH = timedelta(days=30)
HISTORY_BYTES = 8 * 1024 * 1024
"""Far below the 50 MiB at which Temporal terminates; a fifth of it is already slow to load."""


class Partition:
    """One contiguous range of items, inside the workflow that takes care of it.

    Args:
        branch: The range, and what was carried over from before.
        endless: Whether it must not continue as new; for a range that is sure to fit one history.
    """

    def __init__(self, branch: BranchInput, *, endless: bool = False) -> None:
        self._branch = branch
        self._run = branch.run
        self._options = Options(**branch.run.options)
        self._bytes_per_item = sum(page.size for page in branch.pages) / max(branch.count, 1)
        self._number = (branch.start - branch.run.first) // branch.run.partition_size
        self._state = branch.state or PartitionState(
            todo=[[branch.start, branch.count]] if branch.count else [],
            sequence=0,
            size=topology.first_size(self._options, self._bytes_per_item),
            totals=Totals(),
            began=workflow.time(),
        )
        self._todo = [list(piece) for piece in self._state.todo]
        self._sequence = self._state.sequence
        self._size = self._state.size
        self._pace = self._state.pace
        self._totals = self._state.totals
        self._samples = list(self._state.samples)
        self._concurrencies = topology.window(
            self._run.batch_concurrency, branch.concurrency, sum(count for _, count in self._todo)
        )
        self._limit = topology.history_limit(self._options, len(self._concurrencies))
        self._in_flight: dict[str, int] = {}
        self._draining = False
        self._endless = endless

    async def run(self) -> BranchOutput | None:
        """Run the range until it is published, or until the history is long enough.

        Returns:
            What came of the range; None where it is to continue as new, with nothing in flight.
        """
        canceled = await self._run_window()
        if self._draining and self._todo and not canceled:
            return None
        await self._publish()
        return self.output()

    def output(self) -> BranchOutput:
        """Return what came of the range so far."""
        seconds = round(workflow.time() - self._state.began, 3)
        return BranchOutput(
            items=self._branch.count,
            totals=self._totals,
            not_run=sum(count for _, count in self._todo),
            partitions=1,
            slowest=[PartitionTime(self._number, self._branch.count, seconds)],
        )

    def progress(self) -> NodeProgress:
        """Return the settled numbers of this partition."""
        return NodeProgress(
            total=self._branch.count,
            planned=True,
            totals=self._totals,
            in_flight=sum(self._in_flight.values()),
            samples=self._samples,
        )

    # ---- the window

    async def _run_window(self) -> bool:
        """Run batches until none is left or the history is long enough; returns whether the run was canceled."""
        slots = [asyncio.create_task(self._slot(concurrency)) for concurrency in self._concurrencies]
        try:
            await asyncio.gather(*slots)
        except (ActivityError, asyncio.CancelledError):
            failures = await quick.wind_up(slots)
            if failures:
                raise getattr(failures[0], "cause", None) or failures[0] from None
            return True
        return False

    async def _slot(self, concurrency: int) -> None:
        """Run one batch after the other; ends when there is nothing left to do, or to hand back."""
        while not self._stopping():
            if not self._todo:
                # A batch in flight may still hand some of its items back.
                await workflow.wait_condition(lambda: bool(self._todo) or not self._in_flight)
                if not self._todo:
                    return
                continue
            await self._run_batch(concurrency)

    async def _run_batch(self, concurrency: int) -> None:
        start, count = self._take(concurrency)
        key = batch_key(self._number, self._sequence)
        self._sequence += 1
        self._in_flight[key] = min(concurrency, count)
        order = BatchInput(
            output=self._run.output,
            nonce=self._run.nonce,
            key=key,
            start=start,
            count=count,
            pages=self._pages(start, count),
            concurrency=concurrency,
        )
        what = f"items {start:,}–{start + count - 1:,}"
        try:
            output = await quick.outcome(self._begin(order, what))
        except (ActivityError, asyncio.CancelledError) as error:
            if not is_cancelled_exception(error):
                raise
            # It may have committed before, and may do so yet: only a commit decides a key.
            output = await self._begin(replace(order, pages=[], concurrency=0), f"seal {what}")
        finally:
            del self._in_flight[key]
        self._settle(count, output)

    def _begin(self, order: BatchInput, what: str) -> workflow.ActivityHandle[BatchOutput]:
        return workflow.start_activity(
            wire.batch_activity(self._run.processor),
            order,
            result_type=BatchOutput,
            # How often a batch is begun says nothing of its items: workers come and go.
            retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=30)),
            start_to_close_timeout=LONGEST_BATCH,
            heartbeat_timeout=timedelta(seconds=self._options.heartbeat_timeout),
            # A batch that is cancelled commits what it has before it ends.
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=what,
        )

    def _settle(self, count: int, output: BatchOutput) -> None:
        self._totals += output.totals
        workflow.set_current_details(self._details())
        self._samples = (self._samples + output.samples)[:MAX_SAMPLES]
        self._put_back(output.more)
        if output.totals.done:
            self._pace = output.totals.done / max(output.seconds, 1e-6)
        self._size = topology.grown_size(self._size, self._pace, self._options, self._bytes_per_item)

    def _stopping(self) -> bool:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            return True
        if self._endless:
            return False
        info = workflow.info()
        if (
            info.get_current_history_length() >= self._limit
            or info.get_current_history_size() >= HISTORY_BYTES
        ):
            self._draining = True
        return self._draining

    def _take(self, concurrency: int) -> tuple[int, int]:
        piece = self._todo[0]
        remaining = sum(count for _, count in self._todo)
        size = topology.next_batch(
            self._size, self._pace, remaining, concurrency, len(self._concurrencies), self._options
        )
        start, count = piece[0], min(size, piece[1])
        if count == piece[1]:
            self._todo.pop(0)
        else:
            self._todo[0] = [start + count, piece[1] - count]
        return start, count

    def _put_back(self, pieces: list[list[int]]) -> None:
        if pieces:
            self._todo = sorted(self._todo + pieces)

    def _pages(self, start: int, count: int) -> list[Page]:
        return cut(self._branch.pages, start, start + count)

    # ---- the ends

    def _details(self) -> str:
        """Return the partition's state as markdown, for Temporal Web."""
        lines = [
            f"**{self._totals.done:,}** of {self._branch.count:,} items done",
            f"- succeeded: {self._totals.succeeded:,}",
            f"- failed: {self._totals.failed:,}",
            f"- batches in flight: {len(self._in_flight):,}, of about {self._size:,} items",
        ]
        lines += [f"  - `{sample}`" for sample in self._samples]
        return "\n".join(lines)

    def carried_over(self) -> BranchInput:
        """Return what the range continues as new with."""
        return BranchInput(
            run=self._run,
            level=self._branch.level,
            start=self._branch.start,
            count=self._branch.count,
            pages=self._branch.pages,
            concurrency=self._branch.concurrency,
            state=PartitionState(
                todo=self._todo,
                sequence=self._sequence,
                size=self._size,
                pace=self._pace,
                totals=self._totals,
                began=self._state.began,
                executions=self._state.executions + 1,
                samples=self._samples,
            ),
        )

    async def _publish(self) -> None:
        seconds = workflow.time() - self._state.began
        order = PublishInput(
            output=self._run.output,
            nonce=self._run.nonce,
            partition=self._number,
            start=self._branch.start,
            count=self._branch.count,
            not_run=self._todo,
            seconds=round(seconds, 3),
        )
        publishing: Coroutine[Any, Any, None] = quick.execute(
            wire.PUBLISH_ACTIVITY, order, None, small=self._branch.count <= SMALL, summary="check and publish"
        )
        await quick.to_the_end(publishing)
