"""The activities above the partitions: planning, publishing a partition, finishing the run."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import datetime

from pydantic_core import from_json
from temporalio import activity

from fanout import reducing, templates, wire
from fanout.beside import beside
from fanout.boundary import failing, planning
from fanout.children import item_workflows
from fanout.compensators import check_ordinary
from fanout.inputs import (
    CompensateInput,
    CountInput,
    FinalizeInput,
    PlanInput,
    PlanOutput,
    PublishInput,
    PublishOutput,
)
from fanout.messages import RunInput
from fanout.models import RunResult, Totals
from fanout.options import carried, resolve
from fanout.parent import undoing
from fanout.processors import find
from fanout.readers.paging import next_page
from fanout.readers.selecting import Again, next_selected
from fanout.runs.compensate import start_automatically
from fanout.selection import Selection
from fanout.storage import chains, layout, reductions, roots, selections, views
from fanout.storage.chains import Link
from fanout.storage.markers import claim, load_run
from fanout.storage.publishing import finalize, publish
from fanout.storage.reading import committed
from fanout.storage.records import RunRecord
from fanout.storage.stores import Store, open_store
from fanout.workers.workbench import Workbench


class ParentActivities:
    """What a worker does for the workflows above the batches.

    Args:
        bench: What the activities of this process share.
    """

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench

    @activity.defn(name=wire.PLAN_ACTIVITY)
    @planning
    async def plan(self, order: PlanInput) -> PlanOutput:
        """Find the next page of the source; the first time, claim the output and settle the options.

        Raises:
            ApplicationError: The processor or reducer is unknown here, an option or parameter is wrong, the source
                cannot be read, or the output belongs to another run; not retried.
        """
        run = _filled(order)
        processor = find(run.processor, self.bench.processors)
        if run.reduce is not None:
            reducing.find(run.reduce)
        if order.step == 0:
            # Before it can be read together with this one.
            await self._close(run)
        undone = await self._undone(run)
        if undone:
            run = undoing.filled(run, processor, undone)
        else:
            check_ordinary(processor)
        options = resolve(run.settings, processor.settings, run.environment)
        output = layout.output_url(run.store, order.run_id, order.execution)
        store = open_store(self.bench.roots.check_output(output))
        if order.step == 0:
            await claim(
                store,
                RunRecord(
                    nonce=run.nonce,
                    run_id=order.run_id,
                    execution=order.execution,
                    processor=processor.name,
                    version=processor.version,
                    source=run.source,
                    params=processor.check_params(run.params),
                    options=carried(options),
                    previous=run.previous,
                    rerun=run.rerun,
                    settings=run.settings,
                    environment=run.environment,
                    undone=await undoing.measured(run.undone, undone),
                    compensator=None if run.compensate is None else run.compensate.processor,
                    stop_when=run.stop_when,
                    reduce=run.reduce,
                ),
            )
            await undoing.note(run, output)
        async with beating():
            if run.rerun is None:
                scan = await next_page(
                    run.source, self.bench.files, store, step=order.step, cursor=order.cursor, seen=order.seen
                )
            else:
                again = await self._again(run, run.rerun, undone)
                scan = await next_selected(
                    again, self.bench.files, store, cursor=order.cursor, selected=order.seen
                )
        return PlanOutput(
            scan=scan,
            output=output,
            options=carried(options),
            list_size=processor.list_size or 1,
            announced=True,
        )

    async def _close(self, run: RunInput) -> None:
        """Fix what counts of the outputs that a rerun begins from, or that a compensation undoes."""
        if run.rerun is not None and run.previous is not None:
            await views.close(open_store(self.bench.roots.check_output(run.previous)))
        if run.undone is not None:
            await views.close(open_store(self.bench.roots.check_output(run.undone.output)))

    async def _undone(self, run: RunInput) -> list[Link]:
        """Return the outputs that a compensation undoes; nothing for other runs."""
        check = self.bench.roots.check
        return [] if run.undone is None else await chains.look(open_store(check(run.undone.output)), check)

    async def _again(self, run: RunInput, selection: Selection, undone: list[Link]) -> Again:
        check = self.bench.roots.check
        links = await chains.look(open_store(check(run.previous)), check) if run.previous else []
        keys = None
        if selection.keys is not None:
            check(roots.join(run.store, selection.keys))
            keys = frozenset(from_json(await open_store(run.store).read(selection.keys)))
        return Again(selection, run.source, keys, links, undone)

    @activity.defn(name=wire.PUBLISH_ACTIVITY)
    @failing
    async def publish(self, order: PublishInput) -> PublishOutput:
        """Check that the commits of a partition tile it, and publish its rows; return what stands.

        Raises:
            ApplicationError: Items are lost or there twice; not retried.
        """
        store = open_store(self.bench.roots.check_output(order.output))
        record = await load_run(store, order.nonce)
        selected = await selections.of(store)
        folds = self.bench.folds(record)
        async with beating():
            roll_up = await publish(
                store,
                order.nonce,
                order.partition,
                order.start,
                order.count,
                order.not_run,
                rests=order.rests,
                keys=order.keys,
                seconds=order.seconds,
                selected=selected,
                fold=folds and folds(),
            )
        return PublishOutput(roll_up.totals, sum(count for _, count in roll_up.not_run))

    @activity.defn(name=wire.COUNT_ACTIVITY)
    @failing
    async def count(self, order: CountInput) -> Totals:
        """Count what is committed by now; return the sums."""
        store = open_store(self.bench.roots.check_output(order.output))
        async with beating():
            await load_run(store, order.nonce)
            return await committed(store)

    @activity.defn(name=wire.COMPENSATE_ACTIVITY)
    @failing
    async def compensate(self, order: CompensateInput) -> str:
        """Start the compensation of a run that fails; return its id, empty where nothing is to be undone.

        Raises:
            ApplicationError: It cannot be started; not retried.
        """
        store = open_store(self.bench.roots.check_output(order.output))
        await load_run(store, order.nonce)
        queue = activity.info().task_queue.removesuffix(wire.control_queue(""))
        async with beating():
            started = await start_automatically(activity.client(), order, queue, self.bench.roots.check)
        return "" if started is None else started.run_id

    @activity.defn(name=wire.FINALIZE_ACTIVITY)
    @failing
    async def finalize(self, order: FinalizeInput) -> RunResult:
        """Check the whole run and write its manifest; return the result that stands in it.

        Raises:
            ApplicationError: The partitions do not tile the run; not retried.
        """
        store = open_store(self.bench.roots.check_output(order.output))
        async with beating():
            record = await load_run(store, order.nonce)
            await self._end_items(record, order.result)
            result = await self._reduced(store, record, order.result)
            manifest = await finalize(store, record, result, result.partitions, complete=not result.not_run)
        return manifest.result

    async def _reduced(self, store: Store, record: RunRecord, result: RunResult) -> RunResult:
        """Return a result with what the run's reducer has made of all results."""
        folds = self.bench.folds(record)
        return (
            result
            if folds is None
            else await reductions.complete(store, result, folds, self.bench.roots.check)
        )

    async def _end_items(self, record: RunRecord, result: RunResult) -> None:
        """End the workflows of items whose batches were given up with their workers."""
        processor = self.bench.processors.get(record.processor)
        if result.not_run and processor is not None and processor.workflow is not None:
            await item_workflows.cancel_all(activity.client(), record.run_id, record.nonce)


def _filled(order: PlanInput) -> RunInput:
    """Return what was started, with the dates of a schedule's run filled in."""
    run = order.run
    if run.scheduled is None:
        return run
    moment = datetime.fromtimestamp(order.due, templates.zone(run.scheduled.time_zone))
    source, params = templates.fill_source(run.source, moment), templates.fill(run.params, moment)
    return replace(run, source=source, params=params)


def beating() -> contextlib.AbstractAsyncContextManager[None]:
    """Return what sends heartbeats as long as it is entered."""
    # The server does not know of local activities.
    return contextlib.nullcontext() if activity.info().is_local else beside(_beat())


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(1.0)
