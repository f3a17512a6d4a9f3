"""Items that take their worker with them."""

from __future__ import annotations

from collections.abc import Mapping

from tests.faults.conftest import PROCESSES
from tests.faults.items import CALLS, DEATHS, HOG, make
from tests.faults.oracle import Verdict
from tests.faults.scene import Scene

MEMORY = 4 * 1024**3
"""Address space of a worker process: it needs a quarter of it, mostly for the heaps of its threads."""
KILLERS = tuple(kind for kind in DEATHS if kind != "loop")
PER_BATCH = 2
"""Deaths of a batch's worker before the batch is put into quarantine."""


def most_deaths(poison: Mapping[int, str], batch_size: int) -> int:
    """Return how many worker processes may die of some items."""
    return PER_BATCH * len({index // batch_size for index in poison})


def assert_innocents_kept_their_attempts(arena: Scene, verdict: Verdict) -> None:
    """Assert that an item's attempts count its own errors, not the deaths that its neighbours brought."""
    for index, row in verdict.rows["results"].items():
        assert row["output"]["attempt"] == CALLS.get(arena.items[index]["do"], 1), row
    poisonous = {index for index, item in enumerate(arena.items) if item["do"] in (*DEATHS, HOG)}
    others = [row for index, row in verdict.rows["failures"].items() if index not in poisonous]
    assert {row["attempts"] for row in others} == {2}


async def disturb(arena: Scene, poison: Mapping[int, str]) -> None:
    arena.line.faults = len(poison)
    arena.fleet.memory = MEMORY
    await arena.fleet.start(PROCESSES)
    run = await arena.start(make(arena.scale, arena.dice, poison=poison))
    verdict = await arena.finish(run)
    assert_innocents_kept_their_attempts(arena, verdict)
    # A run needs no more deaths than its poison explains; a disposable process is none of the workers.
    assert arena.fleet.deaths() <= most_deaths(poison, arena.scale.batch_size)


async def test_one_item_of_each_deadly_sort_fails_alone(arena: Scene) -> None:
    # In two batches, as each costs two deaths, and each death a pause.
    first, second = arena.dice.sample(range(0, arena.scale.items, arena.scale.batch_size), 2)
    together = {first + number: kind for number, kind in enumerate((*KILLERS, HOG))}
    await disturb(arena, {**together, second: "loop"})


async def test_fifty_deadly_items_side_by_side_fail_alone(arena: Scene) -> None:
    first = arena.dice.randrange(arena.scale.items - 50)
    await disturb(arena, {first + number: arena.dice.choice(KILLERS) for number in range(50)})
