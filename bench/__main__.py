"""`python -m bench`: run benchmarks, print their tables, keep their figures as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bench import (
    concurrency,
    continue_as_new,
    costs,
    cpu,
    hot_path,
    latency,
    machine,
    memory,
    million,
    orders,
    patterns,
    production,
    scaling,
    search,
    startup,
    tail,
    telemetry,
    throughput,
    tree,
    windows,
)
from bench.peers import comparison
from bench.report import Report
from bench.scales import SIZES, Scale, Sizes
from bench.tables import table

RESULTS = Path(__file__).parent / "results"

BENCHMARKS: dict[str, Callable[[Sizes], Awaitable[Report]]] = {
    "throughput": throughput.measure,
    "tail": tail.measure,
    "million": million.measure,
    "scaling": scaling.measure,
    "search": search.measure,
    "patterns": patterns.measure,
    "costs": costs.measure,
    "startup": startup.measure,
    "cpu": cpu.measure,
    "hot_path": hot_path.measure,
    "memory": memory.measure,
    "concurrency": concurrency.measure,
    "latency": latency.measure,
    "continue_as_new": continue_as_new.measure,
    "orders": orders.measure,
    "telemetry": telemetry.measure,
    "tree": tree.measure,
    "windows": windows.measure,
    "peers": comparison.measure,
    "production": production.measure,
}

ON_REQUEST = ("production",)
"""Those that need what takes minutes to build: only with `--only`."""

LONG = ("orders", "telemetry", "windows")
"""Those that `make bench` leaves out, to take less than ten minutes."""

Name = StrEnum("Name", [(name, name) for name in BENCHMARKS])  # type: ignore[misc]

WIDTH = 120
"""Columns where the output is no terminal."""

_KEPT = ("FANOUT_TEMPORAL_CLI",)


def main(
    only: Annotated[list[Name] | None, typer.Option(help="Run this one; may be repeated.")] = None,
    scale: Annotated[Scale, typer.Option(help="Sizes; smoke only shows that all runs.")] = Scale.SHORT,
    to: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file as well.")] = None,
) -> None:
    """Measure, print a table per benchmark, and keep the figures under bench/results.

    Exits with 1 where something was wrong, such as a lost item; not where something was slow.
    """
    # As Ctrl-C does: servers and workers must not outlive the benchmark.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _forget_settings()
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    about = {"when": datetime.now(UTC).isoformat(timespec="seconds"), "scale": scale.value}
    kept: dict[str, Any] = {**about, "machine": machine.describe(), "versions": machine.versions()}
    console.print(_headline(kept), highlight=False)
    kept["benchmarks"] = {}
    wrong: list[str] = []
    for name in [one.value for one in only] if only else _usual(scale):
        began = time.perf_counter()
        with console.status(f"measuring {name} …"):
            try:
                report = asyncio.run(_measure(name, SIZES[scale]))
            except Exception:
                traceback.print_exc()
                wrong.append(f"{name} did not run to its end")
                continue
        seconds = time.perf_counter() - began
        console.print()
        console.print(table(name, report, seconds, judged=scale is not Scale.SMOKE))
        kept["benchmarks"][name] = _as_json(report, seconds)
        wrong += [f"{name}: {figure.name}" for figure in report.wrong]
    for file in filter(None, (_result_file(about["when"]), to)):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(kept, indent=1) + "\n")
        console.print(f"\nfigures: {file}", highlight=False, soft_wrap=True)
    for line in wrong:
        console.print(f"[bold red]wrong:[/] {line}")
    if wrong:
        raise typer.Exit(1)


def _usual(scale: Scale) -> list[str]:
    left_out = {*ON_REQUEST, *(LONG if scale is Scale.SHORT else ())}
    return [name for name in BENCHMARKS if name not in left_out]


async def _measure(name: str, sizes: Sizes) -> Report:
    return await BENCHMARKS[name](sizes)


def _forget_settings() -> None:
    """Drop what the shell says to fanout and Temporal: nothing may depend on who measures."""
    for name in list(os.environ):
        if name.startswith(("FANOUT_", "TEMPORAL_")) and name not in _KEPT:
            del os.environ[name]


def _headline(kept: dict[str, Any]) -> str:
    where, what = kept["machine"], kept["versions"]
    load = where["load_before"][0]
    return (
        f"{where['processor']}, {where['cores']} cores, {where['memory_gib']} GiB; load before: {load}\n"
        f"Python {where['python']}, fanout {what['temporal-fanout']} ({what['commit']}), "
        f"temporalio {what['temporalio']}, pydantic {what['pydantic']}, "
        f"{what['server']}"
    )


def _as_json(report: Report, seconds: float) -> dict[str, Any]:
    figures = [{**asdict(figure), "met": figure.met} for figure in report.figures]
    return {"title": report.title, "seconds": round(seconds, 1), "figures": figures, "raw": report.raw}


def _result_file(when: str) -> Path:
    return RESULTS / f"{when.replace(':', '').replace('+0000', 'Z')}.json"


if __name__ == "__main__":
    typer.run(main)
