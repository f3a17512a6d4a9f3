"""A million items in flight at the same moment, in two worker processes: how many really are, and what each costs."""

from __future__ import annotations

from collections.abc import Mapping

import fanout
from bench.jobs import long_nap, number
from bench.occupancy import occupancy, read
from bench.outputs import outcomes
from bench.processes import Memory, watched
from bench.report import Figure, Report, Target
from bench.scales import Sizes
from bench.stage import Timed, stage

KIB = 1024


async def measure(sizes: Sizes) -> Report:
    """Run items that wait for a long time, all of them at once."""
    count, wait = sizes.waiting_items, sizes.waiting_seconds
    async with stage() as here:
        here.forget(await here.run(number, fanout.Range(100), id="warm-up"))
        log = here.folder / "intervals"
        log.mkdir()
        pids = {f"worker {number}": pid for number, pid in enumerate(here.workers, 1)}
        async with watched({**pids, "server": here.server[0]}, uss=False) as memory:
            run = await here.run(
                long_nap,
                fanout.Range(count),
                id="waiting",
                max_concurrency=count,
                params={"seconds": wait, "log": str(log)},
            )
        seen = outcomes(run.output, count)
        intervals = read(log)
    found = occupancy(intervals)
    grown = sum(max(memory[name].rss) - memory[name].rss[0] for name in pids)
    must = Target("=", 0, must=True)
    return Report(
        title=f"{count:,} items of {wait:g} s, max_concurrency={count:,}, no other option, two worker processes",
        figures=[
            Figure("most items in flight at once", found.highest, target=Target("=", count, must=True)),
            Figure("start to result / the wait", run.seconds / wait, "x", target=Target("≤", 1.4)),
            Figure("first item began to last item ended / the wait", found.seconds / wait, "x"),
            Figure(
                "memory of the workers per item in flight",
                grown / found.highest / KIB,
                "KiB",
                target=Target("≤", 3.5),
                note="growth of RSS to its highest",
            ),
            *_highest(memory),
            *_cpu(run, count),
            Figure("calls of the processor", len(intervals), target=Target("=", count, must=True)),
            Figure("items that are not there exactly once", seen.lost + seen.duplicated, target=must),
            Figure("failed items", seen.failed, target=must),
        ],
        raw={
            "in_flight": found.curve,
            "seconds": found.seconds,
            "clock": run.seconds,
            "rss": {name: {"at": one.at, "rss": one.rss} for name, one in memory.items()},
        },
    )


def _highest(memory: Mapping[str, Memory]) -> list[Figure]:
    return [
        Figure(
            f"{name}: RSS at its highest",
            max(one.samples_mib("rss")),
            "MiB",
            note=f"{one.samples_mib()[0]:.0f} before",
        )
        for name, one in memory.items()
    ]


def _cpu(run: Timed, count: int) -> list[Figure]:
    return [
        Figure(f"processor time of the {role}", 1e6 * run.cpu_seconds[role] / count, "µs/item")
        for role in ("workers", "server")
    ]
