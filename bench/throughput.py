"""Items per second of typed items that do nothing, JSON Lines to JSON Lines, against a bare asyncio loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import fanout
from bench import bare
from bench.histories import EVENTS_LIMIT, PAYLOAD_LIMIT, executions, largest_payload
from bench.items import items_file
from bench.jobs import noop
from bench.outputs import outcomes, same_rows
from bench.report import Figure, Report, Target
from bench.scales import Sizes
from bench.stage import Stage, Timed, database_bytes, stage

FANOUT = "fanout, two worker processes"
BARE = "bare loop, one process"
TWO_BARE = "bare loops, two processes on half each"
CONTENDERS = (FANOUT, BARE, TWO_BARE)

WARM_UP = 20_000
ROUNDED = 1_000_000


@dataclass
class _Samples:
    """What the rounds measured, by contender."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    parts: list[dict[str, float]] = field(default_factory=list)

    def add(self, name: str, seconds: float, cpu: float) -> None:
        self.seconds.setdefault(name, []).append(seconds)
        self.cpu.setdefault(name, []).append(cpu)

    def ratios(self, over: str) -> list[float]:
        """Return the speed of fanout over another's, round by round."""
        return [other / mine for mine, other in zip(self.seconds[FANOUT], self.seconds[over], strict=True)]


async def measure(sizes: Sizes) -> Report:
    """Run all contenders in turn, and look at what one of the runs left behind."""
    count = sizes.items
    half = count // 2
    whole = items_file(count)
    halves = [(items_file(half), 0), (items_file(count - half, half), half)]
    samples = _Samples()
    async with stage() as here:
        warm = await here.run(noop, fanout.JsonLines(items_file(WARM_UP)), id="warm-up")
        here.forget(warm)
        written = [here.folder / name for name in ("bare", "bare-0", "bare-1")]
        runs: list[Timed] = []

        async def ours() -> None:
            run = await here.run(noop, fanout.JsonLines(whole), id=f"round-{len(runs)}")
            runs.append(run)
            samples.add(FANOUT, run.seconds, sum(run.cpu_seconds.values()))
            samples.parts.append(run.cpu_seconds)
            if len(runs) > 1:
                here.forget(run)

        async def one() -> None:
            timed = await bare.measure([(whole, written[0], 0)])
            samples.add(BARE, timed.seconds, timed.cpu_seconds)

        async def two() -> None:
            parts = [(file, to, at) for (file, at), to in zip(halves, written[1:], strict=True)]
            timed = await bare.measure(parts)
            samples.add(TWO_BARE, timed.seconds, timed.cpu_seconds)

        contenders: list[Callable[[], Awaitable[None]]] = [ours, one, two]
        for number in range(sizes.rounds):
            turn = number % len(contenders)
            # Whoever is first in a round is last in the next but one: no one gains from the order.
            for contender in contenders[turn:] + contenders[:turn]:
                await contender()
        figures = [*_speed(samples, count), *_cost(samples, count)]
        figures += await _left_behind(here, runs[0], count, written)
    figures += await _with_database(whole, count)
    return Report(
        title=f"{count:,} typed items that do nothing, JSON Lines to JSON Lines, no option set",
        figures=figures,
        raw={"seconds": samples.seconds, "cpu_seconds": samples.cpu, "fanout_cpu_seconds": samples.parts},
    )


def _speed(samples: _Samples, count: int) -> list[Figure]:
    speeds = [
        Figure.median_of(name, [count / seconds for seconds in samples.seconds[name]], "items/s")
        for name in CONTENDERS
    ]
    return [
        *speeds,
        Figure.median_of("fanout / bare loop", samples.ratios(BARE), "x", target=Target("≥", 1.1)),
        Figure.median_of(
            "fanout / two bare loops",
            samples.ratios(TWO_BARE),
            "x",
            target=Target("≥", 0.75),
            note="the limit is 1",
        ),
    ]


def _cost(samples: _Samples, count: int) -> list[Figure]:
    # Processor time says more than the clock where the machine is shared.
    each = 1e6 / count
    figures = [
        Figure.median_of(f"processor time: {name}", [cpu * each for cpu in samples.cpu[name]], "µs/item")
        for name in (FANOUT, BARE)
    ]
    for role in ("workers", "server", "client"):
        used = [parts[role] * each for parts in samples.parts]
        figures.append(Figure.median_of(f"  of it, {role}", used, "µs/item"))
    return figures


async def _left_behind(here: Stage, run: Timed, count: int, written: list[Path]) -> list[Figure]:
    """Look at the histories and the output of one run."""
    found = await executions(here.client, run.result.run_id, at_least=run.result.partitions + 1)
    payload, where = await largest_payload(here.client, found)
    events = sum(one.events for one in found)
    seen = outcomes(run.output, count)
    same = same_rows(run.output, written[0]) and same_rows(run.output, *written[1:])
    return [
        Figure("items that are not there exactly once", seen.lost + seen.duplicated, target=_none()),
        Figure("failed items", seen.failed, target=_none()),
        Figure(
            "output is byte for byte that of the bare loops",
            same,
            target=Target("=", 1, must=True),
            note="1: yes",
        ),
        Figure("executions", len(found), note=f"the root and {run.result.partitions} partitions"),
        Figure(
            "events of the largest history",
            max(one.events for one in found),
            target=Target("≤", EVENTS_LIMIT, must=True),
        ),
        Figure(
            "largest payload in any event",
            payload,
            "bytes",
            target=Target("≤", PAYLOAD_LIMIT, must=True),
            note=where,
        ),
        Figure("events per 1,000 items", 1000 * events / count),
        Figure("bytes of history per item", sum(one.size for one in found) / count, "bytes"),
    ]


async def _with_database(whole: Path, count: int) -> list[Figure]:
    """Run once on a server that keeps a database file."""
    async with stage(db=True) as here:
        warm = await here.run(noop, fanout.JsonLines(items_file(WARM_UP)), id="warm-up")
        here.forget(warm)
        before = database_bytes(here.folder)
        run = await here.run(noop, fanout.JsonLines(whole), id="on-a-file")
        grown = database_bytes(here.folder) - before
    return [
        Figure("fanout, server on an SQLite file", count / run.seconds, "items/s"),
        Figure("growth of that file per item", grown / count, "bytes"),
    ]


def _none() -> Target:
    return Target("=", 0, must=True)
