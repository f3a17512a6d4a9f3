"""What the root and the groups have in common: children over consecutive spans, so many at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
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

from fanout import quick, recent, topology, wire
from fanout.messages import BranchInput, BranchOutput, Interim, NodeProgress, RunRef, Standing
from fanout.models import PartitionTime, Totals
from fanout.observability import details
from fanout.parent.tiler import Span
from fanout.topology import Shape

EVERYTHING = 2**62
"""More items than any source has."""

SLOWEST = 5
MOST_FAILING = 5
MAX_SAMPLES = 5

NextSpan = Callable[[int], Awaitable[Span | None]]
"""Gives the next span of so many items; None when there is none left."""


@dataclass(eq=False)
class _Slot:
    """A place for one child after the other.

    Attributes:
        share: Items that may be in flight below its child.
        told: What the child goes by, as far as it was told.
        heard: What its child has said of itself.
        child: The child in words, with a link to it.
    """

    share: int
    told: Standing | None = None
    heard: Interim | None = None
    child: str = ""


class Branch:
    """Runs the children of one node.

    Args:
        run: What children need to know of the run.
        shape: The run's shape.
        level: Of the node: 0 where its children are partitions.
        items: Items below the node, as far as known.
        standing: What the node is to go by; its concurrency is divided among the live children.

    Attributes:
        run_ref: What children need to know of the run.
        total: Items below the node; `exact` tells whether that is certain.
        totals: Of the children that have ended.
        live: The slots of the live children, the one begun last at the end.
        told: What the node above has been told.
    """

    def __init__(self, run: RunRef, shape: Shape, *, level: int, items: int, standing: Standing) -> None:
        self.run_ref = run
        self.total = items
        self.exact = True
        self.totals = Totals()
        self.live: dict[str, _Slot] = {}
        self._shape = shape
        self._level = level
        self._below = items
        self._standing = standing
        self._next_span: NextSpan | None = None
        self._children = 0
        self._winding_up = False
        self._exhausted = False
        self.told: Interim | None = None
        self._starting: dict[str, _Slot] = {}
        self._lock = asyncio.Lock()
        # A group that may have nothing in flight yet has a slot all the same, which waits.
        shares = topology.divide(standing.concurrency, max(1, self._wanted()))
        self._slots = [_Slot(share) for share in shares]
        self._tasks: list[asyncio.Task[None]] = []
        self._version = 0
        self._news = False
        self._partitions = 0
        self._not_run = 0
        self._items = 0
        self._slowest: list[PartitionTime] = []
        self._samples: list[str] = []
        self._failing: list[tuple[int, str]] = []
        self._recent: recent.Recent = []
        self._failed: set[str] = set()

    async def run(self, next_span: NextSpan) -> BranchOutput:
        """Run children until there is no span left, or no more are to begin.

        A failed child stops the others: what they committed is published before the failure is raised. When the node
        is cancelled so are its children; the output then says what was not run.

        Raises:
            ApplicationError: A child failed.
        """
        self._next_span = next_span
        self._tasks = [asyncio.create_task(self._run_slot(slot, next_span)) for slot in self._slots]
        self.show()
        with quick.alongside(self._keep_told()):
            await self._run_slots()
        return self.output()

    def obey(self, standing: Standing) -> None:
        """Go by other standing orders from now on, and pass them on."""
        if standing.version <= self._standing.version:
            return
        self._standing = standing
        self._widen()
        shares = topology.respread([slot.share for slot in self._slots], standing.concurrency)
        for slot, share in zip(self._slots, shares, strict=True):
            slot.share = share
        self._news = True
        self.show()

    def hear(self, said: Interim) -> None:
        """Take note of what a child says of itself; of one that has ended, its output says it."""
        slot = self.live.get(said.node)
        if slot is None and said.node in self._starting and workflow.patched("hear-the-starting"):
            # What tells that it has been started may come together with this, and is looked at later.
            slot = self._starting[said.node]
        if slot is not None:
            slot.heard = said

    @property
    def standing(self) -> Standing:
        """What it goes by."""
        return self._standing

    @property
    def interim(self) -> Interim:
        """What it would tell the node above just now: of those that have ended, and by what the live ones have said."""
        children = [*self.live.values(), *self._starting.values()]
        heard = [slot.heard for slot in children if slot.heard is not None]
        counters = {
            name: sum((said.counters.get(name, 0.0) for said in heard), self.totals.counted(name))
            for name in self._standing.tell_counters
        }
        failed = self.totals.failed + sum(said.failed for said in heard)
        return Interim(workflow.info().workflow_id, failed, counters)

    async def spend(self, concurrency: int) -> None:
        """Take note of how many items may be in flight below the node; in histories of earlier versions."""
        more = concurrency - self._standing.concurrency
        self._standing = replace(self._standing, concurrency=concurrency)
        await self._hand_on(more)

    def output(self) -> BranchOutput:
        """Return what came of the children so far."""
        return BranchOutput(
            self._items,
            self.totals,
            self._not_run,
            self._partitions,
            self._slowest,
            self._samples,
            self._recent,
        )

    def progress(self, total: int, planned: bool) -> NodeProgress:
        """Return the settled numbers of this node."""
        return NodeProgress(
            total=total,
            planned=planned,
            totals=self.totals,
            # What a child that failed has committed is told by itself alone, as long as it is asked.
            children=sorted({*self.live, *self._failed}),
            recent=self._recent,
            ended=self._partitions,
        )

    def show(self, ended: str = "") -> None:
        """Say in Temporal Web how far the node is; this costs no history.

        Args:
            ended: How the run ended.
        """
        workflow.set_current_details(self._details(ended))

    def _details(self, ended: str) -> str:
        info, totals, live = workflow.info(), self.totals, len(self.live)
        above = details.above(info, self.run_ref.run_id)
        noun = "partition" if self._level == 0 else "group"
        partitions = details.counted(self._partitions, "partition", "partitions")
        lines = [f"succeeded: {totals.succeeded:,}", f"failed: {totals.failed:,}"]
        if ended:
            lines.append(f"in {partitions}")
        else:
            lines.append(f"counted as {noun}s end: {partitions} so far")
            lines.append(f"at most {self._standing.concurrency:,} items in flight")
        if not above:
            lines.append(f"output: {details.code(self.run_ref.output, 300)}")
        ids = [wire.partition_id(self.run_ref.run_id, one.partition) for one in self._slowest]
        slowest = [
            f"{details.link(details.name(id), info.namespace, id)}: {one.items:,} items in {one.seconds:,.1f} s"
            for id, one in zip(ids, self._slowest, strict=True)
        ]
        return details.paragraphs(
            above and f"part {above}",
            ended or details.stance(self._standing),
            details.done(totals.done, self.total, exact=self.exact),
            details.listed("", lines, len(lines)),
            details.listed(f"Live {noun}s", (self.live[child].child for child in sorted(self.live)), live),
            details.outcomes(totals, self._samples),
            details.listed("Most failures", (said for _, said in self._failing), len(self._failing)),
            details.listed("Slowest", slowest, len(slowest)),
        )

    # ---- slots

    async def _run_slots(self) -> None:
        try:
            while self._tasks:
                await workflow.wait_condition(lambda: any(task.done() for task in self._tasks))
                for task in self._tasks:
                    if task.done():
                        task.result()
                self._tasks = [task for task in self._tasks if not task.done()]
        except (Exception, asyncio.CancelledError) as error:
            self._winding_up = True
            failures = await quick.wind_up(self._tasks)
            if failures:
                raise as_failure(failures[0]) from None
            if not is_cancelled_exception(error):
                raise

    def _wanted(self) -> int:
        return topology.live_children(self._shape, self._level, self._standing.concurrency, self._below)

    def _widen(self) -> None:
        """Open further slots, where the live children could not spend what they may."""
        if self._exhausted or self._winding_up:
            return
        fresh = [_Slot(0) for _ in range(self._wanted() - len(self._slots))]
        self._slots += fresh
        if self._next_span is not None:
            self._tasks += [asyncio.create_task(self._run_slot(slot, self._next_span)) for slot in fresh]

    async def _run_slot(self, slot: _Slot, next_span: NextSpan) -> None:
        task = asyncio.current_task()
        while not (self._winding_up or (task is not None and task.cancelling())):
            await workflow.wait_condition(lambda: not self._held_up(slot))
            if self._standing.draining:
                break
            async with self._lock:
                # One at a time, so that children are numbered in the order of their items.
                rest = self._shape.takes_the_rest(self._children)
                span = await next_span(EVERYTHING if rest else self._shape.unit(self._level))
                if span is not None:
                    self._children += 1
            if span is None:
                self._exhausted = True
                break
            level = self._shape.level_holding(span.count) if rest else self._level
            await self._run_child(level, span, slot)
        self._slots.remove(slot)
        await self._hand_on(slot.share)

    def _held_up(self, slot: _Slot) -> bool:
        """Tell whether a slot must not begin a child yet."""
        if self._exhausted or self._winding_up or self._standing.draining:
            return False
        return self._standing.paused or slot.share <= 0

    async def _hand_on(self, share: int) -> None:
        """Give what nothing is left for here to the child that has least: it has the longest way to go."""
        heirs, patch = self.live, "hand-on-shares"
        if not heirs:
            heirs, patch = self._starting, "hand-on-to-the-starting"
        # Histories of earlier versions hold no such signals.
        if share <= 0 or self._winding_up or not heirs or not workflow.patched(patch):
            return
        heir = min(reversed(heirs), key=lambda child: heirs[child].share)
        heirs[heir].share += share
        # It may have ended, or be about to: then its share comes back with its end.
        if heir in self.live:
            await self._tell(heir)

    # ---- children

    async def _run_child(self, level: int, span: Span, slot: _Slot) -> None:
        kind, child_id, number = self._name(level, span)
        self._items += span.count
        noun = "partition" if level == 0 else "group"
        slot.told = self._say(slot)
        words = details.items(span.start, span.count)
        link = details.link(details.name(child_id), workflow.info().namespace, child_id)
        slot.child = f"{link}: {words}"
        try:
            starting: Coroutine[Any, Any, ChildWorkflowHandle[Any, Any]] = workflow.start_child_workflow(
                kind,
                BranchInput(
                    run=self.run_ref,
                    level=level - 1,
                    start=span.start,
                    count=span.count,
                    pages=span.pages,
                    concurrency=slot.share,
                    standing=slot.told,
                ),
                id=child_id,
                # The children of a root that was reset run on, or still end: they make way for those planned anew.
                id_reuse_policy=WorkflowIDReusePolicy.TERMINATE_IF_RUNNING,
                result_type=BranchOutput,
                static_summary=f"{noun} {number:,}: {words}",
                static_details=f"{span.count:,} items of run `{self.run_ref.run_id}`, "
                f"at most {slot.share:,} in flight when it began",
            )
            self._starting[child_id] = slot
            child = await quick.begin(starting)
            self.live[child_id] = self._starting.pop(child_id)
            self.show()
            # Whatever came meanwhile it has not heard.
            self._news = self._news or self._is_stale(slot)
            output: BranchOutput = await quick.outcome(child)
        except (ChildWorkflowError, asyncio.CancelledError) as error:
            if is_cancelled_exception(error):
                self._not_run += span.count
            if child_id in self.live:
                self._failed.add(child_id)
            raise
        finally:
            self._starting.pop(child_id, None)
            self.live.pop(child_id, None)
            slot.heard = None
        self._add(output, link)

    def _say(self, slot: _Slot) -> Standing:
        """Return what the child of a slot is to go by."""
        self._version += 1
        return replace(self._standing, version=self._version, concurrency=slot.share)

    async def _tell(self, child_id: str) -> None:
        slot = self.live[child_id]
        slot.told = standing = self._say(slot)
        # It may have ended, or be about to.
        with contextlib.suppress(FailureError):
            child = workflow.get_external_workflow_handle(child_id)
            await child.signal(wire.STANDING_SIGNAL, standing)

    async def _keep_told(self) -> None:
        """Pass standing orders on to the live children that do not go by them."""
        while True:
            await workflow.wait_condition(lambda: self._news)
            self._news = False
            stale = [child_id for child_id, slot in self.live.items() if self._is_stale(slot)]
            await asyncio.gather(*map(self._tell, stale))

    def _is_stale(self, slot: _Slot) -> bool:
        told = slot.told
        return told is not None and told != replace(
            self._standing, version=told.version, concurrency=slot.share
        )

    def _name(self, level: int, span: Span) -> tuple[str, str, int]:
        run = self.run_ref
        number = (span.start - run.first) // run.partition_size
        if level == 0:
            return wire.PARTITION_WORKFLOW, wire.partition_id(run.run_id, number), number
        return wire.GROUP_WORKFLOW, wire.group_id(run.run_id, level, number), number

    def _add(self, output: BranchOutput, link: str) -> None:
        self.totals += output.totals
        self._recent = recent.merge(self._recent, output.recent)
        self._not_run += output.not_run
        self._partitions += output.partitions
        self._slowest = sorted(self._slowest + output.slowest, key=lambda p: -p.seconds)[:SLOWEST]
        self._samples = (self._samples + output.samples)[:MAX_SAMPLES]
        if failed := output.totals.failed:
            said = f"{link}: {failed:,} of {output.items:,} items failed"
            self._failing = sorted([*self._failing, (failed, said)], reverse=True)[:MOST_FAILING]
        self.show()


def as_failure(error: BaseException) -> BaseException:
    """Return the error at the bottom of Temporal's wrappers: its text is the one for people."""
    while isinstance(error, ActivityError | ChildWorkflowError) and error.cause is not None:
        error = error.cause
    if isinstance(error, ApplicationError):
        return ApplicationError(error.message, type=error.type, non_retryable=True)
    return error
