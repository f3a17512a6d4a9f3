"""A run's handle: follow it, read what came of it, give it orders."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError

from fanout import wire
from fanout.errors import RunFailed
from fanout.models import Progress, RunResult, Status, Totals
from fanout.nodes import ask_nodes
from fanout.runinfo import RunInfo
from fanout.runorders import Orders
from fanout.runrows import Rows
from fanout.storage.reading import committed, load_manifest
from fanout.storage.stores import open_store

if TYPE_CHECKING:
    from rich.console import Console


class Run(Rows, Orders):
    """A run's handle. Get one from `fanout.start` or `fanout.get_run`.

    Attributes:
        id: The run's id.
        client: The client it was made with.
    """

    _last: tuple[float, int] | None = None

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
            counters=totals.counters,
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
            why = f"stopped: {result.reason}" if result.reason else "drained"
            raise RunFailed(f"run {self.id!r} was {why}", status=result.status, result=result)
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

    async def report(self, path: str | Path) -> Path:
        """Write what is known of the run as one HTML page, which loads nothing from elsewhere.

        Also while the run goes on, and once the server has forgotten it. Needs the extra `report`.

        Args:
            path: The file to write.

        Returns:
            The file.

        Raises:
            RunNotFound: Neither the server nor the client's store knows the run.
            StoreError: It has no output yet.
            UsageError: What draws the figures is not installed, or the file cannot be written.
        """
        from fanout.runreport import write_report

        return await write_report(self, Path(path))

    # ---- private

    async def _final_progress(self, info: RunInfo) -> Progress:
        result = await self._known_result()
        seconds = ((info.closed or info.started) - info.started).total_seconds()
        if result is None:
            totals = await committed(open_store(info.output))
            return Progress(
                status=info.status,
                succeeded=totals.succeeded,
                failed=totals.failed,
                seconds=seconds,
                counters=totals.counters,
            )
        return Progress(
            status=info.status,
            total=result.items,
            planned=True,
            succeeded=result.succeeded,
            failed=result.failed,
            seconds=seconds,
            counters=result.counters,
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
            status = Status.FAILED if result is None else result.status
            return RunFailed(f"run {self.id!r} failed: {cause.message}", status=status, result=result)
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
