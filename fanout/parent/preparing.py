"""The activity that prepares a run which a workflow starts: what `fanout.start` does on a client, on a worker."""

from __future__ import annotations

import os
from typing import Any

from temporalio import activity

from fanout import reducing, searchattributes, wire
from fanout.boundary import planning
from fanout.compensation import Compensator
from fanout.compensators import check_ordinary
from fanout.inputs import PrepareInput
from fanout.messages import RunInput
from fanout.options import from_environment
from fanout.parent.activities import beating
from fanout.processors import Processor, find
from fanout.readers.registry import from_source
from fanout.runs.compensate import compensator_of
from fanout.storage.layout import staged_path
from fanout.storage.roots import to_url
from fanout.storage.stores import open_store
from fanout.workers.workbench import Workbench


class PrepareActivity:
    """Prepares runs.

    Args:
        bench: What the activities of this process share.
        store: URL of the store that outputs go to where a run says none.
    """

    def __init__(self, bench: Workbench, store: str) -> None:
        self.bench = bench
        self._store = store

    @activity.defn(name=wire.PREPARE_ACTIVITY)
    @planning
    async def prepare(self, given: PrepareInput) -> RunInput:
        """Check what a run is to be started with; return what its root takes.

        Raises:
            ApplicationError: The processor is unknown here, a parameter is wrong, or the source cannot be read; not
                retried.
        """
        processor = find(given.processor, self.bench.processors)
        check_ordinary(processor)
        if given.reduce is not None:
            # It has to be known here, with these arguments.
            reducing.find(given.reduce)
        store = self.bench.roots.check(self._store if given.output is None else to_url(given.output))
        reader = from_source(given.source)
        async with beating():
            prepared = await reader.prepare(open_store(store), staged_path(given.run_id, given.nonce))
            attributes = await searchattributes.registered(activity.client())
        return RunInput(
            nonce=given.nonce,
            store=store,
            processor=processor.name,
            source=prepared.to_source(),
            params=processor.check_params(given.params),
            settings=given.settings,
            environment=from_environment(dict(os.environ)),
            stop_when=given.stop_when,
            attributes=attributes,
            compensate=self._compensator(given, processor),
            reduce=None if given.reduce is None else reducing.as_reduction(given.reduce),
        )

    def _compensator(self, given: PrepareInput, processor: Processor[..., Any]) -> Compensator | None:
        wanted = given.compensate
        if wanted is None:
            return None
        known = self.bench.processors.get(wanted.processor, wanted.processor)
        checked = compensator_of(known, processor, given.params, given.run_id)
        return Compensator(checked.processor, wanted.task_queue or checked.task_queue)
