"""Heavy-tailed durations: how much of the allowed concurrency stands idle, against greedy list scheduling."""

from __future__ import annotations

import fanout
from bench.durations import LAWS, LONGEST, MEAN
from bench.jobs import number, uneven
from bench.occupancy import Interval, Occupancy, occupancy, read
from bench.outputs import outcomes
from bench.report import Figure, Part, Report, Target
from bench.scales import Sizes
from bench.schedules import Span, chunked, greedy, makespan
from bench.stage import Stage, stage

LIMIT = 2000


async def measure(sizes: Sizes) -> Report:
    """Run items of two laws, and compute what other schedules make of the same durations."""
    count = sizes.tail_items
    async with stage() as here:
        here.forget(await here.run(number, fanout.Range(100), id="warm-up"))
        laws = [await _law(here, name, count) for name in LAWS]
    return Report(
        title=f"{count:,} items of {1000 * MEAN:g} ms on average, of {LONGEST:g} s at most, "
        f"max_concurrency={LIMIT:,}, no other option",
        figures=[figure for law in laws for figure in law.figures],
        raw={law.name: law.raw for law in laws},
    )


async def _law(here: Stage, name: str, count: int) -> Part:
    log = here.folder / f"intervals-{name}"
    log.mkdir()
    params = {"law": name, "log": str(log)}
    run = await here.run(uneven, fanout.Range(count), id=name, max_concurrency=LIMIT, params=params)
    intervals = read(log)
    seen = outcomes(run.output, count)
    here.forget(run)
    durations = [LAWS[name](index) for index in range(count)]
    bound, chunks = list(greedy(durations, LIMIT)), list(chunked(durations, LIMIT))
    best, barrier = makespan(bound), makespan(chunks)
    found = occupancy(intervals)
    used = run.cpu_seconds["workers"] / run.seconds
    must = Target("=", 0, must=True)
    figures = [
        Figure(f"{name}: greedy list scheduling, computed", best, "s"),
        Figure(f"{name}: fanout / greedy", found.seconds / best, "x", target=Target("≤", 1.05)),
        Figure(f"{name}: the same by the clock, from start to result", run.seconds / best, "x"),
        Figure(
            f"{name}: fanout / greedy over the durations as they were", _as_they_were(found, intervals), "x"
        ),
        Figure(f"{name}: chunks of {LIMIT:,} with a barrier / greedy, computed", barrier / best, "x"),
        Figure(f"{name}: share of max_concurrency over the whole run", found.whole_mean / LIMIT),
        Figure(f"{name}: the same, greedy", sum(durations) / best / LIMIT),
        Figure(f"{name}: most items in flight", found.highest, target=Target("≤", LIMIT, must=True)),
        Figure(f"{name}: cores that the workers used", used, note="far below 2: not what limits"),
        Figure(f"{name}: items that are not there exactly once", seen.lost + seen.duplicated, target=must),
    ]
    raw = {
        "seconds": found.seconds,
        "clock": run.seconds,
        "in_flight": found.curve,
        "greedy": {"seconds": best, "in_flight": _curve(bound)},
        "chunked": {"seconds": barrier, "in_flight": _curve(chunks)},
        "cpu_seconds": run.cpu_seconds,
    }
    return Part(name, figures, raw)


def _as_they_were(found: Occupancy, intervals: list[Interval]) -> float:
    """Return the ratio to the bound for the intervals as noted: a timer of a busy process goes off late."""
    return found.seconds / makespan(greedy([(end - begin) / 1e9 for begin, end in sorted(intervals)], LIMIT))


def _curve(spans: list[Span]) -> list[float]:
    return occupancy([(int(begin * 1e9), int(end * 1e9)) for begin, end in spans]).curve
