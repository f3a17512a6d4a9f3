"""The root workflow: plans the source, runs the tree below it, and sums up."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from fanout import orders, quick, searchattributes, stopping, tolerance, topology, wire
    from fanout.children.partition import Partition
    from fanout.compensation import COMPENSATED
    from fanout.errors import FanoutError
    from fanout.inputs import CompensateInput, CountInput, FinalizeInput, PlanOutput
    from fanout.messages import (
        BranchInput,
        BranchOutput,
        Interim,
        NodeProgress,
        Order,
        RunInput,
        RunRef,
        Spare,
        Standing,
    )
    from fanout.models import RunResult, Status, Totals
    from fanout.observability import details
    from fanout.options import from_carried
    from fanout.parent import judge
    from fanout.parent.branch import Branch, as_failure
    from fanout.parent.compensating import start_compensation
    from fanout.parent.planner import Planner
    from fanout.rates import per_second


@workflow.defn(name=wire.RUN_WORKFLOW, failure_exception_types=[FanoutError, ValidationError])
class RunWorkflow:
    """One run: one fan-out over one item set."""

    @workflow.init
    def __init__(self, order: RunInput) -> None:
        self._order = order if order.nonce else replace(order, nonce=_nonce())
        self._planner = Planner(self._order)
        self._below: Branch | Partition | None = None
        self._output = ""
        self._stance = orders.Stance()
        self._orders: set[str] = set()
        self._concurrency = 0
        self._rate_limit: str | None = None
        self._version = 0
        self._judge: judge.Judge | None = None
        self._tolerated: str | None = None
        self._sample: int | None = None
        self._compensation = ""

    @workflow.run
    async def run(self, order: RunInput) -> RunResult:
        """Run the whole set to its end.

        Raises:
            ApplicationError: The run failed; its type is `RunFailed`, and its details hold the `RunResult`.
        """
        began = workflow.info().workflow_start_time.timestamp()
        workflow.set_current_details("Planning: the source is read")
        try:
            result = self._result(await self._run_tree(), began)
            stands: RunResult | None = await quick.to_the_end(self._finalize(result))
            # Of a run that was reset, what it wrote at its first end; histories of earlier versions hold none.
            result = stands if stands is not None else result
        except (ActivityError, ApplicationError, asyncio.CancelledError) as error:
            if is_cancelled_exception(error):
                await self._compensate(Status.CANCELED)
                self._mark(Status.CANCELED)
                raise
            failure = as_failure(error)
            result = replace(self._result(self._so_far(), began), status=Status.FAILED)
            message = str(getattr(failure, "message", failure))
            await self._compensate(Status.FAILED)
            self._show_end(f"**{Status.FAILED}**: {details.code(message, 1_000)}")
            self._mark(Status.FAILED, result.failed)
            raise ApplicationError(message, result, type=wire.RUN_FAILED, non_retryable=True) from None
        await self._compensate(result.status)
        # A list of runs says how they ended without asking each for its result.
        workflow.upsert_memo(
            {
                wire.STATUS_MEMO: result.status.value,
                wire.ITEMS_MEMO: result.items,
                wire.FAILED_MEMO: result.failed,
            }
        )
        self._mark(result.status, result.failed)
        why = f": {details.code(result.reason, 1_000)}" if result.reason else ""
        self._show_end(f"**{result.status}**, after {result.seconds:,.1f} s{why}")
        if result.status is Status.CANCELED:
            raise asyncio.CancelledError
        if result.status is Status.FAILED_TOLERANCE_EXCEEDED:
            raise ApplicationError(result.reason, result, type=wire.RUN_FAILED, non_retryable=True)
        return result

    @workflow.query(name=wire.PROGRESS_QUERY)
    def progress(self) -> NodeProgress:
        """Return the settled numbers of the run, and the root's live children."""
        searching = isinstance(self._order.stop_when, stopping.FirstSuccess)
        return replace(self._settled(), searching=searching)

    def _settled(self) -> NodeProgress:
        if self._below is None:
            return NodeProgress(total=self._planner.total, planned=False, totals=Totals())
        if isinstance(self._below, Partition):
            return self._below.progress()
        return self._below.progress(self._planner.total, self._planner.complete)

    @workflow.signal(name=wire.SPARE_SIGNAL)
    def give_up(self, spare: Spare) -> None:
        """Spend elsewhere what a batch of a small run needs no more."""
        if isinstance(self._below, Partition):
            self._below.give_up(spare.key, spare.count)

    @workflow.signal(name=wire.INTERIM_SIGNAL)
    def hear(self, said: Interim) -> None:
        """Take note of what a child says of itself."""
        if isinstance(self._below, Branch):
            self._below.hear(said)

    @workflow.query(name=wire.HASTE_QUERY)
    def hasty(self) -> bool:
        """Return whether batches of a small run that are told to end cut off what they have in flight."""
        return not isinstance(self._below, Partition) or self._below.hasty

    @workflow.signal(name=wire.ORDER_SIGNAL, unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON)
    async def order(self, order: Order) -> None:
        """Carry an order out, and let the tree know; sent twice, it counts once."""
        if order.id in self._orders:
            return
        self._orders.add(order.id)
        stance, effect = orders.apply(self._stance, order)
        if effect.refused:
            return
        self._take(stance)
        if order.kind == "pause" and order.resume_after is not None:
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self._stance.pause_id != order.id,
                    timeout=order.resume_after,
                    timeout_summary=f"{wire.PAUSE_TIMER}{order.id}",
                )
            if self._stance.pause_id == order.id:
                self._take(orders.over(self._stance))

    # ---- orders

    def _take(self, stance: orders.Stance) -> None:
        self._stance = stance
        self._version += 1
        # Whoever lists runs asks no workflow.
        workflow.upsert_memo({wire.STATUS_MEMO: stance.status.value})
        self._mark(stance.status)
        if self._judge is not None:
            self._judge.tolerate(self._tolerance())
        if self._below is not None:
            self._below.obey(self._standing())

    def _standing(self) -> Standing:
        stance = self._stance
        concurrency = stance.max_concurrency or self._concurrency
        return Standing(
            version=self._version,
            concurrency=concurrency,
            paused=stance.paused,
            now=stance.now,
            draining=stance.draining,
            revoked=stance.revoked,
            tell_every=self._judge.tell_every if self._judge else 0,
            tell_counters=stopping.steps(self._order.stop_when),
            rate=per_second(stance.rate_limit or self._rate_limit) / max(concurrency, 1),
            enough=self._order.stop_when,
        )

    # ---- what ends it early

    def _tolerance(self) -> tolerance.Tolerance:
        return tolerance.of(self._stance.tolerated_failures or self._tolerated, self._sample)

    def _new_judge(self) -> judge.Judge:
        return judge.Judge(
            self._tolerance(),
            failed=lambda: self._below.interim.failed if self._below else 0,
            total=lambda: self._planner.total,
            planned=lambda: self._planner.complete,
            count=self._count,
        )

    async def _count(self) -> Totals:
        if isinstance(self._below, Partition):
            return self._below.totals
        return await quick.execute(
            wire.COUNT_ACTIVITY,
            CountInput(self._output, self._order.nonce),
            Totals,
            small=False,
            summary="count what is settled: many items fail",
        )

    async def _keep_judging(self) -> None:
        if self._judge is not None:
            await self._judge.exceeded()
            self._take(orders.fail(self._stance))

    async def _keep_counting(self) -> None:
        enough = self._order.stop_when
        if enough is not None:
            await workflow.wait_condition(lambda: stopping.has_come(enough, self._counted))
            self._take(orders.stop(self._stance))

    def _counted(self, counter: str) -> float:
        return self._below.interim.counters.get(counter, 0.0) if self._below else 0.0

    # ---- planning

    async def _run_tree(self) -> BranchOutput:
        first = await self._plan()
        options = from_carried(first.options)
        self._output = first.output
        self._concurrency, self._rate_limit = options.max_concurrency, options.rate_limit
        if "tolerated_failures" in first.options:
            # Runs that an earlier version has planned tolerate all.
            self._tolerated, self._sample = options.tolerated_failures, options.tolerance_sample
            self._judge = self._new_judge()
        shape = topology.plan(
            self._planner.total, options, exact=self._planner.complete, list_size=first.list_size
        )
        self._planner.unit = shape.unit(shape.levels)
        run = RunRef(
            run_id=workflow.info().workflow_id,
            output=first.output,
            nonce=self._order.nonce,
            processor=self._order.processor,
            options=first.options,
            partition_size=shape.partition_size,
            max_children=shape.max_children,
            batch_concurrency=shape.batch_concurrency,
            # A rerun counts its items by their positions among all that were selected.
            first=self._order.source.skip if self._order.rerun is None else 0,
            list_size=first.list_size,
        )
        with quick.alongside(self._keep_judging(), self._keep_counting()):
            if topology.runs_alone(shape, self._planner.total, options):
                return await self._run_alone(run)
            self._below = Branch(
                run, shape, level=shape.levels, items=self._planner.total, standing=self._standing()
            )
            self._below.exact = self._planner.complete
            with quick.alongside(self._planner.stay_ahead(self._plan)):
                return await self._below.run(self._planner.next_span)

    async def _run_alone(self, run: RunRef) -> BranchOutput:
        """Run the only partition inside the root."""
        span = self._planner.take(topology.SMALL)
        if span is None:
            return BranchOutput(items=0, totals=Totals())
        standing = self._standing()
        branch = BranchInput(
            run, -1, span.start, span.count, span.pages, standing.concurrency, standing=standing
        )
        self._below = partition = Partition(branch, endless=True)
        return await partition.run() or partition.output()

    async def _plan(self) -> PlanOutput:
        """Find the next page."""
        output = await self._planner.next_page()
        if isinstance(self._below, Branch):
            self._below.total, self._below.exact = self._planner.total, self._planner.complete
        if self._planner.complete and output.announced:
            # Known without a worker, too.
            workflow.upsert_memo({wire.ITEMS_MEMO: self._planner.total})
        return output

    # ---- the ends

    def _mark(self, status: Status, failed: int | None = None) -> None:
        """Let lists find the run by its status, where the namespace has search attributes for it."""
        if updates := searchattributes.updates(self._order.attributes, status, failed):
            workflow.upsert_search_attributes(updates)

    def _show_end(self, words: str) -> None:
        words = f"{words}{self._compensation}"
        if self._below is None:
            workflow.set_current_details(words)
        else:
            self._below.show(words)

    def _so_far(self) -> BranchOutput:
        if self._below is None:
            return BranchOutput(items=0, totals=Totals())
        return self._below.output()

    def _result(self, output: BranchOutput, began: float) -> RunResult:
        totals = output.totals
        not_run = self._planner.total - totals.done
        tolerated = self._judge.tolerance if self._judge else None
        failing = self._stance.failing or (
            tolerated is not None and tolerated.is_exceeded(totals.failed, totals.done, self._planner.total)
        )
        task = asyncio.current_task()
        canceled = not_run > 0 and (task is None or task.cancelling() > 0)
        enough, reason = self._order.stop_when, ""
        if failing and not canceled:
            status = Status.FAILED_TOLERANCE_EXCEEDED
            reason = f"{totals.failed:,} of the {totals.done:,} items that were settled failed; "
            reason += f"tolerated_failures is {tolerated}"
        elif not_run:
            # Of a run that is canceled while it is drained, the stronger order counts.
            status = Status.STOPPED if self._stance.draining and not canceled else Status.CANCELED
            if self._stance.enough and enough is not None:
                reason = stopping.reason(enough, totals)
        elif totals.failed:
            status = Status.COMPLETED_WITH_FAILURES
        else:
            status = Status.SUCCEEDED
        return RunResult(
            run_id=workflow.info().workflow_id,
            status=status,
            items=self._planner.total,
            succeeded=totals.succeeded,
            failed=totals.failed,
            not_run=not_run,
            error_types=totals.error_types,
            partitions=output.partitions,
            slowest=output.slowest,
            seconds=round(workflow.time() - began, 3),
            output=self._output,
            counters=totals.counters,
            reason=reason,
            rerun="" if self._order.rerun is None else self._order.rerun.words,
            matched=totals.matched if isinstance(enough, stopping.FirstSuccess) else None,
        )

    async def _compensate(self, status: Status) -> None:
        """Start what undoes the run, where it was started so and has failed."""
        if self._order.compensate is not None and self._output and status in COMPENSATED:
            order = CompensateInput(
                self._output, self._order.nonce, self._order.compensate, self._order.environment
            )
            self._compensation = await quick.to_the_end(start_compensation(order))

    async def _finalize(self, result: RunResult) -> RunResult:
        return await quick.execute(
            wire.FINALIZE_ACTIVITY,
            FinalizeInput(output=self._output, nonce=self._order.nonce, result=result),
            RunResult,
            small=result.items <= topology.SMALL,
            summary="check the whole run, write the manifest",
        )


def _nonce() -> str:
    """Return what no other start of the run has; it stays the same when the workflow is reset."""
    return workflow.info().first_execution_run_id.replace("-", "")
