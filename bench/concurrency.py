"""Is `max_concurrency` reached, and never exceeded? Processors note when they run; two processes, one clock."""

from __future__ import annotations

import fanout
from bench.jobs import nap, number
from bench.occupancy import occupancy, read
from bench.outputs import outcomes
from bench.report import Figure, Report, Target
from bench.scales import Sizes
from bench.stage import stage

LIMIT = 200
SECONDS = 0.05


async def measure(sizes: Sizes) -> Report:
    """Run uniform items and count how many were in flight."""
    count = sizes.busy_items
    async with stage() as here:
        here.forget(await here.run(number, fanout.Range(100), id="warm-up"))
        log = here.folder / "intervals"
        log.mkdir()
        run = await here.run(
            nap,
            fanout.Range(count),
            id="naps",
            max_concurrency=LIMIT,
            params={"seconds": SECONDS, "log": str(log)},
        )
        intervals = read(log)
        used = len(list(log.iterdir()))
        seen = outcomes(run.output, count)
    found = occupancy(intervals)
    return Report(
        title=f"{count:,} items of {1000 * SECONDS:g} ms, max_concurrency={LIMIT}, two worker processes",
        figures=[
            Figure("most items in flight at any moment", found.highest, target=Target("≤", LIMIT, must=True)),
            Figure(
                "share of max_concurrency in the steady state",
                found.mean / LIMIT,
                target=Target("≥", 0.9),
                note="between 10 % and 90 % of the time",
            ),
            Figure("share over the whole run", found.whole_mean / LIMIT),
            Figure("processes that ran items", used, target=Target("=", 2)),
            Figure("fanout", count / run.seconds, "items/s", note=f"at most {LIMIT / SECONDS:,.0f}"),
            Figure("calls of the processor", len(intervals), target=Target("=", count, must=True)),
            Figure(
                "items that are not there exactly once",
                seen.lost + seen.duplicated,
                target=Target("=", 0, must=True),
            ),
        ],
        raw={"in_flight": found.curve, "seconds": found.seconds},
    )
