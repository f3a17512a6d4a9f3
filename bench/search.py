"""A search: how much of a run is executed before it has stopped everywhere."""

from __future__ import annotations

import time

import fanout
from bench.jobs import needle, number
from bench.report import Figure, Report, Target
from bench.scales import Sizes
from bench.stage import stage


async def measure(sizes: Sizes) -> Report:
    """Look for one item at a tenth of the way."""
    count = sizes.items
    async with stage() as here:
        here.forget(await here.run(number, fanout.Range(100), id="warm-up"))
        began = time.perf_counter()
        found = await here.run(
            needle,
            fanout.Range(count),
            id="search",
            params={"wanted": count // 10},
            stop_when=fanout.FirstSuccess(),
        )
        seconds = time.perf_counter() - began
        run = fanout.get_run(here.client, "search")
        matches = [row.index async for row in run.matches()]
    result = found.result
    must = Target("=", 1, must=True)
    share = 100 * result.succeeded / count
    return Report(
        title=f"a search over {count:,} items, whose match is at {count // 10:,}",
        figures=[
            Figure("matches found", float(matches == [count // 10]), target=must),
            Figure("items executed", share, "%", target=Target("≤", 25)),
            Figure("time to the end", seconds, "s"),
        ],
        raw={"executed": result.succeeded},
    )
