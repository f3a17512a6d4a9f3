"""The last thing that a run does which fails and is to be undone: it starts its compensation."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import FailureError

from fanout import quick, wire
from fanout.inputs import CompensateInput
from fanout.observability import details


async def start_compensation(order: CompensateInput) -> str:
    """Start a compensation, which lives on its own; return what the details say of it.

    Where it cannot be started, the run still ends as it would have: the details say why.
    """
    try:
        run_id = await quick.execute(
            wire.COMPENSATE_ACTIVITY,
            order,
            str,
            small=False,
            summary=f"start what undoes the run: {order.compensate.processor}",
        )
    except FailureError as error:
        cause = error.cause or error
        return (
            f"; its compensation was not started: {details.code(str(getattr(cause, 'message', cause)), 500)}"
        )
    if not run_id:
        return ""
    # Whoever has the handle finds it there.
    workflow.upsert_memo({wire.COMPENSATION_MEMO: run_id})
    return (
        f"; what succeeded is undone by run {details.link(f'`{run_id}`', workflow.info().namespace, run_id)}"
    )
