"""What the root workflow of a run carries on its outside: its memo, and the result in its failure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from temporalio.exceptions import ApplicationError

from fanout import messages, wire
from fanout.models import RunResult, Status


def result_of(error: ApplicationError) -> RunResult | None:
    """Return the result that the failure of a root workflow carries."""
    if error.type != wire.RUN_FAILED or not error.details:
        return None
    found: dict[str, Any] = dict(error.details[0])
    return RunResult(**{**found, "status": Status(found["status"])})


def memo_of(order: messages.RunInput) -> dict[str, Any]:
    """Return what a run's root carries for those who ask the server alone."""
    memo: dict[str, Any] = {wire.STORE_MEMO: order.store, wire.PROCESSOR_MEMO: order.processor}
    if order.previous is not None:
        memo[wire.PREVIOUS_MEMO] = order.previous
    if order.rerun is not None and not order.rerun.undone:
        memo[wire.RERUN_MEMO] = order.rerun.words
    if order.undone is not None:
        memo[wire.UNDONE_MEMO] = asdict(order.undone)
    return memo
