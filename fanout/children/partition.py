"""A partition: keeps a sliding window of batches in flight over its range of items. Code for workflows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import replace
from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from fanout import quick, recent, stopping, topology, wire
    from fanout.children.batches import Batches, slot_of
    from fanout.children.pacing import Pacing
    from fanout.children.share import Share
    from fanout.children.work import Portion, Work
    from fanout.inputs import BatchOutput, PublishInput, PublishOutput
    from fanout.messages import BranchInput, BranchOutput, Interim, NodeProgress, PartitionState, Standing
    from fanout.models import PartitionTime, Totals
    from fanout.observability import details
    from fanout.options import from_carried

MAX_SAMPLES = 5
SHORTEST_TIMER = 1.0
HISTORY_BYTES = 8 * 1024 * 1024
"""Far below the 50 MiB at which Temporal terminates; a fifth of it is already slow to load."""


class Partition:
    """One contiguous range of items, inside the workflow that takes care of it.

    Args:
        branch: The range, and what was carried over from before.
        endless: Whether it must not continue as new; for a range that is sure to fit one history.

    Attributes:
        told: What the node above has been told.
    """

    def __init__(self, branch: BranchInput, *, endless: bool = False) -> None:
        self._branch = branch
        self._run = branch.run
        self._options = from_carried(branch.run.options)
        bytes_per_item = sum(page.size for page in branch.pages) / max(branch.count, 1)
        self._number = (branch.start - branch.run.first) // branch.run.partition_size
        self._state = branch.state or PartitionState(
            todo=[[branch.start, branch.count]] if branch.count else [],
            sequence=0,
            size=topology.first_size(self._options, bytes_per_item),
            totals=Totals(),
            began=workflow.time(),
        )
        self._work = Work(self._state.todo, self._state.waiting)
        self._pacing = Pacing(self._options, bytes_per_item, self._state.size, self._state.pace)
        self._totals = self._state.totals
        self._recent = self._state.recent
        self._samples = list(self._state.samples)
        self.told = self._state.told
        self._standing = branch.standing or Standing(0, branch.concurrency)
        self._share = Share(self._standing.concurrency, self._run.batch_concurrency)
        self._batches = Batches(branch, self._state, self._number, self._share)
        self._keep_to_rate()
        self._outdated: set[str] = set()
        self._hasty = False
        self._full = False
        self._endless = endless
        self._not_run = 0
        self._committed: datetime | None = None

    async def run(self) -> BranchOutput | None:
        """Run the range until it is published, or until the history is long enough.

        Returns:
            What came of the range; None where it is to continue as new, with nothing in flight.
        """
        canceled = await self._run_window()
        if self._full and self._work.count and not (canceled or self._standing.draining):
            return None
        self._not_run = self._work.count
        await self._publish()
        self.show()
        return self.output()

    def output(self) -> BranchOutput:
        """Return what came of the range so far."""
        seconds = round(workflow.time() - self._state.began, 3)
        return BranchOutput(
            items=self._branch.count,
            totals=self._totals,
            not_run=self._not_run,
            partitions=1,
            slowest=[PartitionTime(self._number, self._branch.count, seconds)],
            samples=self._samples,
            recent=self._recent,
        )

    def progress(self) -> NodeProgress:
        """Return the settled numbers of this partition."""
        return NodeProgress(
            total=self._branch.count,
            planned=True,
            totals=self._totals,
            in_flight=self._share.spent,
            samples=self._samples,
            waiting=self._work.waiting_count,
            recent=self._recent,
            partition=self._number,
        )

    def give_up(self, key: str, count: int) -> None:
        """Note that a batch in flight has fewer items left than it may run at once."""
        self._share.give_up(slot_of(key), count)

    def spend(self, concurrency: int) -> None:
        """Note how many items may be in flight from now on; in histories of earlier versions."""
        self._share.limit = concurrency

    def obey(self, standing: Standing) -> None:
        """Go by other standing orders from now on."""
        if standing.version <= self._standing.version:
            return
        paced_anew = standing.rate != self._standing.rate
        self._standing = standing
        self._share.limit = standing.concurrency
        if paced_anew:
            # How quick batches were says nothing any more.
            self._outdated = self._batches.slots
            self._pacing.begin_anew()
            self._keep_to_rate()
        all_end = self._cuts_off or standing.revoked or paced_anew
        for slot in self._share.revoke(0 if all_end else self._share.limit):
            self._batches.cancel(slot)
        self.show()

    def _keep_to_rate(self) -> None:
        rate = self._standing.rate
        self._share.pace(rate, topology.limited_concurrency(rate, self._options))

    @property
    def totals(self) -> Totals:
        """What is committed so far."""
        return self._totals

    @property
    def standing(self) -> Standing:
        """What it goes by."""
        return self._standing

    @property
    def interim(self) -> Interim:
        """What it would tell the node above just now."""
        counters = {name: self._totals.counted(name) for name in self._standing.tell_counters}
        return Interim(workflow.info().workflow_id, self._totals.failed, counters)

    @property
    def hasty(self) -> bool:
        """Whether batches that are told to end cut off what they have in flight."""
        return self._hasty or self._cuts_off

    @property
    def _cuts_off(self) -> bool:
        standing = self._standing
        return (standing.paused or standing.draining) and standing.now

    # ---- the window

    async def _run_window(self) -> bool:
        """Run batches until none is left or the history is long enough; returns whether the run was canceled."""
        running: list[asyncio.Task[None]] = []
        with quick.alongside(self._ring()):
            try:
                await self._keep_running(running)
            except (ActivityError, asyncio.CancelledError):
                self._hasty = True
                failures = await quick.wind_up(running)
                if failures:
                    raise getattr(failures[0], "cause", None) or failures[0] from None
                return True
        return False

    async def _keep_running(self, running: list[asyncio.Task[None]]) -> None:
        while True:
            while batch := self._next():
                running.append(asyncio.create_task(batch))
            if not running and self._over():
                return
            self.show()
            await workflow.wait_condition(lambda: self._may_go_on(running))
            for task in running:
                if task.done():
                    task.result()
            running[:] = [task for task in running if not task.done()]

    def _may_go_on(self, running: list[asyncio.Task[None]]) -> bool:
        # Batches in flight may still hand some of their items back, and others wait for their retry.
        if any(task.done() for task in running) or (not running and self._over()):
            return True
        return not self._held_up and self._work.ready(workflow.time()) and self._share.offer() > 0

    @property
    def _held_up(self) -> bool:
        """Whether nothing may begin just now; of what is enough here the root hears, and tells all to end."""
        standing = self._standing
        enough = standing.enough is not None and stopping.has_come(standing.enough, self._totals.counted)
        return self._full or standing.paused or standing.draining or enough

    def _over(self) -> bool:
        """Tell whether nothing more is to begin in this execution."""
        return self._full or self._standing.draining or not self._work.count

    def _next(self) -> Coroutine[Any, Any, None] | None:
        """Take the items of the next batch; None where none can begin now."""
        self._look_at_history()
        if self._held_up:
            return None
        if self._work.crowded:
            return self._gather(self._batches.next_key(), self._work.gather())
        concurrency = self._share.offer()
        if not concurrency or not self._work.ready(workflow.time()):
            return None
        rate = self._standing.rate
        size = topology.next_batch(
            self._pacing.size,
            self._pacing.pace,
            self._work.count,
            concurrency,
            self._share.batches,
            self._options,
            rate=rate,
            list_size=self._run.list_size,
        )
        portion = self._work.take(size, workflow.time())
        # What it cannot use it must not hold, nor give up later.
        concurrency = topology.used_concurrency(portion.count, concurrency, rate, self._options)
        key = self._batches.next_key()
        self._share.take(slot_of(key), concurrency)
        return self._run_batch(key, portion, concurrency)

    async def _ring(self) -> None:
        """Wake the window when something is due: workflows see the time pass only when something happens."""
        while True:
            await workflow.wait_condition(lambda: self._work.next_due(workflow.time()) is not None)
            now = workflow.time()
            due = self._work.next_due(now) or now
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: (self._work.next_due(workflow.time()) or due) < due,  # noqa: B023 - awaited here
                    # Not for each of many that are due in one second.
                    timeout=max(due - now, SHORTEST_TIMER),
                    timeout_summary="until the next retry is due",
                )

    async def _run_batch(self, key: str, portion: Portion, concurrency: int) -> None:
        last, rate = not self._work.count, self._standing.rate
        try:
            self._settle(
                await self._batches.run(key, portion, concurrency, last=last, rate=rate), concurrency
            )
        finally:
            self._share.end(slot_of(key))

    async def _gather(self, key: str, portion: Portion) -> None:
        self._settle(await self._batches.seal(key, portion, "gather"), 0)

    def _settle(self, output: BatchOutput, concurrency: int) -> None:
        self._totals += output.totals
        self._recent = recent.add(self._recent, workflow.time(), output.totals.done)
        self._samples = (self._samples + output.samples)[:MAX_SAMPLES]
        self._work.put_back(output.more, output.rests)
        self._committed = workflow.now()
        if slot_of(output.key) not in self._outdated:
            limited = self._standing.rate > 0
            self._pacing.learn(output.totals.done, output.seconds, concurrency, limited=limited)
        self._pacing.grow(self._totals.result_bytes / max(self._totals.succeeded, 1))

    def _look_at_history(self) -> None:
        info = workflow.info()
        limit = topology.history_limit(self._options, self._share.batches)
        self._full = not self._endless and (
            self._full
            or info.get_current_history_length() >= limit
            or info.get_current_history_size() >= HISTORY_BYTES
        )

    # ---- the ends

    def show(self, ended: str = "") -> None:
        """Say in Temporal Web how far the range is; this costs no history.

        Args:
            ended: How the run ended whose only partition this is.
        """
        batches, waiting = self._share.in_flight, self._work.waiting_count
        window = details.Window(
            self._standing, self._totals, batches, self._share.spent, waiting, self._samples
        )
        workflow.set_current_details(
            details.of_partition(workflow.info(), self._branch, window, self._committed, ended)
        )

    def carried_over(self) -> BranchInput:
        """Return what the range continues as new with."""
        return BranchInput(
            run=self._run,
            level=self._branch.level,
            start=self._branch.start,
            count=self._branch.count,
            pages=self._branch.pages,
            concurrency=self._share.limit,
            standing=replace(self._standing, concurrency=self._share.limit),
            state=PartitionState(
                todo=self._work.todo,
                waiting=self._work.waiting,
                keys=self._batches.keys,
                sequence=self._batches.sequence,
                size=self._pacing.size,
                pace=self._pacing.pace,
                totals=self._totals,
                began=self._state.began,
                executions=self._state.executions + 1,
                samples=self._samples,
                recent=self._recent,
                told=self.told,
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
            not_run=self._work.todo,
            rests=self._work.waiting,
            keys=self._batches.keys,
            seconds=round(seconds, 3),
        )
        published: PublishOutput | None = await quick.to_the_end(
            quick.execute(
                wire.PUBLISH_ACTIVITY,
                order,
                PublishOutput,
                small=self._branch.count <= topology.SMALL,
                summary="check and publish",
            )
        )
        # Histories of earlier versions hold none.
        if published is not None:
            self._totals, self._not_run = published.totals, published.not_run
