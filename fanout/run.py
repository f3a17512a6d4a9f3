"""A run's handle: follow it, read what came of it, stop it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from pydantic_core import from_json
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError
from temporalio.service import RPCError, RPCStatusCode

from fanout import wire
from fanout.errors import RunFailed, RunNotFound, UsageError
from fanout.events import read_events
from fanout.failurekinds import FailureKinds
from fanout.models import Failure, FailureKind, ItemResult, Progress, RunEvent, RunResult, Status, Totals
from fanout.nodes import ask_nodes
from fanout.options import check
from fanout.plugin import store_of
from fanout.runinfo import RunInfo, count_pollers, read_info, refused, web_base
from fanout.storage.outputs import find_output
from fanout.storage.reading import chunks, committed, find_key, find_row, load_manifest
from fanout.storage.roots import display
from fanout.storage.stores import open_store
from fanout.trouble import find_trouble

if TYPE_CHECKING:
    from rich.console import Console

WAIT = 10.0
"""Seconds that an order waits for the run to take it."""

LOOK_EVERY = 0.2


class Run:
    """A run's handle. Get one from `fanout.start` or `fanout.get_run`.

    Attributes:
        id: The run's id.
        client: The client it was made with.
    """

    def __init__(self, client: Client, id: str, *, execution: str | None = None) -> None:
        self.client = client
        self.id = id
        self._execution = execution
        self._output: str | None = None
        self._last: tuple[float, int] | None = None

    def __repr__(self) -> str:
        return f"<fanout run {self.id!r}>"

    @property
    def web_url(self) -> str | None:
        """Address of the run in Temporal Web, where that is known: see `FANOUT_WEB_URL`."""
        base = web_base(self.client.service_client.config.target_host)
        if base is None:
            return None
        path = (
            f"{base}/namespaces/{quote(self.client.namespace, safe='')}/workflows/{quote(self.id, safe='')}"
        )
        return f"{path}/{self._execution}/history" if self._execution else path

    async def info(self) -> RunInfo:
        """Return what the server knows of the run; works without workers.

        Raises:
            RunNotFound: The server knows no run of that id.
            NoServer: The server does not answer.
        """
        info = await read_info(await self._asked(self._handle().describe()))
        if self._execution not in (None, info.execution):
            # The id was given to another run since.
            info = await read_info(await self._asked(self._handle(self._execution).describe()))
        self._output = info.output
        self._execution = info.execution
        return info

    async def progress(self) -> Progress:
        """Return where the run stands: asked of its workflows, which costs no history.

        Raises:
            RunNotFound: The server knows no run of that id.
            NoWorker: The run goes on, but no worker answers for it.
            NoServer: The server does not answer.
        """
        info = await self.info()
        if info.closed is not None:
            return await self._final_progress(info)
        nodes = await ask_nodes(self.client, info)
        root = nodes[0]
        totals = sum((node.totals for node in nodes), Totals())
        seconds = (datetime.now(UTC) - info.started).total_seconds()
        rate = self._rate(totals.done)
        left = root.total - totals.done
        return Progress(
            status=info.status,
            total=root.total,
            planned=root.planned,
            succeeded=totals.succeeded,
            failed=totals.failed,
            in_flight=sum(node.in_flight for node in nodes),
            partitions=sum(1 for node in nodes if not node.children) - (not root.children),
            rate=rate,
            eta=left / rate if rate > 0 else None,
            seconds=seconds,
        )

    async def result(self) -> RunResult:
        """Wait for the run to end.

        Returns:
            What it did, where it ended as SUCCEEDED or COMPLETED_WITH_FAILURES.

        Raises:
            RunFailed: It ended otherwise.
            RunNotFound: The server knows no run of that id.
        """
        execution = self._execution
        while True:
            try:
                result: RunResult = await self._asked(self._handle(execution, RunResult).result())
                break
            except WorkflowFailureError as error:
                later = await self._reset_to() if isinstance(error.cause, TerminatedError) else None
                if later in (None, execution):
                    raise await self._failure(error.cause) from None
                execution = later
        if result.status is Status.STOPPED:
            raise RunFailed(f"run {self.id!r} was drained", status=result.status, result=result)
        return result

    async def show(self, console: Console | None = None) -> RunResult:
        """Show a progress bar, in a terminal or a notebook, until the run ends.

        Args:
            console: Where to show it; standard error by default.

        Raises:
            RunFailed: The run ended neither as SUCCEEDED nor as COMPLETED_WITH_FAILURES.
        """
        from fanout.observability.bar import show

        return await show(self, console=console)

    async def results(self, *, ordered: bool = False) -> AsyncIterator[ItemResult]:
        """Yield the results that are committed, also while the run goes on.

        Args:
            ordered: In the order of the items; otherwise as they lie in the output.
        """
        async for rows in self.rows("results", ordered=ordered):
            for row in rows:
                yield ItemResult(**from_json(row))

    async def failures(self, *, error_type: str | None = None) -> AsyncIterator[Failure]:
        """Yield the failures that are committed, also while the run goes on.

        Args:
            error_type: Only those of this type; all where it is None.
        """
        async for rows in self.rows("failures", ordered=True):
            for row in rows:
                failure = Failure(**from_json(row))
                if error_type in (None, failure.error_type):
                    yield failure

    async def failure_kinds(self, *, error_type: str | None = None) -> list[FailureKind]:
        """Return the failures that are committed counted by kind, the most frequent kind first.

        Failures are of one kind where their types are the same, and their messages but for numbers, ids, quoted
        strings, paths, URLs, times and addresses. A thousand kinds are told apart; further messages count as other
        messages of their type.

        Args:
            error_type: Only those of this type; all where it is None.
        """
        kinds = FailureKinds()
        async for rows in self.rows("failures", ordered=True):
            for row in rows:
                failure = from_json(row)
                if error_type in (None, failure["error_type"]):
                    kinds.add(failure)
        return kinds.most_common()

    async def rows(
        self, kind: Literal["results", "failures"], *, ordered: bool = False
    ) -> AsyncIterator[list[bytes]]:
        """Yield committed rows as lines of JSON, many at a time: the fast way to millions of them.

        Args:
            kind: `"results"` or `"failures"`.
            ordered: In the order of the items.
        """
        store = open_store(await self.output())
        async for rows in chunks(store, kind, ordered=ordered):
            yield rows

    async def item(self, index: int | None = None, *, key: str | None = None) -> ItemResult | Failure | None:
        """Return the outcome of one item; None while it has none.

        Args:
            index: Position of the item in the source.
            key: Or its key; takes a look through all rows.
        """
        store = open_store(await self.output())
        if index is not None:
            found = await find_row(store, index)
        else:
            found = await find_key(store, str(key))
        if found is None:
            return None
        kind, row = found
        return ItemResult(**row) if kind == "results" else Failure(**row)

    async def cancel(self, *, reason: str = "") -> None:
        """Ask the run to end: what is in flight is cut off, what was committed is published.

        The order is kept by the server and carried out as soon as a worker is there.

        Args:
            reason: For the run's history.

        Raises:
            RunNotFound: The server knows no such run, or it has ended.
        """
        if (await self.info()).closed is not None:
            # The server takes this for done.
            raise RunNotFound(f"run {self.id!r} has ended: there is nothing to cancel")
        await self._asked(self._handle().cancel(reason=reason))

    async def terminate(self, *, reason: str = "") -> None:
        """End the run and all below it at once; committed results stay readable, nothing is published any more.

        Args:
            reason: For the run's history.

        Raises:
            RunNotFound: The server knows no such run, or it has ended.
        """
        await self._asked(self._handle().terminate(reason=reason))

    async def pause(
        self, *, now: bool = False, resume_after: float | None = None, reason: str = "", wait: float = WAIT
    ) -> RunEvent:
        """Let nothing new begin until the run is resumed; batches that run end as usual.

        Args:
            now: Cut off what is in flight as well; it runs again later, and this counts as no attempt.
            resume_after: Seconds after which the run goes on by itself.
            reason: For `events`.
            wait: Seconds to wait until the run has taken the order. It is kept by the server in any case, and carried
                out as soon as a worker is there.

        Returns:
            What the order has done; `taken` is false where the run has not taken it in time.

        Raises:
            RunNotFound: The server knows no such run, or it has ended.
        """
        return await self._order("pause", wait, reason=reason, now=now, resume_after=resume_after)

    async def resume(self, *, reason: str = "", wait: float = WAIT) -> RunEvent:
        """Let a paused run go on. Arguments and errors as for `pause`."""
        return await self._order("resume", wait, reason=reason)

    async def update(self, *, max_concurrency: int, reason: str = "", wait: float = WAIT) -> RunEvent:
        """Change how many items may be in flight. Where that is less, batches begin nothing more and end.

        Args:
            max_concurrency: Items in flight over the whole run, 1 to 10,000,000.
            reason: For `events`.
            wait: As for `pause`.

        Raises:
            UsageError: The number is out of bounds.
            RunNotFound: The server knows no such run, or it has ended.
        """
        checked = check({"max_concurrency": max_concurrency})
        return await self._order("update", wait, reason=reason, **checked)

    async def drain(self, *, reason: str = "", wait: float = WAIT) -> RunEvent:
        """End the run in order: what is in flight ends, the rest is not run, what is done is published.

        The run ends as STOPPED, unless all of its items are done. Arguments and errors as for `pause`.
        """
        return await self._order("drain", wait, reason=reason)

    async def events(self) -> list[RunEvent]:
        """Return the orders that the run was given, the oldest first; needs no worker.

        Raises:
            RunNotFound: The server knows no run of that id.
            NoServer: The server does not answer.
        """
        description = await self._asked(self._handle().describe())
        first = description.raw_info.first_run_id or description.run_id
        execution = description.run_id if self._execution in (None, first) else self._execution
        history = await self._asked(
            self.client.get_workflow_handle(self.id, run_id=execution).fetch_history()
        )
        return await read_events(self.client, history.events, time.time())

    async def trouble(self) -> str | None:
        """Return what the run waits for, or why its batches are being repeated, as the server knows; None if nothing.

        Items that fail are no trouble: this is about workers and stores.
        """
        return await find_trouble(self.client, self.id)

    async def pollers(self) -> int:
        """Return how many workers polled the run's task queue within the last minute."""
        info = await self.info()
        return await count_pollers(self.client, info.task_queue)

    async def output(self) -> str:
        """Return the URL of the run's output: from the server or, once that has forgotten the run, from the store.

        Raises:
            RunNotFound: Neither the server nor the client's store knows the run.
            NoServer: The server does not answer.
        """
        if self._output is None:
            try:
                return (await self.info()).output
            except RunNotFound as error:
                self._output = await self._stored(error)
        return self._output

    # ---- private

    async def _order(self, kind: str, wait: float, **said: Any) -> RunEvent:
        """Send an order, and wait until the run has taken it."""
        if (await self.info()).closed is not None:
            raise RunNotFound(f"run {self.id!r} has ended: there is nothing to {kind}")
        order = wire.Order(uuid.uuid4().hex, kind, time.time(), self.client.identity, **said)
        await self._asked(self._handle().signal(wire.ORDER_SIGNAL, order))
        recorded = RunEvent(order.id, kind, order.at, order.who, order.reason, effect="")
        until = time.monotonic() + wait
        while True:
            # The server shows a signal only once the workflow task is over that was going on when it came.
            found = [event for event in await self.events() if event.id == order.id]
            left = until - time.monotonic()
            if left <= 0 or (found and found[0].taken):
                return found[0] if found else recorded
            await asyncio.sleep(min(LOOK_EVERY, left))

    def _handle(
        self, execution: str | None = None, result_type: type[Any] | None = None
    ) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(
            self.id, run_id=execution, first_execution_run_id=self._execution, result_type=result_type
        )

    async def _asked(self, answer: Any) -> Any:
        try:
            return await answer
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise RunNotFound(
                    f"no run {self.id!r} in namespace {self.client.namespace!r}, or it has ended already: "
                    "see `fanout list`"
                ) from None
            raise refused(error, f"nothing is known of run {self.id!r}") from None

    async def _stored(self, unknown: RunNotFound) -> str:
        """Return the URL of an output in the client's store."""
        store = store_of(self.client)
        try:
            found = await find_output(store, self.id, self._execution)
        except UsageError:
            # No run can have such an id.
            raise unknown from None
        if found is None:
            raise RunNotFound(
                f"{unknown}; nor is there an output of it in {display(store)} (see FANOUT_STORE)"
            )
        return found.url

    async def _final_progress(self, info: RunInfo) -> Progress:
        result = await self._known_result()
        seconds = ((info.closed or info.started) - info.started).total_seconds()
        if result is None:
            totals = await committed(open_store(info.output))
            return Progress(
                status=info.status, succeeded=totals.succeeded, failed=totals.failed, seconds=seconds
            )
        return Progress(
            status=info.status,
            total=result.items,
            planned=True,
            succeeded=result.succeeded,
            failed=result.failed,
            seconds=seconds,
        )

    async def _known_result(self) -> RunResult | None:
        try:
            return await self.result()
        except RunFailed as error:
            return error.result

    async def _reset_to(self) -> str | None:
        """Return the execution that goes on with the run, where it was reset; None where it was terminated."""
        description = await self._asked(self._handle().describe())
        first = description.raw_info.first_run_id or description.run_id
        current: str = description.run_id
        return current if self._execution in (None, first) and current != first else None

    async def _failure(self, cause: BaseException) -> RunFailed:
        if isinstance(cause, ApplicationError):
            result = _result_of(cause)
            return RunFailed(f"run {self.id!r} failed: {cause.message}", status=Status.FAILED, result=result)
        status = {CancelledError: Status.CANCELED, TerminatedError: Status.TERMINATED}.get(
            type(cause),
            Status.FAILED,
        )
        manifest = await load_manifest(open_store(await self.output()))
        result = None if manifest is None else manifest.result
        said = f": {cause}" if str(cause) and status is Status.FAILED else ""
        return RunFailed(f"run {self.id!r} was {status.lower()}{said}", status=status, result=result)

    def _rate(self, done: int) -> float:
        now = time.monotonic()
        last, self._last = self._last, (now, done)
        if last is None or now <= last[0]:
            return 0.0
        return max(0.0, (done - last[1]) / (now - last[0]))


def _result_of(error: ApplicationError) -> RunResult | None:
    if error.type != wire.RUN_FAILED or not error.details:
        return None
    details = dict(error.details[0])
    details["status"] = Status(details["status"])
    return replace(RunResult(**details))
