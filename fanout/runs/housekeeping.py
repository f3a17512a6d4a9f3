"""What nobody needs any more: the output of an ended run, its histories, and outputs that are old."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.client import WorkflowExecution as Listed
from temporalio.service import RPCError, RPCStatusCode

from fanout import wire
from fanout.compensation import compensation_id
from fanout.errors import RunNotFound, UsageError
from fanout.plugin import store_of
from fanout.runs.info import read_info, refused
from fanout.storage import removal
from fanout.storage.layout import check_run_id
from fanout.storage.removal import Extent, Stored
from fanout.storage.roots import display, to_url


@dataclass(frozen=True)
class Deleted:
    """What was deleted of a run.

    Attributes:
        run_id: The run's id.
        outputs: URLs of its outputs, one for each execution.
        objects: Objects in them.
        bytes: Of all of them.
        histories: Histories of workflows that the server was told to delete; it takes a minute for that.
    """

    run_id: str
    outputs: list[str]
    objects: int
    bytes: int
    histories: int


@dataclass(frozen=True)
class OldOutput:
    """The output of a run that ended long ago.

    Attributes:
        run_id: The run's id.
        execution: First execution id of its root workflow.
        output: Where it lies.
        ended: When.
        items: How many items the run had; None where it was ended without a manifest.
        objects: Objects in it.
        bytes: Of all of them.
    """

    run_id: str
    execution: str
    output: str
    ended: datetime
    items: int | None
    objects: int
    bytes: int
    stored: Stored

    async def delete(self) -> None:
        """Delete it.

        Raises:
            StoreError: An object cannot be deleted; try again.
        """
        await removal.remove(self.stored)


async def delete_run(client: Client, run_id: str, *, force: bool = False) -> Deleted:
    """Delete the outputs of all executions of an ended run, and the histories of its workflows.

    The outputs go first: what is cut off in the middle can be done again.

    Args:
        client: From `connect`, or any Temporal client.
        run_id: The run's id.
        force: Whether to delete also an output of which neither the server nor a manifest says that its run has ended.

    Raises:
        UsageError: The run, or a workflow of it, is still running; or nobody knows whether it is.
        RunNotFound: Neither the server nor the store knows the run.
        NoServer: The server does not answer.
        StoreError: An object cannot be deleted; try again.
    """
    check_run_id(run_id)
    workflows = await _workflows(client, run_id)
    for workflow in workflows:
        if workflow.status is WorkflowExecutionStatus.RUNNING:
            raise UsageError(
                f"run {run_id!r} has not ended: workflow {workflow.id!r} is running; cancel it first "
                f"(fanout cancel {run_id}), and wait for its end"
            )
    if await _undone_by(client, run_id):
        raise UsageError(
            f"run {run_id!r} is being undone by run {compensation_id(run_id)!r}, which reads its output: "
            "wait for its end"
        )
    stores = dict.fromkeys([store_of(client)])
    known: set[str] = set()
    for root in workflows:
        if root.workflow_type == wire.RUN_WORKFLOW:
            info = await read_info(root)
            known.add(info.execution)
            stores[info.output.rsplit("/", 2)[0]] = None
    outputs = [output for store in stores for output in await removal.find_of(store, run_id)]
    if not workflows and not outputs:
        raise RunNotFound(
            f"no run {run_id!r} in namespace {client.namespace!r}, nor an output of it in "
            f"{', '.join(display(store) for store in stores)} (see FANOUT_STORE)"
        )
    for output in outputs:
        if not (force or output.manifest or output.record.execution in known):
            raise UsageError(
                f"nobody knows whether run {run_id!r} has ended: the server at hand does not know it, and "
                f"{display(output.url)} has no manifest; if it runs nowhere else, say so by --force (force=True)"
            )
    extent = Extent()
    for output in outputs:
        extent += await removal.remove(output)
    for workflow in workflows:
        await _delete_history(client, workflow)
    return Deleted(run_id, [one.url for one in outputs], extent.objects, extent.bytes, len(workflows))


async def old_outputs(
    client: Client, older_than: timedelta | float, *, store: str | None = None
) -> list[OldOutput]:
    """Return the outputs in a store whose runs ended so long ago, the oldest first; delete them by their `delete`.

    Left out are: what has no marker of a run; the outputs of runs that live, or of which neither the server nor a
    manifest says when they ended; and what a run continues whose output stays, as they are read together.

    Args:
        client: From `connect`, or any Temporal client: its server says which runs live.
        older_than: For how long they must have ended, in seconds or as a timedelta.
        store: URL or path of the store. Default: that of the client.

    Raises:
        StoreError: The store cannot be read.
        NoServer: The server does not answer.
    """
    seconds = older_than.total_seconds() if isinstance(older_than, timedelta) else older_than
    before = datetime.fromtimestamp(time.time() - seconds, UTC)
    found = await removal.find_all(store_of(client) if store is None else to_url(store))
    ends = [(output, await _ended(client, output)) for output in found]
    old = [(output, ended) for output, ended in ends if ended is not None and ended <= before]
    gone = {output.url for output, _ in old}
    kept = [output for output in found if output.url not in gone]
    needed = removal.needed(kept, {output.url: output for output in found})
    listed = []
    for output, ended in sorted(old, key=lambda pair: pair[1]):
        # A compensation that has just begun may not have said so in its output yet.
        if output.url not in needed and await _undone_by(client, output.record.run_id) != output.url:
            extent = await removal.measure(output)
            listed.append(_listed(output, ended, extent))
    return listed


def _listed(output: Stored, ended: datetime, extent: Extent) -> OldOutput:
    return OldOutput(
        run_id=output.record.run_id,
        execution=output.record.execution,
        output=output.url,
        ended=ended,
        items=None if output.manifest is None else output.manifest.result.items,
        objects=extent.objects,
        bytes=extent.bytes,
        stored=output,
    )


async def _ended(client: Client, output: Stored) -> datetime | None:
    """Return when the run of an output ended; None where it lives, or nobody knows."""
    handle = client.get_workflow_handle(output.record.run_id, first_execution_run_id=output.record.execution)
    written = None if output.manifest is None else datetime.fromisoformat(output.manifest.written)
    try:
        current = await handle.describe()
        newest = await read_info(current)
        if newest.execution != output.record.execution:
            # The id was given to another run since; one that goes on from here may not have said so in its output yet.
            before = (newest.previous or "").rpartition("/")[2]
            if newest.closed is None and before == output.record.execution:
                return None
            current = await client.get_workflow_handle(
                output.record.run_id, run_id=output.record.execution
            ).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise refused(error, f"it is not known whether run {output.record.run_id!r} lives") from None
        return written
    return None if current.close_time is None else max(current.close_time, written or current.close_time)


async def _undone_by(client: Client, run_id: str) -> str | None:
    """Return the output of a run that its compensation is undoing just now; None where none does."""
    try:
        info = await read_info(await client.get_workflow_handle(compensation_id(run_id)).describe())
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise refused(error, f"it is not known whether run {run_id!r} is being undone") from None
        return None
    undone = info.undone
    return None if undone is None or info.closed is not None or undone.run_id != run_id else undone.output


async def _workflows(client: Client, run_id: str) -> list[Listed]:
    """Return all that the server knows of the root and of what is below it, in any execution of the run."""
    query = f"WorkflowId = '{run_id}' OR RootWorkflowId = '{run_id}'"
    found: dict[str, Listed] = {}
    try:
        async for listed in client.list_workflows(query):
            found[listed.run_id] = listed
        # Lists lag behind: of a run that has just begun they say nothing.
        root = await client.get_workflow_handle(run_id).describe()
        found[root.run_id] = root
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise refused(error, f"nothing is known of run {run_id!r}") from None
    return list(found.values())


async def _delete_history(client: Client, workflow: Listed) -> None:
    order = DeleteWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow.id, run_id=workflow.run_id),
    )
    try:
        await client.workflow_service.delete_workflow_execution(order)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise refused(error, f"the history of {workflow.id!r} was not deleted") from None
