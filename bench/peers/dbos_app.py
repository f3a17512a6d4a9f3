"""What DBOS's workers serve: a workflow for some batches, with a step for each."""

from __future__ import annotations

from dbos import DBOS

from bench.peers.batches import Batch, run_batch

QUEUE = "batches"


@DBOS.step()
def run_lines(batch: Batch) -> int:
    """Run one batch."""
    return run_batch(batch)


@DBOS.workflow()
def run_batches(batches: list[Batch]) -> int:
    """Run some batches one by one: what is done is not done again by whoever takes over."""
    return sum([run_lines(batch) for batch in batches])
