"""Finding the output of a run by its id alone, once Temporal has forgotten the run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from fanout.errors import ObjectMissing, StoreError
from fanout.storage import markers, roots
from fanout.storage.layout import RUN, check_run_id, output_url
from fanout.storage.publishing import load_manifest
from fanout.storage.records import Manifest
from fanout.storage.stores import open_store


@dataclass(frozen=True)
class Output:
    """The output of one execution of a run.

    Attributes:
        url: Where it lies.
        manifest: What the run did; None where it ended without one, as when it was terminated.
        began: When it was claimed, in seconds since the epoch.
        previous: URL of the output that it continues, or takes items of up again, if any.
    """

    url: str
    manifest: Manifest | None
    began: float
    previous: str | None = None


async def find_output(store_url: str, run_id: str, execution: str | None = None) -> Output | None:
    """Return the output of a run: of several executions the one that ended last.

    Where none of them has ended in order, it is the one that began last. One that another goes on from is read with
    that, and is not the one.

    Args:
        store_url: Of the store that holds the outputs of all runs.
        run_id: The run's id.
        execution: First execution id of the root workflow, where only that one is wanted.

    Returns:
        The output; None where there is none.

    Raises:
        StoreError: The store cannot be read.
    """
    folder = roots.join(store_url, check_run_id(run_id))
    names = await open_store(folder).folders() if execution is None else [execution]
    looked = await asyncio.gather(*(_look(output_url(store_url, run_id, name)) for name in names))
    there = [output for output in looked if output is not None]
    gone_on_from = {_execution(output.previous) for output in there if output.previous}
    last = [output for output in there if _execution(output.url) not in gone_on_from]
    return max(last or there, key=_lateness, default=None)


async def _look(url: str) -> Output | None:
    store = open_store(url)
    try:
        began = await store.modified(RUN)
    except ObjectMissing:
        # Staged items, or what somebody else has put here.
        return None
    try:
        previous = (await markers.load_run(store, None)).previous
    except StoreError:
        previous = None
    return Output(url, await load_manifest(store), began, previous)


def _execution(url: str) -> str:
    return url.rpartition("/")[2]


def _lateness(output: Output) -> tuple[str, float]:
    return (output.manifest.written if output.manifest else "", output.began)
