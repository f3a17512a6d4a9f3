"""Whether the worker that took a batch is fit for it, and the batch for any worker."""

from __future__ import annotations

from typing import Any

from fanout.children.life import SUSPECT_AFTER, Account
from fanout.errors import ReducerFailed, WorkerUnfit
from fanout.processors import Processor
from fanout.storage.records import RunRecord
from fanout.versions import is_older

MOST_DEATHS = 8
"""Deaths in a row after which a reducer is to blame: since the second one items run in processes of their own."""


def check_deaths(account: Account, record: RunRecord) -> None:
    """Refuse a batch that kills its workers although its items cannot.

    Args:
        account: Of the batch.
        record: Of the run.

    Raises:
        ReducerFailed: It has done so again and again, and the run has a reducer: that runs in the worker.
    """
    if record.reduce is not None and account.deaths >= MOST_DEATHS:
        raise ReducerFailed(
            f"reducer {record.reduce.reducer!r} kills the workers: {account.deaths} have died of one batch, the last "
            f"{account.deaths - SUSPECT_AFTER} of them while its items ran in processes of their own"
        )


def check_version(processor: Processor[..., Any], record: RunRecord) -> None:
    """Refuse a batch for which this worker's version of the processor is too old.

    Args:
        processor: As this worker has it.
        record: Of the run: it says the version with which the run was planned.

    Raises:
        WorkerUnfit: This worker's version is older; one that is newer, or cannot be compared, goes on.
    """
    if is_older(processor.version, record.version):
        raise WorkerUnfit(
            f"has version {processor.version} of processor {processor.name!r}, the run was planned with "
            f"{record.version}: waiting for a worker that has it"
        )
