"""Planning compensations, and looking up what they undo: random chains of outputs against a dict of outcomes."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout.errors import StoreError
from fanout.readers import selecting
from fanout.readers.selecting import Again, next_selected
from fanout.selection import Selection
from fanout.storage import chains, compensated, finding, lookup, views
from fanout.storage.records import Compensated
from fanout.storage.stores import Store
from tests.unit.storage.links import FILES, Chain


async def compensate(chain: Chain, undoing: Chain, selection: Selection) -> None:
    """Plan a compensation of a chain as it is now, or a rerun of it; check which items it has."""
    await views.close(chain.last.store)
    undone = await chains.look(chain.last.store)
    links = []
    if undoing.outputs:
        await views.close(undoing.last.store)
        links = await chains.look(undoing.last.store)
    succeeded = {index for index, row in chain.outcomes.items() if "output" in row}
    failed = {index for index, row in undoing.outcomes.items() if "output" not in row}
    expected = (succeeded - set(undoing.outcomes)) if selection.undone or selection.not_run else set()
    expected |= failed if selection.failed else set()
    source = chains.source_of(undone)
    await undoing._claim(source, selection)
    again = Again(selection, source, None, links, undone)
    cursor, seen = None, 0
    while True:
        scan = await next_selected(again, FILES, undoing.last.store, cursor=cursor, selected=seen)
        assert scan.total >= scan.page.end
        cursor, seen = scan.cursor, scan.page.end
        if cursor is None:
            break
    undoing.last.indexes, undoing.last.open = sorted(expected), [(0, seen)] if seen else []
    assert scan.total == seen == len(expected)
    if seen:
        await look_up(chain, undoing.last.indexes)
    for _ in range(undoing.chance.randint(1, 2)):
        await undoing.go_on()
    await undoing.end()
    await undoing.check()


async def look_up(chain: Chain, indexes: list[int]) -> None:
    """Look up the outputs of some of the items, as a batch does."""
    links = await chains.look(chain.last.store)
    some = sorted(chain.chance.sample(indexes, chain.chance.randint(1, len(indexes))))
    expected = [json.dumps(chain.outcomes[index]["output"]).encode() for index in some]
    assert await lookup.outputs(links, some, 1 << 20) == expected
    most = chain.chance.randint(1, 300)
    found = await lookup.outputs(links, some, most)
    assert found == expected[: len(found)]
    assert len(found) == 1 or sum(map(len, found)) <= most
    assert len(found) == len(some) or sum(map(len, expected[: len(found) + 1])) > most


async def live(seed: int) -> None:
    chain, undoing = Chain(seed), Chain(seed + 1)
    undoing.items = 60
    await chain.begin(chain.chance.choice([0, 3]), chain.items)
    for _ in range(chain.chance.randint(1, 3)):
        await chain.go_on()
        await chain.end()
        await compensate(chain, undoing, Selection(failed=False, not_run=False, undone="r"))
        if chain.chance.random() < 0.5:
            failed = chain.chance.random() < 0.7
            not_run = not failed or chain.chance.random() < 0.5
            await compensate(chain, undoing, Selection(failed=failed, not_run=not_run))
        if chain.chance.random() > 0.3 or not await chain.continue_():
            await chain.rerun()


@settings(max_examples=12)
@given(st.integers(0, 2**32))
def test_each_item_that_has_a_result_is_undone_once_whatever_became_of_the_runs(seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selecting, "MOST_RUNS", 3)
        patch.setattr(selecting, "WINDOW", 7)
        patch.setattr(lookup, "_FIRST", 2)
        if seed % 2:
            patch.setattr(lookup, "_BLOCK_BYTES", 50)
            patch.setattr(finding, "_READ_BYTES", 60)
            patch.setattr(finding, "_PROBE_BYTES", 200)
        asyncio.run(live(seed))


async def test_an_item_without_a_result_is_no_item_to_look_up() -> None:
    chain = Chain(3)
    await chain.begin(0, 5)
    with pytest.raises(StoreError, match="holds no result of item 2, which it is to have"):
        await lookup.outputs(await chains.look(chain.last.store), [2], 100)


async def test_one_run_alone_can_compensate_an_output(memory: Store) -> None:
    by = Compensated("n1", "urls.compensation", "memory://out/urls.compensation/e1")
    assert await compensated.of(memory) is None
    await compensated.settle(memory, by)
    # Planned again by another worker.
    await compensated.settle(memory, by)
    with pytest.raises(
        StoreError, match="is compensated already, by run 'urls.compensation' in memory://out"
    ):
        await compensated.settle(memory, Compensated("n2", "urls.compensation", "memory://out/e2"))
    assert await compensated.of(memory) == by
