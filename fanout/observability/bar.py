"""A run's progress on a terminal, in a notebook, or as plain lines in a log."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from fanout.errors import NoServer, NoWorker
from fanout.models import Progress, RunResult, Status

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from fanout.runinfo import RunInfo

TICK = 0.25
"""Seconds between two drawings."""

NO_WORKER_AFTER = 5.0
"""Seconds without progress after which we ask who polls the queue: a worker may be just starting."""

PLAIN_EVERY = 10.0
"""Seconds between two lines where there is no terminal."""

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

    async def result(self) -> RunResult:
        """Wait for the end."""


class Rate:
    """Items per second over the last seconds, from samples of a counter that never goes back.

    Args:
        window: Seconds to look back. Batches commit every ten seconds or so: a shorter window would flicker.
    """

    def __init__(self, window: float = 20.0) -> None:
        self._window = window
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, moment: float, done: int) -> None:
        """Add what the counter says at a moment."""
        self._samples.append((moment, done))
        # The oldest sample that is kept stands at or before the window's beginning.
        while len(self._samples) > 2 and self._samples[1][0] <= moment - self._window:
            self._samples.popleft()

    @property
    def per_second(self) -> float:
        """Items per second; 0 until two samples differ."""
        if len(self._samples) < 2:
            return 0.0
        (began, before), (ended, after) = self._samples[0], self._samples[-1]
        return max(0.0, (after - before) / (ended - began)) if ended > began else 0.0


@dataclass(frozen=True)
class View:
    """What is drawn: the run's numbers, and what we have to say of them.

    Attributes:
        run_id: The run's id.
        progress: The last numbers that the run gave.
        rate: Items per second.
        seconds: Since the run began.
        note: What is wrong just now, and what to do.
    """

    run_id: str
    progress: Progress
    rate: float = 0.0
    seconds: float = 0.0
    note: str = ""

    @property
    def eta(self) -> float | None:
        """Seconds to go at the present rate; None where unknown."""
        left = self.progress.total - self.progress.done
        return left / self.rate if self.rate > 0 and left > 0 else None

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        return self.progress.status is not Status.RUNNING


def clock(seconds: float) -> str:
    """Write a duration as people read it on a clock: `0:01:12`, with days where it comes to that."""
    whole = int(seconds)
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, secs = divmod(rest, 60)
    return (f"{days}d " if days else "") + f"{hours}:{minutes:02}:{secs:02}"


def per_second(rate: float) -> str:
    """Write a rate: whole numbers where they are large, two digits where they are small."""
    return f"{rate:,.0f}/s" if rate >= 10 or rate == 0 else f"{rate:.2g}/s"


def plain(view: View) -> str:
    """Return the one line for a log."""
    done = view.progress
    parts = [f"{done.done:,} of {_total(done)} items{_percent(done)}"]
    if not view.ended:
        parts += [per_second(view.rate), f"{done.in_flight:,} in flight"]
    parts += [f"{done.failed:,} failed", clock(view.seconds)]
    if view.eta is not None and not view.ended:
        parts.append(f"about {clock(view.eta)} left")
    if view.ended:
        parts.append(done.status.lower().replace("_", " "))
    return f"{view.run_id}: {', '.join(parts)}" + (f"; {view.note}" if view.note else "")


def draw(view: View) -> RenderableType:
    """Return the drawing for a terminal: two lines, a third where something is wrong."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    done = view.progress
    known = done.total > 0
    bar = ProgressBar(
        total=done.total if known else None,
        completed=done.total if view.ended and not known else min(done.done, done.total),
        pulse=not known and not view.ended,
        finished_style="green" if done.status is Status.SUCCEEDED else "yellow",
    )
    first = Table.grid(padding=(0, 1), expand=True)
    first.add_column(no_wrap=True)
    first.add_column(ratio=1)
    first.add_column(no_wrap=True, justify="right")
    first.add_row(
        Text(view.run_id, style="bold", overflow="ellipsis"),
        bar,
        Text(f"{done.done:,} / {_total(done)} items{_percent(done)}"),
    )
    second = Text(no_wrap=True, overflow="ellipsis")
    if view.ended:
        style = "green" if done.status is Status.SUCCEEDED else "yellow"
        second.append(done.status.lower().replace("_", " "), style=style)
    else:
        second.append(f"{per_second(view.rate)}   {done.in_flight:,} in flight")
    second.append(f"   {done.failed:,} failed", style="red" if done.failed else "")
    second.append(f"   {clock(view.seconds)} elapsed")
    if view.eta is not None and not view.ended:
        second.append(f"   about {clock(view.eta)} left")
    lines: list[RenderableType] = [first, second]
    if view.note:
        lines.append(Text(view.note, style="yellow"))
    return Group(*lines)


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
    with _screen(console) as screen:
        if run.web_url:
            screen.say(f"Temporal Web: {run.web_url}")
        ending = asyncio.ensure_future(_result(run, patience))
        looking = asyncio.ensure_future(watch.looks())
        try:
            while True:
                await asyncio.wait({ending, looking}, timeout=TICK, return_when=asyncio.FIRST_COMPLETED)
                if ending.done() or looking.done():
                    break
                screen.draw(watch.view())
            if looking.done() and not ending.done():
                looking.result()  # the server has been away for too long
            result = _outcome(ending)
            if result is not None:
                screen.draw(watch.view_of(result), last=True)
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
        self._rate = Rate()
        self._progress = Progress(Status.RUNNING)
        self._began = time.monotonic()
        self._moved = self._began
        self._away_since: float | None = None
        self._unserved = ""

    def view(self) -> View:
        return View(
            self._run.id,
            self._progress,
            rate=self._rate.per_second,
            seconds=time.monotonic() - self._began,
            note=self._note(),
        )

    def view_of(self, result: RunResult) -> View:
        end = replace(
            self._progress,
            status=result.status,
            total=result.items,
            planned=True,
            succeeded=result.succeeded,
            failed=result.failed,
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
        try:
            async with asyncio.timeout(NO_WORKER_AFTER):
                progress = await self._run.progress()
        except (NoWorker, TimeoutError):
            if idle:
                self._unserved = "the workers that poll the queue do not answer for this run just now"
            return
        now = time.monotonic()
        if progress.done > self._progress.done or progress.status is not Status.RUNNING:
            self._moved = now
        self._unserved = ""
        self._progress = progress
        self._rate.add(now, progress.done)

    async def _is_served(self) -> bool:
        if await self._run.pollers():
            return True
        info = await self._run.info()
        self._unserved = "" if info.closed else no_worker(info.task_queue, self._modules)
        return False

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
        return self._unserved


def no_worker(task_queue: str, modules: str = "MODULE") -> str:
    """Return the advice for a queue that nobody polls."""
    queue = "" if task_queue == "fanout" else f" --task-queue {task_queue}"
    return f'no worker polls "{task_queue}": start one with: fanout worker {modules}{queue}'


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
    from temporalio.service import RPCError, RPCStatusCode

    if isinstance(error, RPCError):
        return error.status in {
            RPCStatusCode.UNAVAILABLE,
            RPCStatusCode.DEADLINE_EXCEEDED,
            RPCStatusCode.CANCELLED,
            RPCStatusCode.RESOURCE_EXHAUSTED,
            RPCStatusCode.UNKNOWN,
            RPCStatusCode.INTERNAL,
        }
    return isinstance(error, (NoServer, TimeoutError, ConnectionError))


def _total(progress: Progress) -> str:
    if progress.planned:
        return f"{progress.total:,}"
    return f"≈ {progress.total:,}" if progress.total else "?"


def _percent(progress: Progress) -> str:
    # Rounded down: 100 % is said only when every item has an outcome.
    return f" ({100 * progress.done // progress.total} %)" if progress.total else ""


# ---------------------------------------------------------------------------------------------- screens


class _Screen(Protocol):
    def say(self, text: str) -> None: ...

    def draw(self, view: View, *, last: bool = False) -> None: ...


class _Lines:
    """Plain lines: one every so often, and at once when the note changes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = 0.0
        self._note = ""

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def draw(self, view: View, *, last: bool = False) -> None:
        now = time.monotonic()
        note = view.note.partition(" for ")[0]  # without how long it lasts, which changes all the time
        if last or now >= self._next or note != self._note:
            self._next = now + PLAIN_EVERY
            self._note = note
            self.say(plain(view))


class _Drawn:
    """A drawing that is replaced in place."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self.live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def draw(self, view: View, *, last: bool = False) -> None:
        self.live.update(draw(view), refresh=True)


@contextlib.contextmanager
def _screen(console: Console | None) -> Iterator[_Screen]:
    from rich.console import Console

    console = console or _default(Console)
    notebook = console.is_jupyter and importlib.util.find_spec("ipywidgets") is not None
    if not (notebook or (console.is_terminal and not console.is_dumb_terminal)):
        yield _Lines(console)
        return
    drawn = _Drawn(console)
    with drawn.live:
        yield drawn


def _default(kind: type[Console]) -> Console:
    console = kind()
    return console if console.is_jupyter else kind(stderr=True)
