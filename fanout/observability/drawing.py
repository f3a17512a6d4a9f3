"""How a run's progress looks: on a terminal, in a notebook, or as plain lines in a log."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from fanout.models import Progress, Status

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PLAIN_FIRST = 1.0
PLAIN_EVERY = 10.0
"""Seconds between two lines where there is no terminal: at first, doubling, and at most."""


@dataclass(frozen=True)
class View:
    """What is drawn: the run's numbers, and what we have to say of them.

    Attributes:
        run_id: The run's id.
        progress: The last numbers that the run gave.
        seconds: Since the run began.
        note: What is wrong just now, and what to do.
    """

    run_id: str
    progress: Progress
    seconds: float = 0.0
    note: str = ""

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        return not self.progress.status.live


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


def amount(value: float) -> str:
    """Write what a counter has summed up: whole numbers as such, others with two decimals, small ones two digits."""
    # What floating point has left over is no part of it.
    if abs(value - round(value)) <= 1e-9 * max(1.0, abs(value)):
        return f"{value:,.0f}"
    return f"{value:,.2f}" if value >= 0.1 else f"{value:.2g}"


def size_of(count: int) -> str:
    """Write a number of bytes: `512 B`, `3.4 MiB`."""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{count:,} B" if unit == "B" else f"{size:.1f} {unit}"


def one_line(text: str, longest: int = 200) -> str:
    """Return a text without line breaks, cut off where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def plain(view: View) -> str:
    """Return the one line for a log."""
    done = view.progress
    parts = [f"{done.done:,} of {_total(done)} items{_percent(done)}"]
    if not view.ended:
        parts += [per_second(done.rate), f"{done.in_flight:,} in flight"]
        if done.waiting:
            parts.append(f"{done.waiting:,} waiting")
    if done.matched is not None:
        parts.append(_matches(done.matched))
    parts += [f"{done.failed:,} failed", clock(view.seconds)]
    if done.eta is not None and not view.ended:
        parts.append(f"about {clock(done.eta)} left")
    if done.status is not Status.RUNNING:
        parts.append(_words(done.status))
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
    if done.status is not Status.RUNNING:
        style = "green" if done.status is Status.SUCCEEDED else "yellow"
        second.append(_words(done.status), style=style)
    if not view.ended:
        second.append("   " if second else "")
        second.append(f"{per_second(done.rate)}   {done.in_flight:,} in flight")
        if done.waiting:
            second.append(f"   {done.waiting:,} waiting")
    if done.matched is not None:
        second.append(f"   {_matches(done.matched)}")
    second.append(f"   {done.failed:,} failed", style="red" if done.failed else "")
    second.append(f"   {clock(view.seconds)} elapsed")
    if done.eta is not None and not view.ended:
        second.append(f"   about {clock(done.eta)} left")
    lines: list[RenderableType] = [first, second]
    if view.note:
        lines.append(Text(view.note, style="yellow"))
    return Group(*lines)


def _matches(count: int) -> str:
    return f"{count:,} {'match' if count == 1 else 'matches'}"


def _words(status: Status) -> str:
    return status.lower().replace("_", " ")


def _total(progress: Progress) -> str:
    if progress.planned:
        return f"{progress.total:,}"
    return f"≈ {progress.total:,}" if progress.total else "?"


def _percent(progress: Progress) -> str:
    # Rounded down: 100 % is said only when every item has an outcome.
    return f" ({100 * progress.done // progress.total} %)" if progress.total else ""


class Screen(Protocol):
    """Where a run is shown."""

    def say(self, text: str) -> None:
        """Write a line that stays."""

    def draw(self, view: View, *, last: bool = False) -> None:
        """Show where the run stands."""


class _Lines:
    """Plain lines: one every so often, sooner at the beginning, and at once when the note changes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._pause = PLAIN_FIRST
        self._next = 0.0
        self._note = ""

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def draw(self, view: View, *, last: bool = False) -> None:
        now = time.monotonic()
        note = re.sub(r"\d", "", view.note)  # how long it lasts, and the number of an attempt, are no news
        if last or now >= self._next or note != self._note:
            self._next = now + self._pause
            self._pause = min(PLAIN_EVERY, 2 * self._pause)
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
def screen(console: Console | None) -> Iterator[Screen]:
    """Give the screen that suits a console: drawn in place on a terminal and in a notebook, else plain lines.

    Args:
        console: Where to show; None is stderr, or the notebook in a notebook.
    """
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
