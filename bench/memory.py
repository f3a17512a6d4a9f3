"""The memory of workers and server through a long run: does it grow with the items done?"""

from __future__ import annotations

import fanout
from bench.items import items_file
from bench.jobs import noop
from bench.processes import watched
from bench.report import Figure, Report, Target
from bench.scales import Sizes
from bench.stage import stage

FILE_ITEMS = 1_000_000
WARM_UP = 3


async def measure(sizes: Sizes) -> Report:
    """Watch the processes of one run of many items."""
    each = min(FILE_ITEMS, sizes.memory_items)
    files = [items_file(each)] * (sizes.memory_items // each)
    count = each * len(files)
    async with stage() as here:
        # What a worker takes once, for its threads and buffers, is no growth; and workers share a run by chance,
        # so that one file alone leaves one of them cold.
        here.forget(await here.run(noop, fanout.JsonLines(files[:WARM_UP]), id="warm-up"))
        pids = {f"worker {number}": pid for number, pid in enumerate(here.workers, 1)}
        async with watched({**pids, "server": here.server[0]}) as seen:
            run = await here.run(noop, fanout.JsonLines(files), id="long")
    figures = [Figure("fanout", count / run.seconds, "items/s", note=f"{run.seconds:.1f} s")]
    for name, memory in seen.items():
        target = Target("≤", 5) if name in pids else None
        for kind in ("rss", "uss"):
            figures.append(Figure.median_of(f"{name}: {kind.upper()}", memory.samples_mib(kind), "MiB"))
            figures.append(
                Figure(
                    f"{name}: {kind.upper()}, growth from the first to the last quarter",
                    100 * memory.growth(kind),
                    "%",
                    target=target if kind == "rss" else None,
                )
            )
    return Report(
        title=f"one run of {count:,} typed items that do nothing, two worker processes",
        figures=figures,
        raw={name: {"at": memory.at, "rss": memory.rss, "uss": memory.uss} for name, memory in seen.items()},
    )
