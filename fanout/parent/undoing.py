"""What planning a compensation finds out of the run that it undoes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fanout.compensation import Undone
from fanout.compensators import check_fits
from fanout.messages import RunInput
from fanout.processors import Processor
from fanout.storage import chains, compensated
from fanout.storage.chains import Link
from fanout.storage.records import Compensated
from fanout.storage.stores import open_store


def filled(run: RunInput, processor: Processor[..., Any], links: Sequence[Link]) -> RunInput:
    """Return a compensation with the source and the parameters of what it undoes.

    Args:
        run: The compensation.
        processor: Its processor.
        links: The outputs that it undoes, the oldest first.

    Raises:
        UsageError: The processor is made for another one than theirs.
    """
    check_fits(processor, {link.record.processor for link in links})
    params = {**processor.taken(links[-1].record.params), **run.params}
    return replace(run, source=chains.source_of(links), params=params)


async def measured(undone: Undone | None, links: Sequence[Link]) -> Undone | None:
    """Return what a run undoes with the size of its results."""
    if undone is None:
        return None
    totals = await chains.totals(links)
    return replace(undone, mean=totals.result_bytes // max(totals.succeeded, 1))


async def note(run: RunInput, output: str) -> None:
    """Note in the output that a run undoes that it does so; a rerun of a compensation need not.

    Raises:
        StoreError: Another run undoes it.
    """
    if run.undone is not None and run.rerun is not None and run.rerun.undone:
        run_id = output.rsplit("/", 2)[1]
        await compensated.settle(open_store(run.undone.output), Compensated(run.nonce, run_id, output))
