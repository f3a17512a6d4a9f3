"""Reruns: what failed and what was not run, again; a chain of runs that reads as one."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable
from typing import Any

import pytest
from temporalio.client import Client

import fanout
from fanout.models import RunResult, Status
from fanout.storage.roots import to_path
from tests.integration.engine import Engine, published, write_lines
from tests.integration.processors_in_workers import timed
from tests.integration.workers import Workers
from tests.waiting import eventually

broken: set[int] = set()
stuck: set[int] = set()
held: set[int] = set()
keys_seen: dict[int, set[str]] = {}


@pytest.fixture(autouse=True)
def clean() -> None:
    for seen in (broken, stuck, held, keys_seen):
        seen.clear()


@fanout.processor(retries=0)
async def fixable(number: int) -> int:
    """Fail what is broken, and hold what is stuck for ever."""
    keys_seen.setdefault(number, set()).add(fanout.info().idempotency_key)
    if number in stuck:
        held.add(number)
        await asyncio.Event().wait()
    if number in broken:
        raise (KeyError if number % 2 else ValueError)(f"not {number}")
    return 2 * number


@fanout.processor(retries=0)
async def plain(number: int) -> int:
    if number in broken:
        raise ValueError("broken")
    return number


async def again(
    engine: Engine, client: Client, run: fanout.Run, **arguments: Any
) -> tuple[fanout.Run, RunResult]:
    """Rerun to the end."""
    started = await run.rerun(**arguments)
    engine.started.append((client, started))
    return started, await started.result()


async def check(run: fanout.Run, failed: Iterable[int], items: int, first: int = 0) -> None:
    """Check that a chain reads as one in which all items succeeded but some."""
    failed = sorted(failed)
    succeeded = [n for n in range(first, items) if n not in set(failed)]
    rows = [row async for row in run.results(ordered=True)]
    assert [row.index for row in rows] == succeeded
    assert [row.output for row in rows] == [2 * n for n in succeeded]
    assert sorted([row.index async for row in run.results()]) == succeeded
    assert [failure.index async for failure in run.failures()] == failed
    assert sum(kind.count for kind in await run.failure_kinds()) == len(failed)


async def test_a_rerun_after_a_fix_ends_with_every_item_succeeded_and_each_result_once(
    engine: Engine,
) -> None:
    path = write_lines(engine.folder / "in.jsonl", range(700))
    # The items of the last one are staged.
    readers = {fanout.JsonLines(path): 700, fanout.Range(700): 700, fanout.Items(list(range(12_000))): 12_000}
    async with engine.worker(fixable) as client:
        for number, (reader, items) in enumerate(readers.items()):
            broken.update(range(0, 700, 7))
            first = await engine.run(
                client,
                fixable,
                reader,
                id=f"{engine.queue}-{number}",
                partition_size=5000 if items > 700 else 400,
            )
            assert (first.result.succeeded, first.result.failed) == (items - len(broken), len(broken))
            # Half of them are mended, then all.
            broken.difference_update(range(0, 700, 14))
            second, result = await again(engine, client, first.run)
            assert (result.items, result.succeeded, result.failed) == (100, 50, 50)
            assert result.rerun == "what failed and what was not run"
            await check(second, broken, items)
            broken.clear()
            # Of a handle of the first execution, too.
            last, result = await again(engine, client, first.run, failed=True)
            assert (result.status, result.items, result.succeeded) == (Status.SUCCEEDED, 50, 50)
            await check(last, [], items)
            await check(fanout.get_run(client, last.id), [], items)
            assert sorted(published(to_path(result.output))) == list(range(7, 700, 14))
            assert await last.item(7) == fanout.ItemResult(7, "7", 14)
            assert await last.item(key="7") == await last.item(7)
            assert (await last.info()).rerun == "what failed"
            with pytest.raises(
                fanout.UsageError, match="nothing failed in run .*, and all items of run .* were run"
            ):
                await last.rerun()
    # The same over all attempts and reruns of an item.
    assert {len(keys) for number, keys in keys_seen.items() if number < 700} == {len(readers)}


async def test_a_part_of_what_failed_is_run_again_by_type_group_or_keys(engine: Engine) -> None:
    broken.update(range(10))
    async with engine.worker(fixable) as client:
        run = (await engine.run(client, fixable, fanout.Range(20))).run
        kinds = {kind.error_type: kind.group for kind in await run.failure_kinds()}
        narrowed: list[tuple[dict[str, Any], set[int]]] = [
            ({"error_type": "KeyError"}, {1, 3, 5, 7, 9}),
            ({"group": kinds["ValueError"]}, {0, 2, 4, 6, 8}),
            ({"group": kinds["KeyError"], "keys": ["3", 4, "11"]}, {3}),
            ({"group": "ValueError: not 17", "keys": iter(["2"])}, {2}),
            ({"keys": ["3", "4", "11"]}, {3, 4}),
        ]
        for chosen, items in narrowed:
            keys_seen.clear()
            run, result = await again(engine, client, run, **chosen)
            assert set(keys_seen) == items, chosen
            assert (result.items, result.failed) == (len(items), len(items))
        assert result.rerun == "what failed with given keys"
        await check(run, broken, 20)
        refused: list[tuple[dict[str, Any], str]] = [
            ({"error_type": "OSError"}, "nothing failed with OSError in run"),
            ({"keys": ["11"]}, "nothing failed with any of the 1 keys"),
            ({"group": "ValueError: else"}, "nothing failed of group"),
            ({"not_run": True}, "all items of run .* were run: there is nothing to run again"),
            ({"not_run": True, "failed": False, "keys": ["1"]}, "choose among what failed"),
            ({"failed": False, "not_run": False}, "say at least one"),
            ({"group": "KeyError"}, "names no group of failures"),
            ({"retrys": 1}, "unknown option 'retrys'; did you mean 'retries'"),
        ]
        for chosen, reason in refused:
            with pytest.raises(fanout.UsageError, match=reason):
                await run.rerun(**chosen)
        broken.clear()
        run, _ = await again(engine, client, run)
        await check(run, [], 20)


async def idle(run: fanout.Run) -> bool:
    return (await run.progress()).in_flight == 0


async def stopped(run: fanout.Run, how: str) -> None:
    """End a run before its time, once it holds an item."""
    await eventually(lambda: held)
    with pytest.raises(fanout.UsageError, match="is still running: a rerun begins once it has ended"):
        await run.rerun()
    match how:
        case "cancel":
            await run.cancel()
        case "terminate":
            await run.terminate()
        case _:
            await run.pause(now=True)
            await eventually(lambda: idle(run))
            await run.drain()
    with pytest.raises(fanout.RunFailed):
        await run.result()


@pytest.mark.parametrize("how", ["cancel", "drain", "terminate"])
async def test_what_was_not_run_is_run_whatever_ended_the_run(engine: Engine, how: str) -> None:
    path = write_lines(engine.folder / "in.jsonl", range(600))
    broken.update({3, 250})
    stuck.update(range(150, 600))
    options: dict[str, Any] = {"partition_size": 200, "batch_size": 20, "max_concurrency": 40}
    async with engine.worker(fixable) as client:
        first = await engine.start(client, fixable, fanout.JsonLines(path), **options)
        await stopped(first, how)
        # Again stopped in the middle; then only what was not run; then what failed.
        held.clear()
        stuck.difference_update(range(300))
        second = await first.rerun()
        engine.started.append((client, second))
        await stopped(second, how)
        stuck.clear()
        third, result = await again(engine, client, second, not_run=True)
        assert result.not_run == 0
        assert len([row async for row in third.results()]) == 598
        assert {failure.index async for failure in third.failures()} == {3, 250}
        broken.clear()
        last, result = await again(engine, client, third)
        assert (result.status, result.items) == (Status.SUCCEEDED, 2)
        await check(last, [], 600)
        with pytest.raises(fanout.UsageError, match="there is nothing to run again"):
            await last.rerun()
        more = await engine.start(client, fixable, fanout.JsonLines(path), id=last.id, continue_run=True)
        assert (await more.result()).items == 0
        await check(more, [], 600)


async def test_a_continued_run_is_run_again_as_a_whole_and_continued_further(engine: Engine) -> None:
    path = write_lines(engine.folder / "in.jsonl", range(60))
    broken.update({4, 15, 25, 55})
    reader = fanout.JsonLines(path)
    async with engine.worker(fixable) as client:
        run = (await engine.run(client, fixable, reader.skip(2).limit(8))).run
        run = await engine.start(client, fixable, reader.limit(10), id=run.id, continue_run=True)
        await run.result()
        broken.discard(4)
        run, result = await again(engine, client, run)
        assert (result.items, result.succeeded) == (2, 1)
        run = await engine.start(client, fixable, reader, id=run.id, continue_run=True)
        assert (await run.result()).items == 40
        await check(run, [15, 25, 55], 60, first=2)
        broken.clear()
        run, result = await again(engine, client, run)
        assert result.items == 3
        await check(run, [], 60, first=2)


async def test_a_source_that_has_changed_since_is_refused(engine: Engine) -> None:
    path = write_lines(engine.folder / "in.jsonl", range(30))
    broken.update({4, 5})
    async with engine.worker(fixable) as client:
        first = await engine.run(client, fixable, fanout.JsonLines(path))
        write_lines(path, range(1, 31))
        started = await first.run.rerun()
        engine.started.append((client, started))
        with pytest.raises(fanout.RunFailed, match=r"in\.jsonl changed since the run was planned"):
            await started.result()
        # What was there before is read as ever.
        await check(started, [4, 5], 30)


async def test_a_source_that_is_as_it_was_again_is_taken_after_a_refusal(engine: Engine) -> None:
    path = write_lines(engine.folder / "in.jsonl", range(30))
    before = path.stat()
    broken.update({4, 5})
    async with engine.worker(fixable) as client:
        run = (await engine.run(client, fixable, fanout.JsonLines(path))).run
        broken.clear()
        write_lines(path, range(1, 31))
        for _ in range(2):
            run = await run.rerun()
            engine.started.append((client, run))
            with pytest.raises(fanout.RunFailed, match="changed since the run was planned"):
                await run.result()
        write_lines(path, range(30))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        run, result = await again(engine, client, run)
        assert (result.items, result.succeeded) == (2, 2)
        await check(run, [], 30)


async def test_a_rerun_that_no_worker_could_plan_leaves_the_run_as_it_was(engine: Engine) -> None:
    broken.update({4, 5})
    async with engine.worker(fixable) as client:
        first = await engine.run(client, fixable, fanout.Range(30))
        started = await first.run.rerun(processor="nobody")
        engine.started.append((client, started))
        with pytest.raises(fanout.RunFailed, match="nobody"):
            await started.result()
        await check(started, [4, 5], 30)
        broken.clear()
        last, result = await again(engine, client, started, processor=fixable)
        assert result.items == 2
        await check(last, [], 30)
        new = await engine.run(client, fixable, fanout.Range(3), id=first.run.id, if_exists="new")
        with pytest.raises(fanout.UsageError, match="was started anew since"):
            await first.run.rerun()
        with pytest.raises(fanout.UsageError, match="nothing failed"):
            await new.run.rerun()
        never = await engine.start(client, "nobody", fanout.Range(3))
        with pytest.raises(fanout.RunFailed):
            await never.result()
        with pytest.raises(fanout.UsageError, match="ended as FAILED before anything of it was planned"):
            await never.rerun()


async def test_scattered_failures_of_many_items_cost_no_long_histories(engine: Engine) -> None:
    items = 200_000
    broken.update(range(0, items, 100))
    async with engine.worker(plain) as client:
        run = await engine.start(client, plain, fanout.Range(items))
        assert (await run.result()).failed == 2000
        broken.clear()
        # Two partitions, and batches that continue as new.
        last, result = await again(engine, client, run, partition_size=1000, batch_size=25, history_limit=100)
        assert (result.items, result.succeeded, result.partitions) == (2000, 2000, 2)
        root = await engine.histories(last)
        rows = [index async for lines in last.rows("results", ordered=True) for index in map(index_of, lines)]
    assert rows == list(range(items))
    assert len(root.events) < 60
    for node in root.walk():
        for events in node.executions:
            assert len(events) < 200
            assert max(event.ByteSize() for event in events) < 8 * 1024


def index_of(line: bytes) -> int:
    return int(json.loads(line)["index"])


async def test_a_worker_that_is_killed_in_a_rerun_loses_no_item_and_none_has_two_outcomes(
    engine: Engine, workers: Workers
) -> None:
    client = await engine.client(timed)
    await workers.start()
    # An attempt may take less than an item does: all fail but those of the rerun.
    failed = await engine.start(
        client,
        timed,
        fanout.Range(400),
        params={"seconds": 0.3},
        max_concurrency=100,
        timeout=0.02,
        retries=0,
    )
    assert (await failed.result()).failed == 400
    victim = workers.running[0]
    run = await failed.rerun(
        timeout=60,
        max_concurrency=20,
        batch_size=20,
        batch_concurrency=5,
        partition_size=150,
        heartbeat_timeout=1,
    )
    engine.started.append((client, run))
    await eventually(lambda: len(workers.intervals()) > 60)
    victim.kill()
    await workers.start()
    result = await asyncio.wait_for(run.result(), 60)
    assert (result.items, result.succeeded, result.failed) == (400, 400, 0)
    assert [row.index async for row in run.results(ordered=True)] == list(range(400))
    assert sorted(published(to_path(result.output))) == list(range(400))
    assert [failure async for failure in run.failures()] == []
