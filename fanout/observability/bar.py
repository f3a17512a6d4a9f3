"""Follows a run until it ends, and shows where it stands."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from fanout.errors import NoServer, NoWorker
from fanout.models import Progress, RunResult, Status
from fanout.observability.drawing import View, clock, one_line, screen

if TYPE_CHECKING:
    from rich.console import Console

    from fanout.runs.info import RunInfo

TICK = 0.25
"""Seconds between two drawings."""

NO_WORKER_AFTER = 5.0
"""Seconds without progress after which we ask who polls the queue: a worker may be just starting."""

TROUBLE_AFTER = 10.0
TROUBLE_EVERY = 5.0
"""Seconds without progress after which we ask what is in its way although workers poll, and between two such questions:
each takes an answer of the server for every workflow of the run."""

LONGEST_TROUBLE = 160
"""Letters of it that are shown."""

PATIENCE = 600.0
"""Seconds that a server may be away before the watcher gives up; the run itself does not."""

FIRST_PAUSE = 0.5
PAUSE = 1.0
"""Seconds between two looks: at first, when a short run may end any moment, and later."""

_LOOK_TIMEOUT = 15.0


class Watchable(Protocol):
    """What the bar needs of a `Run`."""

    id: str

    @property
    def web_url(self) -> str | None:
        """The run's page in Temporal Web."""

    async def info(self) -> RunInfo:
        """Return what the server says of the run."""

    async def progress(self) -> Progress:
        """Return where the run stands."""

    async def pollers(self) -> int:
        """Return how many workers polled the queue lately."""

    async def trouble(self) -> str | None:
        """Return why batches are being repeated."""

    async def result(self) -> RunResult:
        """Wait for the end."""


async def show(
    run: Watchable, *, console: Console | None = None, modules: str = "MODULE", patience: float = PATIENCE
) -> RunResult:
    """Show a run's progress until it ends.

    Args:
        run: The run.
        console: Where to draw; stderr by default, the notebook in a notebook.
        modules: What `fanout worker` would have to serve, for the advice when nobody does.
        patience: Seconds that the server may be away.

    Returns:
        What the run did.

    Raises:
        RunFailed: It ended in another status than SUCCEEDED or COMPLETED_WITH_FAILURES.
        NoServer: The server was away for longer than `patience`.
    """
    watch = _Watch(run, modules, patience)
    with screen(console) as shown:
        if run.web_url:
            shown.say(f"Temporal Web: {run.web_url}")
        ending = asyncio.ensure_future(_result(run, patience))
        looking = asyncio.ensure_future(watch.looks())
        try:
            while True:
                await asyncio.wait({ending, looking}, timeout=TICK, return_when=asyncio.FIRST_COMPLETED)
                if ending.done() or looking.done():
                    break
                shown.draw(watch.view())
            if looking.done() and not ending.done():
                looking.result()  # the server has been away for too long
            result = _outcome(ending)
            if result is not None:
                shown.draw(watch.view_of(result), last=True)
        finally:
            for task in (ending, looking):
                task.cancel()
            await asyncio.gather(ending, looking, return_exceptions=True)
    return ending.result()


class _Watch:
    """Asks the run for its numbers again and again, and keeps the last ones through trouble."""

    def __init__(self, run: Watchable, modules: str, patience: float) -> None:
        self._run = run
        self._modules = modules
        self._patience = patience
        self._progress = Progress(Status.RUNNING)
        self._began = time.monotonic()
        self._moved = self._began
        self._away_since: float | None = None
        self._unserved = ""
        self._trouble = ""
        self._asked = self._began

    def view(self) -> View:
        note = self._note()
        # What stands still has no rate.
        shown = replace(self._progress, rate=0.0, eta=None) if note else self._progress
        return View(self._run.id, shown, seconds=time.monotonic() - self._began, note=note)

    def view_of(self, result: RunResult) -> View:
        end = replace(
            self._progress,
            status=result.status,
            total=result.items,
            planned=True,
            succeeded=result.succeeded,
            failed=result.failed,
            matched=result.matched,
            in_flight=0,
        )
        return View(self._run.id, end, seconds=result.seconds)

    async def looks(self) -> None:
        """Look about twice a second at first, then each second, until cancelled."""
        looks = 0
        while True:
            try:
                async with asyncio.timeout(_LOOK_TIMEOUT):
                    if not looks:
                        await self._look_first()
                    await self._look()
            except Exception as error:
                if not is_outage(error):
                    raise
                self._note_away(error)
            else:
                self._away_since = None
                looks += 1
            await asyncio.sleep(FIRST_PAUSE if looks < 20 else PAUSE)

    async def _look_first(self) -> None:
        info = await self._run.info()
        self._began = time.monotonic() - max(0.0, time.time() - info.started.timestamp())

    async def _look(self) -> None:
        """Ask for the numbers; where they stand still, first ask whether anyone is there to move them."""
        idle = time.monotonic() - self._moved > NO_WORKER_AFTER
        if idle and not await self._is_served():
            return
        await self._look_for_trouble()
        try:
            async with asyncio.timeout(NO_WORKER_AFTER):
                progress: Progress | None = await self._run.progress()
        except (NoWorker, TimeoutError):
            progress = None
        if progress is None or progress.stale:
            # What is in the store is worth showing; that it grows is the work of others.
            self._progress = progress or self._progress
            if idle:
                self._unserved = "the workers that poll the queue do not answer for this run just now"
            return
        now = time.monotonic()
        if progress.done > self._progress.done or not progress.status.live:
            self._moved = now
            self._trouble = ""
        self._unserved = ""
        self._progress = progress

    async def _is_served(self) -> bool:
        if await self._run.pollers():
            return True
        self._trouble = ""
        info = await self._run.info()
        self._unserved = "" if info.closed else no_worker(info.task_queue, self._modules)
        return False

    async def _look_for_trouble(self) -> None:
        now = time.monotonic()
        if now - self._moved > TROUBLE_AFTER and now - self._asked > TROUBLE_EVERY:
            self._asked = now
            found = await self._run.trouble()
            self._trouble = f"nothing moves: {one_line(found, LONGEST_TROUBLE)}" if found else ""

    def _note_away(self, error: BaseException) -> None:
        now = time.monotonic()
        self._away_since = self._away_since or now
        if now - self._away_since > self._patience:
            raise NoServer(
                f"the server has not answered for {clock(self._patience)}; the run goes on where it is: "
                f"look again with `fanout watch {self._run.id}`"
            ) from error

    def _note(self) -> str:
        if self._away_since is not None:
            return (
                f"the server has not answered for {clock(time.monotonic() - self._away_since)}; trying again"
            )
        return self._trouble or self._unserved


def no_worker(task_queue: str, modules: str = "MODULE") -> str:
    """Return the advice for a queue that nobody polls."""
    return f'no worker polls "{task_queue}": {advice(task_queue, modules)}'


def advice(task_queue: str, modules: str = "MODULE") -> str:
    """Return how to start a worker for a queue."""
    queue = "" if task_queue == "fanout" else f" --task-queue {task_queue}"
    return f"start one with: fanout worker {modules}{queue}"


async def _result(run: Watchable, patience: float) -> RunResult:
    """Wait for the run's end, through outages of the server; `_Watch` decides when they last too long."""
    until: float | None = None
    while True:
        try:
            return await run.result()
        except Exception as error:
            until = until or time.monotonic() + 2 * patience
            if not is_outage(error) or time.monotonic() > until:
                raise
        await asyncio.sleep(1.0)


def _outcome(ending: asyncio.Future[RunResult]) -> RunResult | None:
    error = ending.exception()
    return ending.result() if error is None else getattr(error, "result", None)


def is_outage(error: BaseException) -> bool:
    """Say whether an error means that the server is away for the moment, and worth another try."""
    from temporalio.service import RPCError

    from fanout.runs.info import OUTAGES

    if isinstance(error, RPCError):
        return error.status in OUTAGES
    return isinstance(error, (NoServer, TimeoutError, ConnectionError))
