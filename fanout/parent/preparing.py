"""The activity that prepares a run which a workflow starts: what `fanout.start` does on a client, on a worker."""

from __future__ import annotations

import os

from temporalio import activity

from fanout import searchattributes, wire
from fanout.boundary import planning
from fanout.inputs import PrepareInput
from fanout.messages import RunInput
from fanout.options import from_environment
from fanout.parent.activities import beating
from fanout.processors import find
from fanout.readers.registry import from_source
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
        )
