"""The table at the end: what each scenario did to how many items, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

FOLDER: Final = Path(".fanout/faults")


@dataclass
class Line:
    """One scenario of the report.

    Attributes:
        scenario: Its name.
        items: Items of its run.
        faults: How many faults were injected.
        again: Items' calls beyond those needed.
        lost: Items without a row.
        duplicated: Items with several rows.
        seconds: From the start of the run to its end.
        undisturbed: Seconds of the same job with nothing in its way; None where it was not measured.
        looks: How often somebody saw the run's numbers meanwhile; how often not all workflows answered; how often none.
        passed: Whether the scenario held what it promises.
    """

    scenario: str
    items: int = 0
    faults: int = 0
    again: int = 0
    lost: int = 0
    duplicated: int = 0
    seconds: float = 0.0
    undisturbed: float | None = None
    looks: str = ""
    passed: bool = False


HEADS: Final = {
    "scenario": "scenario",
    "items": "items",
    "faults": "faults",
    "again": "executed again",
    "lost": "lost",
    "duplicated": "duplicated",
    "seconds": "seconds",
    "undisturbed": "undisturbed",
    "looks": "looks/silent/stale",
    "passed": "",
}


def table(lines: Sequence[Line]) -> list[str]:
    """Return the report as the lines of a markdown table."""
    cells = [list(HEADS.values()), *([_cell(line, name) for name in HEADS] for line in lines)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADS))]
    drawn = ["| " + " | ".join(_pad(row, widths)) + " |" for row in cells]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return [drawn[0], rule, *drawn[1:]]


def _pad(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        row[0].ljust(widths[0]),
        *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
    ]


def _cell(line: Line, name: str) -> str:
    value = getattr(line, name)
    if isinstance(value, bool):
        return "" if value else "FAILED"
    if value is None:
        return "–"
    return (
        f"{value:,.1f}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )


def save(lines: Sequence[Line], scale: str, seed: int) -> Path:
    """Write the report as JSON and as markdown; returns the latter's path."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    title = f"Faults, {scale} form, seed {seed}"
    path = FOLDER / f"{scale}.md"
    path.write_text("\n".join([title, "", *table(lines), ""]))
    data = {"scale": scale, "seed": seed, "scenarios": [asdict(line) for line in lines]}
    path.with_suffix(".json").write_text(json.dumps(data, indent=2) + "\n")
    return path


assert [field.name for field in fields(Line)] == list(HEADS)
