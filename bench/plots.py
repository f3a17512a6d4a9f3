"""`python -m bench.plots FILE...`: draw what JSON files of benchmarks hold; the same files give the same drawings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import matplotlib as mpl
import typer
from matplotlib.figure import Figure

from bench import charts

IMAGES = Path(__file__).parent.parent / "docs" / "images"

CHARTS: dict[str, Callable[[dict[str, Any]], Figure | None]] = {
    "bench-throughput": charts.throughput,
    "bench-scaling": charts.scaling,
    "bench-tail": charts.tail,
}

STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.family": "sans-serif",
    "font.size": 10,
    "grid.color": "#e2e8f0",
    "legend.frameon": False,
    # Ids within the file are hashes of this, not of a random number.
    "svg.hashsalt": "fanout",
    # As text, not as outlines: smaller, and a browser may search it.
    "svg.fonttype": "none",
}


def main(
    files: Annotated[
        list[Path],
        typer.Argument(exists=True, dir_okay=False, help="What `python -m bench` wrote; the last one wins."),
    ],
    to: Annotated[Path, typer.Option(help="Folder of the drawings.")] = IMAGES,
) -> None:
    """Draw a chart for each benchmark of some files that has one."""
    benchmarks: dict[str, Any] = {}
    for file in files:
        benchmarks |= json.loads(file.read_text())["benchmarks"]
    to.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        for name, chart in CHARTS.items():
            figure = chart(benchmarks)
            if figure is not None:
                path = to / f"{name}.svg"
                figure.savefig(path, metadata={"Date": None, "Creator": None})
                # Its lines end in blanks, which no file of a repository should have.
                path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")
                print(path)


if __name__ == "__main__":
    typer.run(main)
