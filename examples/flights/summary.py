"""What came of the run: read back from its output, and printed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

import fanout
from fanout.storage.roots import display

STYLES = {"on time": "green", "late": "yellow", "very late": "red"}
BAR = 50


@dataclass
class Summary:
    """What the rows of a run add up to."""

    result: fanout.RunResult
    succeeded: int = 0
    km: float = 0.0
    made_up: int = 0
    off_by: float = 0.0
    delays: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    first: dict[tuple[str, str], fanout.Failure] = field(default_factory=dict)
    failed_lines: list[int] = field(default_factory=list)

    def add(self, leg: dict[str, Any]) -> None:
        """Add one result."""
        self.succeeded += 1
        self.km += leg["km"]
        self.made_up += leg["made_up"]
        self.off_by = max(self.off_by, abs(leg["off_by"]))
        self.delays[leg["delay"]] += 1

    def add_failure(self, failure: fanout.Failure) -> None:
        """Add one failure, under its reason."""
        reason = (failure.error_type, failure.message)
        self.reasons[reason] += 1
        self.first.setdefault(reason, failure)
        self.failed_lines.append(int(failure.source.rpartition(":")[2]))

    def mistakes(self, flights: int) -> list[str]:
        """Return what does not add up: there must be one outcome for each flight of the file."""
        result = self.result
        checks = {
            f"the file has {flights:,} flights, the run {result.items:,}": flights == result.items,
            f"{result.succeeded:,} succeeded, {self.succeeded:,} results": result.succeeded == self.succeeded,
            f"{result.failed:,} failed, {len(self.failed_lines):,} failures": (
                result.failed == len(self.failed_lines) == len(set(self.failed_lines))
            ),
            f"{flights:,} flights, {self.succeeded + result.failed:,} outcomes": (
                flights == self.succeeded + result.failed
            ),
        }
        return [text for text, right in checks.items() if not right]

    def as_json(self) -> dict[str, Any]:
        """Return the numbers, for a program that checks them."""
        return {
            "status": self.result.status,
            "items": self.result.items,
            "succeeded": self.succeeded,
            "failed": len(self.failed_lines),
            "seconds": self.result.seconds,
            "output": self.result.output,
            "km": self.km,
            "made_up": self.made_up,
            "off_by": self.off_by,
            "delays": dict(self.delays),
            "reasons": [
                {"type": kind, "message": message, "count": count}
                for (kind, message), count in self.reasons.most_common()
            ],
            "failed_lines": self.failed_lines,
        }


async def read(run: fanout.Run, result: fanout.RunResult) -> Summary:
    """Read all results and failures of a run."""
    summary = Summary(result)
    async for row in run.results():
        summary.add(row.output)
    async for failure in run.failures():
        summary.add_failure(failure)
    return summary


def show(summary: Summary, look_again: str, console: Console) -> None:
    """Print what a person wants to know first."""
    result = summary.result
    rate = result.items / result.seconds
    console.print()
    _say(
        console,
        f"{result.succeeded:,} succeeded",
        f"of {result.items:,} in {result.seconds:.1f} s: {rate:,.0f} a second",
    )
    console.print(_delays(summary))
    console.print(
        f"  {summary.km:,.0f} km by great circle, {summary.made_up / 60:,.0f} hours made up in the air"
    )
    console.print(f"  the distances in the file differ by {summary.off_by:.1%} at most")
    console.print()
    _say(console, f"{result.failed:,} failed", "for these reasons; the first line of each:")
    console.print(_reasons(summary))
    console.print()
    pairs = Table.grid(padding=(0, 2, 0, 0))
    pairs.add_column(style="bold", no_wrap=True)
    pairs.add_column(overflow="fold")
    if result.slowest:
        slow = result.slowest[0]
        partition = f"{slow.partition + 1} of {result.partitions}"
        pairs.add_row("slowest partition", f"{partition}: {slow.items:,} flights in {slow.seconds:.1f} s")
    pairs.add_row("results", f"{display(result.output)}/")
    pairs.add_row("Temporal Web", look_again)
    console.print(pairs)


def _say(console: Console, strong: str, more: str) -> None:
    console.print(Text.assemble((strong, "bold"), " ", more))


def _delays(summary: Summary) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for justify in ("left", "right", "right", "left"):
        table.add_column(justify=justify)
    for delay, style in STYLES.items():
        count = summary.delays[delay]
        share = count / summary.succeeded if summary.succeeded else 0.0
        table.add_row(f"  {delay}", f"{count:,}", f"{share:.0%}", Text("█" * round(BAR * share), style=style))
    return table


def _reasons(summary: Summary) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right")
    table.add_column(style="red", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(style="dim", no_wrap=True)
    for reason, count in summary.reasons.most_common():
        table.add_row(f"  {count:,}", *reason, summary.first[reason].source)
    return table
