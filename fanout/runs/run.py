"""A run's handle: follow it, read what came of it, give it orders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError

from fanout.compensation import compensation_id
from fanout.envelope import result_of
from fanout.errors import RunFailed
from fanout.models import RunResult, Status
from fanout.processors import Processor
from fanout.runs.compensate import find_undone, start_compensation
from fanout.runs.orders import Orders
from fanout.runs.progress import Looks
from fanout.runs.rerun import select, start_rerun
from fanout.runs.rows import Rows
from fanout.storage.reading import load_manifest
from fanout.storage.reductions import with_reduced
from fanout.storage.stores import open_store
from fanout.storage.views import chain

if TYPE_CHECKING:
    from rich.console import Console


class Run(Looks, Rows, Orders):
    """A run's handle. Get one from `fanout.start` or `fanout.get_run`.

    Attributes:
        id: The run's id.
        client: The client it was made with.
    """

    async def result(self) -> RunResult:
        """Wait for the run to end.

        Returns:
            What it did, where it ended as SUCCEEDED or COMPLETED_WITH_FAILURES; or as STOPPED, because it was to stop
            at a number of matches (`FirstSuccess`) and has found them.

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
        result = await with_reduced(result)
        if result.status is Status.STOPPED and not result.found:
            why = f"stopped: {result.reason}" if result.reason else "drained"
            raise RunFailed(f"run {self.id!r} was {why}", status=result.status, result=result)
        return result

    async def rerun(
        self,
        *,
        failed: bool | None = None,
        not_run: bool | None = None,
        error_type: str | None = None,
        group: str | None = None,
        keys: Iterable[str] | None = None,
        processor: Processor[..., Any] | Callable[..., Any] | str | None = None,
        task_queue: str | None = None,
        **settings: Any,
    ) -> Run:
        """Run again what failed, and what was not run, once the run has ended; any number of times.

        The rerun is a further run under the same id, over the same source, with the same parameters and options. All of
        them read as one: the newest outcome of each item counts.

        Args:
            failed: Whether to run again what failed.
            not_run: Whether to run what was not run, as after a cancellation. Where neither is said, both are run again
                (but only what failed, if one of the following is given); where one is, only that.
            error_type: Of what failed, only items with this error type.
            group: Of what failed, only this group: its short name, or `"ValueError: not <n>"`; see `failure_kinds`.
            keys: Of what failed, only items with these keys.
            processor: Instead of the run's own; which may well be another version by now.
            task_queue: Instead of the run's own.
            **settings: Any field of `fanout.Options`, instead of what the run was started with.

        Returns:
            The rerun.

        Raises:
            UsageError: The run has not ended, or there is nothing to run again; or an argument does not fit.
            RunNotFound: Neither the server nor the client's store knows the run.
            RunExists: Somebody else has just started it again.
            NoServer: The server does not answer.
        """
        selection = select(failed, not_run, error_type, group, keys=keys is not None)
        execution = await start_rerun(
            self, selection, keys, processor=processor, task_queue=task_queue, settings=settings
        )
        return Run(self.client, self.id, execution=execution)

    async def compensate(
        self,
        processor: Processor[..., Any] | Callable[..., Any] | str | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        task_queue: str | None = None,
        **settings: Any,
    ) -> Run:
        """Undo what succeeded, once the run has ended: by a run of its own, which has the id `<run>.compensation`.

        It runs a processor over the items that have a result in this run, or in one that it continues or reruns. Each
        is undone once: where there is a compensation already, that is returned. Items are undone in no certain order.

        Args:
            processor: What undoes an item: it takes the item and, where it says `compensates=`, the output that the
                item had. Default: the one that the run was started with.
            params: Of that processor; the run's own parameters hold where it takes them, too.
            task_queue: Instead of the run's own.
            **settings: Any field of `fanout.Options`, of the compensation.

        Returns:
            The compensation.

        Raises:
            UsageError: The run has not ended, nothing succeeded, or nobody says what undoes it; or an argument does not
                fit.
            RunNotFound: Neither the server nor the client's store knows the run.
            NoServer: The server does not answer.
        """
        started = await start_compensation(
            self, processor, params=params, task_queue=task_queue, settings=settings
        )
        return Run(self.client, started.run_id, execution=started.execution)

    async def compensation(self) -> Run | None:
        """Return the run that undoes what succeeded in this one, as the server knows it; None where there is none."""
        other = Run(self.client, compensation_id(self.id))
        undone = await find_undone(other)
        if undone is None or undone not in [one.url for one in await chain(await self.readable())]:
            return None
        return other

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
        from fanout.runs.report import write_report

        return await write_report(self, Path(path))

    # ---- private

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
        compensation = (await self.info()).compensation
        undone = f"; what succeeded is undone: fanout watch {compensation}" if compensation else ""
        if isinstance(cause, ApplicationError):
            result = result_of(cause)
            result = result and await with_reduced(result)
            status = Status.FAILED if result is None else result.status
            return RunFailed(f"run {self.id!r} failed: {cause.message}{undone}", status=status, result=result)
        status = {CancelledError: Status.CANCELED, TerminatedError: Status.TERMINATED}.get(
            type(cause),
            Status.FAILED,
        )
        manifest = await load_manifest(open_store(await self.output()))
        result = None if manifest is None else await with_reduced(manifest.result)
        said = f": {cause}" if str(cause) and status is Status.FAILED else ""
        return RunFailed(f"run {self.id!r} was {status.lower()}{said}{undone}", status=status, result=result)
