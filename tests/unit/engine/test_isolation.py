"""Splitting and verdicts, with cells that are simulated: any poison, in any order of events."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout.children.isolation import VAIN, WAYS, Death, Ended, Isolation, levels_of, split
from fanout.errors import Unisolable


class Simulation:
    """Cells that run items `limit` at a time and die with the first poison that comes to its act."""

    def __init__(self, poison: set[int], limit: int, seed: int) -> None:
        self.poison = poison
        self.limit = limit
        self.chance = random.Random(seed)
        self.settled: set[int] = set()
        self.convicted: list[int] = []
        self.live = self.peak = 0
        self.isolation = Isolation(self.run, self.condemn, name="sim", fresh=lambda: True, going=lambda: True)

    async def run(self, items: Sequence[int], suspects: bool) -> Ended:
        self.live += 1
        self.peak = max(self.peak, self.live)
        await asyncio.sleep(0)
        try:
            return self.outcome(items)
        finally:
            self.live -= 1

    def outcome(self, items: Sequence[int]) -> Ended:
        waiting, running = list(items), list[int]()
        heard: set[int] = set()
        while waiting or running:
            while waiting and len(running) < self.limit:
                running.append(waiting.pop(0))
            item = running.pop(self.chance.randrange(len(running)))
            if item in self.poison:
                # What has ended at last was not heard of.
                unheard = {one for one in heard if self.chance.random() < 0.1}
                self.settled |= heard - unheard
                return Ended(Death("SIGKILL"), sorted([item, *running]), sorted([*waiting, *unheard]))
            heard.add(item)
        self.settled |= heard
        return Ended(None)

    def condemn(self, item: int, death: Death) -> None:
        self.convicted.append(item)


@settings(max_examples=300, deadline=None)
@given(
    count=st.integers(1, 600),
    limit=st.integers(1, 600),
    seed=st.integers(0, 2**32),
    share=st.sampled_from([0.0, 0.005, 0.05, 0.5, 1.0]),
)
def test_exactly_the_poison_is_convicted_within_the_bound_of_deaths(
    count: int, limit: int, seed: int, share: float
) -> None:
    poison = {item for item in range(count) if random.Random(f"{seed} {item}").random() < share}
    simulation = Simulation(poison, limit, seed)
    asyncio.run(simulation.isolation.through(range(count)))
    assert sorted(simulation.convicted) == sorted(poison)
    assert simulation.settled == set(range(count)) - poison
    assert simulation.isolation.deaths <= len(poison) * (1 + levels_of(min(limit, count)))
    assert simulation.peak <= WAYS


@given(st.integers(2, 100_000))
def test_a_split_keeps_all_and_brings_each_item_one_level_nearer(count: int) -> None:
    parts = split(range(count))
    assert [item for part in parts for item in part] == list(range(count))
    assert len(parts) <= WAYS
    assert all(levels_of(len(part)) < levels_of(count) for part in parts)


def test_one_among_ten_thousand_costs_five_deaths() -> None:
    assert 1 + levels_of(10_000) == 5
    assert 1 + levels_of(1) == 1


async def test_cells_that_die_without_running_anything_are_the_process_s_fault() -> None:
    async def run(items: Sequence[int], suspects: bool) -> Ended:
        return Ended(Death("exit code 3"), [], items)

    def condemn(item: int, death: Death) -> None:
        raise AssertionError(item)

    isolation = Isolation(run, condemn, name="sim", fresh=lambda: True, going=lambda: True)
    with pytest.raises(Unisolable, match="exit code 3"):
        await isolation.through([1, 2, 3])
    assert isolation.deaths == VAIN


async def test_a_stop_leaves_suspects_without_a_verdict() -> None:
    simulation = Simulation(set(range(10)), 10, 1)

    def going() -> bool:
        return simulation.isolation.deaths == 0

    simulation.isolation = Isolation(simulation.run, simulation.condemn, name="sim", fresh=going, going=going)
    await simulation.isolation.through(range(10))
    assert simulation.isolation.deaths == 1
    assert simulation.convicted == []
