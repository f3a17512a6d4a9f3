"""Whether the worker that took a batch is fit for it."""

from __future__ import annotations

from typing import Any

from fanout.errors import WorkerUnfit
from fanout.processors import Processor
from fanout.storage.records import RunRecord
from fanout.versions import is_older


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
