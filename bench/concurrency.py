"""Is `max_concurrency` reached, and never exceeded? Processors note when they run; two processes, one clock."""

from __future__ import annotations

import fanout
from bench.jobs import nap, number
from bench.occupancy import occupancy, read
from bench.outputs import outcomes
from bench.report import Figure, Report, Target
from bench.scales import Sizes
from bench.stage import Stage, stage

LIMIT = 200
SECONDS = 0.05

FEW = (100, 300, 1000)
FEW_SECONDS = 0.5
FEW_LIMIT = 100
"""The default of `max_concurrency`."""


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
        few = [await _few(here, items) for items in FEW]
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
            *few,
        ],
        raw={"in_flight": found.curve, "seconds": found.seconds},
    )


async def _few(here: Stage, items: int) -> Figure:
    """Run a small set with no option set: the share of `max_concurrency` from its first beginning to its last end."""
    log = here.folder / f"few-{items}"
    log.mkdir()
    params = {"seconds": FEW_SECONDS, "log": str(log)}
    run = await here.run(nap, fanout.Range(items), id=f"few-{items}", params=params)
    found = occupancy(read(log))
    ideal = items * FEW_SECONDS / FEW_LIMIT
    return Figure(
        f"{items:,} items of {FEW_SECONDS:g} s, no option set: share over the whole run",
        found.whole_mean / FEW_LIMIT,
        note=f"{run.seconds:.1f} s, at best {ideal:g} s",
    )
