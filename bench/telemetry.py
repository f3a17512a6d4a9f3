"""What metrics and log lines cost: items that do nothing, on a worker that has both, against one that has neither."""

from __future__ import annotations

import fanout
from bench.items import items_file
from bench.jobs import noop
from bench.report import Figure, Report, Target
from bench.scales import Sizes
from bench.stage import stage
from bench.throughput import WARM_UP
from fanout.ports import free_port

PAIRS = 3
"""Pairs for each round of `throughput`: a difference of a few percent is less than that between two runs."""


async def measure(sizes: Sizes) -> Report:
    """Run the same items on both in turn."""
    count = sizes.items
    source = fanout.JsonLines(items_file(count))
    told = ["--metrics-port", str(free_port()), "--log-level", "info"]
    cpu: list[list[float]] = [[], []]
    seconds: list[list[float]] = [[], []]
    async with stage(processes=1) as plain, stage(processes=1, options=told) as measured:
        stages = (plain, measured)
        for number, here in enumerate(stages):
            here.forget(await here.run(noop, fanout.JsonLines(items_file(WARM_UP)), id=f"warm-up-{number}"))
        for pair in range(PAIRS * sizes.rounds):
            order = (0, 1) if pair % 2 == 0 else (1, 0)
            for number in order:
                run = await stages[number].run(noop, source, id=f"pair-{pair}")
                stages[number].forget(run)
                seconds[number].append(run.seconds)
                cpu[number].append(1e6 * run.cpu_seconds["workers"] / count)
    return Report(
        title=f"{count:,} typed items that do nothing, one worker process each, {PAIRS * sizes.rounds} pairs",
        figures=[
            Figure.median_of("without", [count / one for one in seconds[0]], "items/s"),
            Figure.median_of("with metrics and log lines", [count / one for one in seconds[1]], "items/s"),
            Figure.median_of(
                "time with / without",
                [mine / other for other, mine in zip(*seconds, strict=True)],
                "x",
                target=Target("≤", 1.05),
            ),
            Figure.median_of(
                "processor time of the worker with / without",
                [mine / other for other, mine in zip(*cpu, strict=True)],
                "x",
                target=Target("≤", 1.05),
            ),
        ],
        raw={"seconds": seconds, "cpu_us_per_item": cpu},
    )
