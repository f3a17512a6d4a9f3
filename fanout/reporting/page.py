"""The page of a report: facts put into words, tables and figures. Whatever comes from users is escaped."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fanout.durations import quantile
from fanout.models import RunEvent, plain
from fanout.observability.drawing import amount, clock, per_second
from fanout.options import Options
from fanout.reporting import bins, charts
from fanout.reporting.bins import Bar, Bins
from fanout.reporting.facts import Facts
from fanout.storage.past import PastPartition
from fanout.storage.roots import display

MOST_KINDS = 100
"""Kinds of failures that are listed."""
MOST_ROWS = 24
"""Rows of a table that stands for a figure."""
MOST_SLOWEST = 20
MOST_EVENTS = 200
MOST_MARKS = 12
"""Orders that are drawn: more would hide what they did."""
LONGEST_TEXT = 500
"""Characters of a text of users."""
LONGEST_REDUCED = 5_000

QUANTILES = {"half": 0.5, "90 %": 0.9, "99 %": 0.99, "all": 1.0}

_KINDS = {"pause", "resume", "update", "drain", "cancel", "terminate"}

_TONES = {
    "SUCCEEDED": "good",
    "RUNNING": "soft",
    "PAUSED": "warn",
    "DRAINING": "warn",
    "STOPPED": "warn",
    "COMPLETED_WITH_FAILURES": "warn",
}


@dataclass(frozen=True)
class Table:
    """What a figure shows, as a table.

    Attributes:
        head: Names of the columns.
        rows: Cells.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Figure:
    """A figure with its words.

    Attributes:
        name: Of its part of the page.
        title: What it shows.
        words: What is to be seen in it, for those who do not see it too.
        svg: The drawing; empty where there is nothing to draw.
        table: The same in numbers.
        note: How to read it.
    """

    name: str
    title: str
    words: str
    svg: Markup
    table: Table
    note: str = ""


def render(facts: Facts) -> str:
    """Return the page."""
    environment = Environment(
        loader=PackageLoader("fanout.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(cut=_cut, number=_number, amount=amount, when=_when, json=_json)
    return environment.get_template("page.html.jinja").render(
        facts=facts,
        tone=_TONES.get(facts.status, "bad") if facts.status else "warn",
        tiles=_tiles(facts),
        figures=[figure for figure in _figures(facts) if figure is not None],
        kinds=facts.kinds[:MOST_KINDS],
        other_kinds=facts.kinds[MOST_KINDS:],
        types=plain(facts.totals.error_types),
        events=_events(facts.events),
        counters=sorted(facts.totals.counters.items()),
        reduced=_reduced(facts),
        slowest=_slowest(facts),
        settings=_settings(facts),
        output=display(facts.output),
        web=facts.web_url if (facts.web_url or "").startswith(("http://", "https://")) else None,
        now=datetime.now(UTC).timestamp(),
        version=_version(),
    )


# ---- numbers


def _tiles(facts: Facts) -> list[tuple[str, str, str]]:
    """Return the numbers at the top: name, value, and what it means for the eye."""
    totals, effort = facts.totals, facts.effort
    made = [("succeeded", _number(totals.succeeded), "good" if totals.succeeded else "")]
    made.append(("failed", _number(totals.failed), "bad" if totals.failed else ""))
    if facts.items is not None:
        made.insert(0, ("items", _number(facts.items), ""))
    if facts.result is not None and facts.result.matched is not None:
        made.append(("matches", _number(facts.result.matched), ""))
    if facts.not_run:
        made.append(("not run", _number(facts.not_run), "warn"))
    if facts.live and facts.in_flight is not None:
        made.append(("in flight at most", _number(facts.in_flight), ""))
    if facts.live and facts.items is not None:
        made.append(("to go", _number(max(0, facts.items - totals.done)), ""))
    made.append(("took" if not facts.live else "so far", _time(facts.seconds, facts.seconds), ""))
    if totals.done and facts.seconds > 0:
        made.append(("on average", per_second(totals.done / facts.seconds), ""))
    made += [("tried again", _number(effort.retries), "")] if effort.retries else []
    made += [("run again after deaths", _number(effort.repeated), "warn")] if effort.repeated else []
    return made


def _reduced(facts: Facts) -> str:
    """Return what the reducer has made, as JSON; nothing where there is none, or it cannot be read from here."""
    if facts.result is None or facts.result.reduced is None:
        return ""
    text = json.dumps(facts.result.reduced, ensure_ascii=False, indent=1)
    if len(text) <= LONGEST_REDUCED:
        return text
    return f"{text[:LONGEST_REDUCED]}… ({len(text):,} letters; whole in {display(facts.result.reduced_url)})"


def _settings(facts: Facts) -> list[tuple[str, str, bool]]:
    """Return the options: name, value, and whether it is another than the default."""
    defaults = asdict(Options())
    return [
        (name, _said(value), name in defaults and _said(value) != _said(defaults[name]))
        for name, value in sorted(facts.record.options.items())
    ]


def _said(value: Any) -> str:
    if value is None or value in ([], ()):
        return "none" if value is not None else "found by the run"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _slowest(facts: Facts) -> Table:
    def seconds(one: PastPartition) -> float:
        begin, end = _stretch(one, facts)
        return end - begin

    known = sorted((one for one in facts.partitions if one.slices), key=seconds, reverse=True)
    return Table(
        ["partition", "took", "began after", "succeeded", "failed", "batches", "state"],
        [
            [
                str(one.number),
                _time(seconds(one), facts.seconds),
                _time(_stretch(one, facts)[0] - facts.began, facts.seconds),
                _number(one.totals.succeeded),
                _number(one.totals.failed),
                _number(one.totals.batches),
                "ended" if one.ended else "goes on",
            ]
            for one in known[:MOST_SLOWEST]
        ],
    )


def _stretch(one: PastPartition, facts: Facts) -> tuple[float, float]:
    end = max(s.end for s in one.slices) if one.ended or not facts.live else facts.until
    return min(s.begin for s in one.slices), end


def _events(events: Sequence[RunEvent]) -> list[RunEvent]:
    return list(events[-MOST_EVENTS:])


# ---- figures


def _figures(facts: Facts) -> list[Figure | None]:
    slices = facts.slices
    if not slices:
        return []
    over_time = bins.in_time(slices, facts.began, facts.until)
    # Few rows for a table, of the same run.
    coarse = bins.in_time(slices, facts.began, facts.until, MOST_ROWS)
    return [
        _throughput(over_time, coarse, facts),
        _durations(facts),
        _window(over_time, coarse, facts),
        _partitions(facts),
    ]


def _throughput(fine: Bins, coarse: Bins, facts: Facts) -> Figure:
    rates = [
        a + b for a, b in zip(fine.per_second(fine.succeeded), fine.per_second(fine.failed), strict=True)
    ]
    best = max(range(len(rates)), key=lambda place: rates[place])
    words = (
        f"At most {per_second(rates[best])}, {_time(fine.edges[best], facts.seconds)} after the begin; "
        f"{per_second(sum(rates) / len(rates))} on average."
    )
    return Figure(
        "throughput",
        "Throughput",
        words,
        Markup(charts.throughput(fine, _marks(facts))),  # noqa: S704 - drawn here, of numbers and our own words
        Table(
            ["from", "to", "succeeded", "failed", "per second"],
            [
                [*_span(coarse, place), _number(good), _number(bad), per_second((good + bad) / coarse.width)]
                for place, (good, bad) in enumerate(zip(coarse.succeeded, coarse.failed, strict=True))
            ],
        ),
        "Items with an outcome, spread evenly over the time of the batches that committed them.",
    )


def _window(fine: Bins, coarse: Bins, facts: Facts) -> Figure | None:
    busy, offered = sum(fine.busy), sum(fine.offered)
    if not offered:
        return None
    words = (
        f"Running batches could have {_mean(offered, facts)} items in flight on average, and had "
        f"{_mean(busy, facts)}: their windows were {busy / offered:.0%} full."
    )
    return Figure(
        "window",
        "Window",
        words,
        Markup(charts.window(fine)),  # noqa: S704
        Table(
            ["from", "to", "in flight", "places", "full"],
            [
                [
                    *_span(coarse, place),
                    f"{a / coarse.width:,.3g}",
                    f"{b / coarse.width:,.3g}",
                    f"{a / b:.0%}" if b else "",
                ]
                for place, (a, b) in enumerate(zip(coarse.busy, coarse.offered, strict=True))
            ],
        ),
        "Items that never wait need one place only, however many there are: then an empty window is as it should be. "
        "Items in quarantine are not in it.",
    )


def _mean(item_seconds: float, facts: Facts) -> str:
    mean = item_seconds / max(facts.seconds, 1e-3)
    return f"{mean:,.0f}" if mean >= 10 else f"{mean:.2g}"


def _marks(facts: Facts) -> list[tuple[float, str]]:
    """Return when orders were given that did something, where they are few."""
    taken = [
        (event.at - facts.began, event.kind) for event in facts.events if event.taken and not event.refused
    ]
    return [(moment, kind) for moment, kind in taken if kind in _KINDS] if len(taken) <= MOST_MARKS else []


def _durations(facts: Facts) -> Figure | None:
    classes = facts.effort.attempts
    drawn: list[Bar] = bins.bars(classes)
    if not drawn:
        return None
    marks = {name: quantile(classes, share) or 0.0 for name, share in QUANTILES.items()}
    total = sum(bar.attempts for bar in drawn)
    half, most, nearly, every = (charts.short(bound) for bound in marks.values())
    words = (
        f"Half of {_number(total)} attempts took up to {half}, 90 % up to {most}, 99 % up to {nearly}, "
        f"all up to {every}."
    )
    return Figure(
        "durations",
        "How long attempts took",
        words,
        Markup(charts.durations(drawn, marks)),  # noqa: S704
        Table(
            ["longer than", "up to", "attempts", "share"],
            [
                [
                    charts.short(bar.above) if bar.above else "",
                    charts.short(bar.bound) if bar.bound else "",
                    _number(bar.attempts),
                    f"{bar.attempts / total:.2%}",
                ]
                for bar in drawn
            ],
        ),
        "Attempts that failed and were tried again are in it. Of a processor for lists these are calls. Items that "
        "take microseconds are timed some hundred at a time.",
    )


def _partitions(facts: Facts) -> Figure:
    rows = bins.rows(facts.partitions, facts.began, facts.until)
    live = sum(not one.ended for one in facts.partitions)
    failed = sum(1 for one in facts.partitions if one.totals.failed)
    count = len(facts.partitions)
    together = rows[0].last - rows[0].first + 1 if count > len(rows) else 1
    words = f"{_number(count)} partition{'s' if count != 1 else ''} began; " + ", ".join(
        [
            *([f"{_number(count - live)} ended"] if count > live else []),
            *([f"{_number(live)} had not ended"] if live else []),
            f"in {_number(failed)} of them items failed" if failed else "no item failed",
        ]
    )
    return Figure(
        "partitions",
        "Partitions",
        words + ".",
        Markup(charts.partitions(rows, facts.seconds)),  # noqa: S704
        _slowest(facts),
        (f"Each line is {together} neighbouring partitions. " if together > 1 else "")
        + "From the first batch of a partition to its last; the table has those that took longest.",
    )


def _span(made: Bins, place: int) -> tuple[str, str]:
    return _time(made.edges[place], made.edges[-1]), _time(made.edges[place + 1], made.edges[-1])


def _time(seconds: float, whole: float) -> str:
    """Write a time of a run that takes so long as a whole."""
    return f"{seconds:.1f} s" if whole < 120 else clock(seconds)


# ---- words


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def _cut(text: object, most: int = LONGEST_TEXT) -> str:
    said = str(text)
    return said if len(said) <= most else said[: most - 1] + "…"


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _when(moment: float | None) -> str:
    if moment is None:
        return ""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _version() -> str:
    try:
        return importlib.metadata.version("temporal-fanout")
    except importlib.metadata.PackageNotFoundError:
        return ""
