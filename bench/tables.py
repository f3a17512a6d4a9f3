"""Reports as tables in the terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from bench.report import Figure, Report


def table(name: str, report: Report, seconds: float, *, judged: bool) -> Table:
    """Return the table of one benchmark.

    Args:
        name: The benchmark's.
        report: What it measured.
        seconds: How long that took.
        judged: Whether the sizes were such that targets mean something.
    """
    drawn = Table(title=f"{name}: {report.title}", title_justify="left", title_style="bold", expand=False)
    drawn.add_column("measured")
    drawn.add_column("median", justify="right")
    drawn.add_column("unit")
    drawn.add_column("lowest – highest", justify="right", style="dim")
    drawn.add_column("target", justify="right")
    drawn.add_column("")
    drawn.caption = f"{seconds:.0f} s"
    drawn.caption_justify = "left"
    for figure in report.figures:
        target = figure.target
        drawn.add_row(
            figure.name + (f" [dim]({figure.note})[/]" if figure.note else ""),
            number(figure.value),
            figure.unit,
            _spread(figure),
            "" if target is None else f"{target.sign} {number(target.value)}",
            _verdict(figure, judged=judged or (target is not None and target.must)),
        )
    return drawn


def number(value: float) -> str:
    """Return a number with as many digits as anyone can trust."""
    if float(value).is_integer():
        return f"{int(value):,}"
    size = abs(value)
    digits = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 4
    return f"{value:,.{digits}f}"


def _spread(figure: Figure) -> str:
    if len(figure.samples) < 2:
        return ""
    return f"{number(min(figure.samples))} – {number(max(figure.samples))}"


def _verdict(figure: Figure, *, judged: bool) -> Text:
    if figure.met is None or not judged:
        return Text("")
    return Text("met", style="green") if figure.met else Text("missed", style="bold red")
