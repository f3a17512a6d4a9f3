"""Does an item cost the same in a run of ten thousand and in one of ten million?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import fanout
from bench.histories import EVENTS_LIMIT, billable_actions, executions
from bench.jobs import number
from bench.outputs import outcomes
from bench.processes import Memory, watched
from bench.report import Figure, Report, Target
from bench.scales import Sizes
from bench.stage import Stage, database_bytes, stage

REFERENCE = 1_000_000
"""Items of the run that the others are compared with; where that is not run, the largest is."""

WARM_UP = 20_000


@dataclass(frozen=True)
class _Size:
    """What runs of one size cost.

    Attributes:
        count: Items.
        seconds: Of each run.
        largest: Events of the largest history.
        events: Of all histories.
        actions: What Temporal Cloud would bill, without heartbeats.
        stored: Growth of the server's database file, in bytes.
        memory: Highest RSS of each process, in MiB.
        wrong: Items that are not there exactly once.
    """

    count: int
    seconds: list[float]
    largest: int
    events: int
    actions: int
    stored: int
    memory: dict[str, float]
    wrong: int

    @property
    def each(self) -> float:
        """Seconds per item."""
        return median(self.seconds) / self.count


async def measure(sizes: Sizes) -> Report:
    """Run no-op items of every size, the smaller ones several times, on a server that keeps a database file."""
    counts = sizes.scaling_items
    async with stage(db=True) as here:
        here.forget(await here.run(number, fanout.Range(WARM_UP), id="warm-up"))
        found = [await _size(here, count, sizes.scaling_rounds) for count in counts]
    reference = next((one for one in found if one.count == REFERENCE), found[-1])
    async with stage(processes=1, db=True) as here:
        here.forget(await here.run(number, fanout.Range(WARM_UP), id="warm-up"))
        alone = await _size(here, reference.count, sizes.scaling_rounds)
    return Report(
        title="items that do nothing, no option set, two worker processes, server on an SQLite file",
        figures=[
            *(figure for one in found for figure in _figures(one, reference)),
            Figure(
                f"{reference.count:,} items: speed of two worker processes / of one",
                alone.each / reference.each,
                "x",
            ),
            Figure(
                "items that are not there exactly once",
                sum(one.wrong for one in [*found, alone]),
                target=Target("=", 0, must=True),
            ),
        ],
        raw={"sizes": [vars(one) for one in found], "one_process": vars(alone)},
    )


async def _size(here: Stage, count: int, rounds: int) -> _Size:
    seconds: list[float] = []
    wrong = 0
    stored = database_bytes(here.folder)
    pids = {f"worker {n}": pid for n, pid in enumerate(here.workers, 1)} | {"server": here.server[0]}
    # What the largest run shows needs no second look.
    rounds = rounds if count <= REFERENCE else 1
    async with watched(pids, uss=False) as memory:
        for turn in range(rounds):
            run = await here.run(number, fanout.Range(count), id=f"{count}-{turn}")
            seconds.append(run.seconds)
            wrong += count - outcomes(run.output, count).once
            here.forget(run)
    left = await executions(here.client, run.result.run_id, at_least=1)
    return _Size(
        count=count,
        seconds=seconds,
        largest=max(one.events for one in left),
        events=sum(one.events for one in left),
        actions=await billable_actions(here.client, left),
        stored=(database_bytes(here.folder) - stored) // rounds,
        memory=_highest(memory),
        wrong=wrong,
    )


def _figures(one: _Size, reference: _Size) -> Sequence[Figure]:
    name = f"{one.count:,} items"
    relative: dict[str, Any] = {}
    if one.count > reference.count:
        relative = {"target": Target("≤", 1.1)}
    workers = sum(mib for process, mib in one.memory.items() if process != "server")
    return [
        Figure.median_of(f"{name}: whole run", one.seconds, "s"),
        Figure(
            f"{name}: seconds per item / at {reference.count:,}", one.each / reference.each, "x", **relative
        ),
        Figure(f"{name}: highest RSS of the workers together", workers, "MiB"),
        Figure(f"{name}: highest RSS of the server", one.memory["server"], "MiB"),
        Figure(
            f"{name}: events of the largest history",
            one.largest,
            target=Target("≤", EVENTS_LIMIT - 1, must=True),
        ),
        Figure(
            f"{name}: events per item",
            one.events / one.count,
            target=Target("≤", 0.01) if one.count >= REFERENCE else None,
        ),
        Figure(
            f"{name}: billable actions per million items",
            1e6 * one.actions / one.count,
            note="without heartbeats",
        ),
        Figure(f"{name}: growth of the server's database per item", one.stored / one.count, "bytes"),
    ]


def _highest(memory: Mapping[str, Memory]) -> dict[str, float]:
    return {name: max(one.samples_mib("rss")) for name, one in memory.items()}
