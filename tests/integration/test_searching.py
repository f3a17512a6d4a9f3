"""A run that searches stops everywhere once it has found enough, and what it did until then is exact."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType

import fanout
from fanout.cli.forgotten import describe_forgotten
from fanout.errors import RunFailed
from fanout.models import Status
from fanout.storage.reading import stored
from fanout.storage.roots import to_path
from fanout.storage.stores import open_store
from tests.integration.engine import Engine, published
from tests.integration.test_retention import command, said
from tests.integration.test_stopping import shapes
from tests.waiting import eventually

ITEMS = 1_200
FIRST = ITEMS // 10


@fanout.processor
async def needle(number: int, *, every: int = ITEMS, seconds: float = 0.01) -> str | None:
    await asyncio.sleep(seconds)
    return f"found {number}" if number % every == FIRST % every else None


@fanout.processor
def needle_in_threads(number: int) -> dict[str, int] | None:
    return {"number": number} if number == FIRST else None


@fanout.processor
async def needle_beside_slow_items(number: int) -> int | None:
    await asyncio.sleep(0.01 if number == 0 else 2.0 if number < 10 else 0.1)
    return number if number == 0 else None


@shapes
async def test_a_search_ends_once_it_has_found_a_match(engine: Engine, options: dict[str, Any]) -> None:
    async with engine.worker(needle) as client:
        run = await engine.start(
            client,
            needle,
            fanout.Range(ITEMS),
            max_concurrency=20,
            stop_when=fanout.FirstSuccess(),
            **options,
        )
        result = await run.result()
        assert (await run.info()).status is result.status is Status.STOPPED
        found = [row async for row in run.matches()]
    assert result.found
    assert result.raise_for_failures() is result
    assert (result.matched, result.reason) == (1, "1 match found; it was to stop at the first")
    assert [(row.index, row.output) for row in found] == [(FIRST, f"found {FIRST}")]
    assert result.not_run == ITEMS - result.succeeded > 0
    # Rows that are no match are there as well: one outcome for each item that was run.
    rows = published(engine.store / run.id / (await run.info()).execution)
    assert len(rows) == result.succeeded
    assert len([row async for row in run.results()]) == result.succeeded


async def test_a_batch_that_has_found_enough_ends_at_once_and_takes_the_others_of_its_process_along(
    engine: Engine,
) -> None:
    """All items are in a few batches: the commits alone would come far too late."""
    async with engine.worker(needle) as client:
        run = await engine.start(
            client, needle, fanout.Range(ITEMS), max_concurrency=20, batch_size=300, batch_concurrency=5,
            params={"seconds": 0.05}, stop_when=fanout.FirstSuccess(),
        )  # fmt: skip
        result = await run.result()
    # Four batches side by side: each has begun about as many items as the one with the match. They last long enough
    # for a busy machine to begin one of them a second later.
    assert result.matched == 1
    assert FIRST < result.succeeded < 0.75 * ITEMS


async def test_a_search_for_several_counts_them_over_all_partitions(engine: Engine) -> None:
    async with engine.worker(needle) as client:
        ended = await engine.start(
            client, needle, fanout.Range(ITEMS), params={"every": 50}, max_concurrency=20, partition_size=250,
            batch_size=20, stop_when=fanout.FirstSuccess(5),
        )  # fmt: skip
        result = await ended.result()
    assert result.matched is not None
    assert result.found
    assert 5 <= result.matched < ITEMS // 50


async def test_matches_are_counted_while_a_search_goes_on_and_afterwards(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    async with engine.worker(needle) as client:
        run = await engine.start(
            client, needle, fanout.Range(ITEMS), params={"every": 50}, max_concurrency=20, partition_size=250,
            batch_size=20, stop_when=fanout.FirstSuccess(ITEMS),
        )  # fmt: skip

        async def some() -> bool:
            return ((await run.progress()).matched or 0) > 0

        await eventually(some)
        seen = await run.progress()
        assert not seen.stale
        result = await run.result()
    assert seen.matched is not None
    assert 0 < seen.matched <= seen.succeeded
    assert (await run.progress()).matched == result.matched == ITEMS // 50
    assert (await stored(open_store(result.output))).matched == ITEMS // 50
    assert said((await command(engine, "status", run.id))[1])["matches"] == f"{ITEMS // 50}"
    # Of a run that the server has forgotten: by its manifest, and without one by its commits.
    for _ in range(2):
        assert await describe_forgotten(run.id, result.output, as_json=False) == 0
        assert said(capsys.readouterr().out)["matches"] == f"{ITEMS // 50}"
        (to_path(result.output) / "manifest.json").unlink(missing_ok=True)


async def test_a_match_in_threads_ends_a_search(engine: Engine) -> None:
    async with engine.worker(needle_in_threads) as client:
        run = await engine.start(
            client, needle_in_threads, fanout.Range(ITEMS), batch_size=20, max_concurrency=4,
            stop_when=fanout.FirstSuccess(),
        )  # fmt: skip
        assert (await run.result()).found
        assert [row.output async for row in run.matches()] == [{"number": FIRST}]


async def test_a_search_that_finds_too_little_goes_to_its_end(engine: Engine) -> None:
    async with engine.worker(needle) as client:
        ended = await engine.run(
            client, needle, fanout.Range(FIRST + 50), batch_size=50, stop_when=fanout.FirstSuccess(2)
        )
    assert ended.result.status is Status.SUCCEEDED
    assert (ended.result.matched, ended.result.reason, ended.result.found) == (1, "", False)


async def test_a_search_that_is_drained_before_it_has_found_enough_has_not_found_it(engine: Engine) -> None:
    async with engine.worker(needle) as client:
        run = await engine.start(
            client,
            needle,
            fanout.Range(ITEMS),
            batch_size=20,
            max_concurrency=2,
            stop_when=fanout.FirstSuccess(),
        )
        await run.drain()
        with pytest.raises(RunFailed, match="was drained") as raised:
            await run.result()
    assert raised.value.result is not None
    assert not raised.value.result.found


async def test_while_the_last_items_beside_a_match_take_their_time_no_batch_begins_in_vain(
    engine: Engine,
) -> None:
    async with engine.worker(needle_beside_slow_items) as client:
        run = await engine.start(
            client, needle_beside_slow_items, fanout.Range(5_000), stop_when=fanout.FirstSuccess()
        )
        result = await run.result()
        histories = await engine.histories(run)
    assert result.found
    begun = histories.count(EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
    begun += sum(node.count(EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED) for node in histories.children)
    assert begun < 50, "each batch that was stopped is followed by one other, which waits"
