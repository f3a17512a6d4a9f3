"""The charts of the benchmarks, each from the figures that `python -m bench` keeps."""

from __future__ import annotations

from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from bench.throughput import CONTENDERS

OURS = "#7c3aed"
OTHERS = "#94a3b8"
BOUND = "#0f172a"
SERVER = "#b45309"

SHORT = EngFormatter(sep="")
"""10k and 1M: shorter than zeros, and plainer than exponents."""


def throughput(benchmarks: dict[str, Any]) -> Figure | None:
    """Draw items per second by contender, of the benchmarks `throughput` and `patterns`."""
    speeds: dict[str, float] = {}
    for one in benchmarks.get("throughput", {}).get("figures", []):
        if one["name"] in CONTENDERS:
            speeds[f"{one['name']}, JSON Lines"] = one["value"]
    rates = benchmarks.get("patterns", {}).get("raw", {}).get("items_per_second", {})
    for name, samples in rates.items():
        speeds[name] = median(samples)
    if not speeds:
        return None
    names = sorted(speeds, key=lambda name: speeds[name])
    figure = Figure(figsize=(8, 0.45 * len(names) + 0.9))
    axes = figure.subplots()
    bars = axes.barh(
        names,
        [speeds[name] for name in names],
        color=[OURS if name.startswith("fanout") else OTHERS for name in names],
    )
    axes.bar_label(bars, [_rounded(speeds[name]) for name in names], padding=4)
    axes.set_xscale("log")
    axes.set_xlim(1, 6 * max(speeds.values()))
    axes.xaxis.set_major_formatter(SHORT)
    axes.set_xlabel("items per second (each step is ten times as fast)")
    axes.grid(visible=False, axis="y")
    return figure


def scaling(benchmarks: dict[str, Any]) -> Figure | None:
    """Draw time per item and memory by items of the run."""
    if "scaling" not in benchmarks:
        return None
    sizes = benchmarks["scaling"]["raw"]["sizes"]
    counts = [one["count"] for one in sizes]
    figure = Figure(figsize=(8, 3.2))
    time, memory = figure.subplots(1, 2)
    each = [1e6 * median(one["seconds"]) / one["count"] for one in sizes]
    time.plot(counts, each, color=OURS, marker="o")
    for count, value in zip(counts, each, strict=True):
        time.annotate(f"{value:.3g}", (count, value), (4, 6), textcoords="offset points")
    time.set_yscale("log")
    time.set_ylim(1, 2 * max(each))
    time.set_title("microseconds per item")
    for role, color in (("worker 1", OURS), ("worker 2", OTHERS), ("server", SERVER)):
        memory.plot(counts, [one["memory"][role] for one in sizes], color=color, marker="o", label=role)
    memory.set_ylim(bottom=0, top=1.5 * max(max(one["memory"].values()) for one in sizes))
    memory.set_title("highest memory of each process, MiB")
    memory.legend(loc="upper left")
    time.yaxis.set_major_formatter(SHORT)
    for axes in (time, memory):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(SHORT)
        axes.set_xlabel("items of the run")
    return figure


def tail(benchmarks: dict[str, Any]) -> Figure | None:
    """Draw items in flight over time, with the bound."""
    if "tail" not in benchmarks:
        return None
    laws = benchmarks["tail"]["raw"]
    figure = Figure(figsize=(8, 3.2))
    panels = figure.subplots(1, len(laws), sharey=True, squeeze=False)[0]
    for axes, (name, law) in zip(panels, laws.items(), strict=True):
        _in_flight(axes, law, law["seconds"], OURS, f"fanout, {law['seconds']:.1f} s", filled=True)
        bound = law["greedy"]
        _in_flight(axes, bound, bound["seconds"], BOUND, f"greedy bound, {bound['seconds']:.1f} s")
        axes.plot([], [], " ", label=f"chunks with a barrier: {law['chunked']['seconds']:.0f} s")
        axes.set_title(name)
        axes.set_xlabel("seconds")
        axes.set_xlim(0, 1.05 * max(law["seconds"], bound["seconds"]))
        axes.legend(loc="upper right", bbox_to_anchor=(1, 0.98), fontsize=9)
    panels[0].set_ylabel("items in flight")
    panels[0].set_ylim(bottom=0, top=1.45 * max(max(law["greedy"]["in_flight"]) for law in laws.values()))
    return figure


def _in_flight(
    axes: Axes, curve: dict[str, Any], seconds: float, color: str, label: str, *, filled: bool = False
) -> None:
    parts = curve["in_flight"]
    edges = [seconds * step / len(parts) for step in range(len(parts) + 1)]
    axes.stairs(
        parts, edges, color=color, label=label, linewidth=1.4, fill=filled, alpha=0.6 if filled else 1
    )


def _rounded(speed: float) -> str:
    digits = len(str(int(speed)))
    return f"{round(speed, 3 - digits if digits > 3 else 0):,.0f}"
