"""The figures of a report: SVG that goes into a page as it is, in the colours of that page.

Text is left as text, and colours are names that the page's style sheet resolves, so one drawing serves light, dark and
print. Only numbers get into a figure: texts of users stand in the page's tables.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from fanout.observability.drawing import clock
from fanout.reporting.bins import Bar, Bins, Row

# Stand-ins, which no figure would use otherwise.
INK, MUTED, GRID, GOOD, BAD, SOFT = (f"#0102{n:02x}" for n in range(6))
_NAMES = {INK: "ink", MUTED: "muted", GRID: "grid", GOOD: "good", BAD: "bad", SOFT: "soft"}

WIDTH = 9.0
"""Inches of a figure; the page scales it."""

LEAST_SHARE = 0.12
"""Of the height of a partition's line, so that few failures are seen too."""

_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GRID,
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "svg.fonttype": "none",
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}

_TIME_STEPS = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60 * step for step in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440)),
)


def throughput(bins: Bins, marks: Sequence[tuple[float, str]] = ()) -> str:
    """Draw items per second over time.

    Args:
        bins: What was done when.
        marks: Moments to point out, in seconds from the begin, with a word of ours for each.
    """
    with _figure("throughput", 2.5) as (axes, svg):
        good, bad = bins.per_second(bins.succeeded), bins.per_second(bins.failed)
        axes.stairs(good, bins.edges, fill=True, color=GOOD, alpha=0.75, label="succeeded")
        if any(bad):
            total = [a + b for a, b in zip(good, bad, strict=True)]
            axes.stairs(total, bins.edges, baseline=good, fill=True, color=BAD, alpha=0.9, label="failed")
            _legend(axes)
        axes.set_ylabel("items per second")
        _over_time(axes, bins)
        if marks:
            # Room for the words, above what they are of.
            axes.set_ylim(top=1.3 * axes.get_ylim()[1])
        for moment, word in _apart(marks, bins.edges[-1] / 60):
            axes.axvline(moment, color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
            axes.annotate(
                word, (moment, 1), (2, -2), xycoords=("data", "axes fraction"), textcoords="offset points",
                rotation=90, ha="left", va="top", fontsize=8, color=INK,
            )  # fmt: skip
    return svg()


def window(bins: Bins) -> str:
    """Draw items in flight over time, and how many could have been."""
    with _figure("window", 2.5) as (axes, svg):
        axes.stairs(
            bins.per_second(bins.busy), bins.edges, fill=True, color=SOFT, alpha=0.75, label="in flight"
        )
        axes.stairs(
            bins.per_second(bins.offered),
            bins.edges,
            color=INK,
            linewidth=1,
            label="places of running batches",
        )
        axes.set_ylabel("items")
        _legend(axes)
        _over_time(axes, bins)
    return svg()


def durations(bars: Sequence[Bar], marks: dict[str, float]) -> str:
    """Draw how many attempts took how long.

    Args:
        bars: The classes.
        marks: Quantiles to point out, by name: each is the bound of a class.
    """
    with _figure("durations", 2.5) as (axes, svg):
        places = range(len(bars))
        axes.bar(places, [bar.attempts for bar in bars], width=0.92, color=SOFT, alpha=0.75)
        axes.set_xticks(list(places), [short(bar.bound) if bar.bound else "more" for bar in bars])
        axes.set_xlim(-0.6, max(len(bars), 8) - 0.4)
        axes.set_xlabel("took up to")
        axes.set_ylabel("attempts")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _rounded(value)))
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(visible=False, axis="x")
        axes.set_ylim(0, 1.18 * max(bar.attempts for bar in bars))
        bounds = [bar.bound for bar in bars]
        named: dict[int, list[str]] = {}
        for name, bound in marks.items():
            place = bounds.index(bound) if bound in bounds else len(bars) - 1
            named.setdefault(place, []).append(name)
        for place, names in named.items():
            axes.annotate(
                ", ".join(names), (place, bars[place].attempts), (0, 4), textcoords="offset points",
                ha="center", color=INK,
            )  # fmt: skip
    return svg()


def partitions(rows: Sequence[Row], seconds: float) -> str:
    """Draw when each partition worked."""
    each = 0.16 if len(rows) <= 12 else 0.09 if len(rows) <= 60 else 0.035
    with _figure("partitions", 0.9 + each * max(len(rows), 3)) as (axes, svg):
        labels = {GOOD: "ended", SOFT: "goes on", BAD: "share of items that failed"}
        for place, row in enumerate(rows):
            spans = [(low, max(high - low, seconds / 500)) for low, high in row.stretches]
            share = 0.8 * max(row.failed, LEAST_SHARE) if row.failed else 0.0
            for color, low, height in (
                (SOFT if row.live else GOOD, place - 0.4, 0.8 - share),
                (BAD, place + 0.4 - share, share),
            ):
                if height and spans:
                    axes.broken_barh(
                        spans, (low, height), facecolor=color, alpha=0.75 if color != BAD else 1.0, linewidth=0,
                        label=labels.pop(color, None),
                    )  # fmt: skip
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_ylabel("partition")
        axes.yaxis.set_major_locator(MaxNLocator(min(10, len(rows)), integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _row_name(rows, value)))
        axes.grid(visible=False, axis="y")
        _time_axis(axes, seconds)
        _legend(axes)
    return svg()


def short(seconds: float) -> str:
    """Write a duration with the unit that suits it: `5 µs`, `20 ms`, `2 s`, `10,000 s`."""
    for unit, size in (("µs", 1e-6), ("ms", 1e-3)):
        if seconds < 999.5 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:,.3g} s" if seconds < 1000 else f"{seconds:,.0f} s"


# ---- helpers


@contextmanager
def _figure(name: str, height: float) -> Iterator[tuple[Axes, Callable[[], str]]]:
    # Ids within the file are hashes of this: figures of one page must not share them.
    with mpl.rc_context({**_STYLE, "svg.hashsalt": f"fanout-{name}"}):
        figure = Figure(figsize=(WIDTH, height))
        # The same for all, so that what happened at one time stands below each other.
        figure.subplots_adjust(left=0.095, right=0.985, top=1 - 0.3 / height, bottom=0.5 / height)
        made: list[str] = []
        yield figure.subplots(), lambda: made[0]
        made.append(_svg(figure, name))


def _svg(figure: Figure, name: str) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    drawn = out.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    # Rules of its own would hold for the whole page.
    drawn = re.sub(
        r"<defs>\s*<style.*?</style>\s*</defs>|<metadata>.*?</metadata>|<!--.*?-->",
        "",
        drawn,
        flags=re.DOTALL,
    )
    used = set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", drawn))
    drawn = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", drawn)
    for color, role in _NAMES.items():
        drawn = drawn.replace(color, f"var(--{role})")
    drawn = re.sub(r"font: ([\d.]+)px '[^']*'[^;\"]*", r"font-size: \1px", drawn)
    drawn = re.sub(r"\s*\n\s*", "\n", drawn)
    return re.sub(
        r'<svg [^>]*viewBox="([^"]+)"[^>]*>',
        rf'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="\1" '
        rf'role="img" aria-labelledby="{name}-title" aria-describedby="{name}-words">',
        drawn,
        count=1,
    ).strip()


def _apart(marks: Sequence[tuple[float, str]], least: float) -> list[tuple[float, str]]:
    """Return marks with those put together that are too close to be read."""
    made: list[tuple[float, str]] = []
    for moment, word in sorted(marks):
        if made and moment - made[-1][0] < least:
            made[-1] = made[-1][0], f"{made[-1][1]}, {word}"
        else:
            made.append((moment, word))
    return made


def _over_time(axes: Axes, bins: Bins) -> None:
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _rounded(value)))
    _time_axis(axes, bins.edges[-1])


def _time_axis(axes: Axes, seconds: float) -> None:
    step = next((one for one in _TIME_STEPS if seconds / one <= 8), None) or 86_400 * (
        int(seconds / 86_400 / 8) + 1
    )
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: clock(value) if seconds >= 120 else f"{value:.3g} s")
    )
    axes.set_xlim(0, max(seconds, 1e-3))
    axes.set_xlabel("since the begin of the run")


def _legend(axes: Axes) -> None:
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.2, fontsize=9)


def _row_name(rows: Sequence[Row], value: float) -> str:
    place = round(value)
    return str(rows[place].first) if 0 <= place < len(rows) and abs(value - place) < 1e-6 else ""


def _rounded(value: float) -> str:
    for size, unit in ((1e9, "bn"), (1e6, "M")):
        if value >= size:
            return f"{value / size:,.4g}{unit}"
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.2g}"
