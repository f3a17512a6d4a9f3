"""The tree of a run: partitions that tile it, groups, continue-as-new, and runs that continue others."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType

import fanout
from fanout import wire
from fanout.models import Status
from fanout.storage.roots import to_path
from tests.integration.engine import Engine, Node, published, write_lines

SCHEDULED = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED


@fanout.processor
async def triple(number: int) -> int:
    if number % 10 == 3:
        raise fanout.ItemError("ends in 3", retryable=False)
    return 3 * number


def depth(node: Node) -> int:
    return 1 + max((depth(child) for child in node.children), default=0)


async def test_partitions_tile_the_items_exactly_and_their_rows_are_whole(engine: Engine) -> None:
    async with engine.worker(triple) as client:
        ended = await engine.run(client, triple, fanout.Range(1003), partition_size=100, batch_size=30)
        run = ended.run
        assert await run.item(999) == fanout.ItemResult(index=999, key="999", output=2997)
        failure = await run.item(403)
        assert isinstance(failure, fanout.Failure)
        assert failure.message == "ends in 3"
        assert await run.item(key="999") == await run.item(999)
        assert await run.item(1003) is None
        assert await run.item(key="1003") is None
    assert ended.results == {n: 3 * n for n in range(1003) if n % 10 != 3}
    assert sorted(ended.failures) == list(range(3, 1003, 10))
    assert published(ended.folder) == {n: "failures" if n % 10 == 3 else "results" for n in range(1003)}
    result = ended.result
    assert (result.items, result.succeeded, result.failed, result.partitions) == (1003, 903, 100, 11)
    assert result.error_types == {"ItemError": 100}
    manifest = json.loads((ended.folder / "manifest.json").read_bytes())
    assert manifest["result"]["succeeded"] == 903
    assert manifest["run"]["run_id"] == run.id
    assert len(manifest["roll_ups"]) == 11
    assert not list((ended.folder / "_data").rglob("*.jsonl"))
    root = await engine.histories(run)
    ranges = [
        json.loads(event.workflow_execution_started_event_attributes.input.payloads[0].data)
        for child in root.children
        for event in child.executions[0][:1]
    ]
    assert sorted((one["start"], one["count"]) for one in ranges) == [
        (start, min(100, 1003 - start)) for start in range(0, 1003, 100)
    ]


async def test_a_tree_forced_deep_has_groups_of_groups_and_few_children_under_any_node(
    engine: Engine,
) -> None:
    async with engine.worker(triple) as client:
        ended = await engine.run(
            client, triple, fanout.Range(60), partition_size=5, max_children=3, max_concurrency=8
        )
        root = await engine.histories(ended.run)
        listed = {
            execution.id: execution.parent_id
            async for execution in client.list_workflows(f"RootWorkflowId = '{ended.run.id}'")
        }
    assert ended.results == {n: 3 * n for n in range(60) if n % 10 != 3}
    assert len(published(ended.folder)) == 60
    assert (ended.result.partitions, ended.result.succeeded, ended.result.failed) == (12, 54, 6)
    # 12 partitions, at most 3 below a node: two levels of groups between them and the root.
    assert depth(root) == 4
    kinds = [node.kind for node in root.walk()]
    assert kinds.count(wire.PARTITION_WORKFLOW) == 12
    assert kinds.count(wire.GROUP_WORKFLOW) == 4 + 2
    assert max(len(node.children) for node in root.walk()) <= 3
    # The server's own list knows the same tree.
    tree = {child.workflow_id: node.workflow_id for node in root.walk() for child in node.children}
    assert {child: parent for child, parent in listed.items() if parent} == tree
    assert len(set(tree)) == 12 + 6


async def test_groups_of_a_source_whose_size_is_only_estimated_lose_nothing(engine: Engine) -> None:
    """Long lines first, short ones later: there are many more items than the first look lets one think."""
    paths = [
        write_lines(engine.folder / f"{n}.jsonl", ({"id": n, "pad": "x" * size} for n in range(count)))
        for n, (size, count) in enumerate([(5000, 20), (1, 700), (100, 5)])
    ]

    @fanout.processor(name="id")
    async def id_of(item: dict[str, Any]) -> int:
        return int(item["id"])

    async with engine.worker(id_of) as client:
        ended = await engine.run(
            client, id_of, fanout.JsonLines(paths), partition_size=60, max_children=3, max_concurrency=20
        )
        root = await engine.histories(ended.run)
    assert list(ended.results.values()) == [*range(20), *range(700), *range(5)]
    assert len(published(ended.folder)) == 725
    assert max(len(node.children) for node in root.walk()) <= 3


async def test_limit_and_skip_run_a_slice_whose_indexes_are_those_of_the_whole(engine: Engine) -> None:
    path = write_lines(engine.folder / "x.jsonl", range(100))
    async with engine.worker(triple) as client:
        for reader in (fanout.Range(100), fanout.JsonLines(path), fanout.Items(list(range(100)))):
            ended = await engine.run(client, triple, reader.skip(20).limit(30), partition_size=8)
            assert sorted([*ended.results, *ended.failures]) == list(range(20, 50))
            assert ended.results == {n: 3 * n for n in range(20, 50) if n % 10 != 3}
            assert (ended.result.items, ended.result.partitions) == (30, 4)
            assert sorted(published(ended.folder)) == list(range(20, 50))


async def test_a_limit_beyond_the_end_runs_what_there_is(engine: Engine) -> None:
    async with engine.worker(triple) as client:
        ended = await engine.run(client, triple, fanout.Range(7).skip(4).limit(100))
    assert ended.results == {4: 12, 5: 15, 6: 18}
    assert ended.result.items == 3


async def test_a_run_that_continues_another_reads_as_one(engine: Engine) -> None:
    path = write_lines(engine.folder / "x.jsonl", range(50))
    async with engine.worker(triple) as client:
        first = await engine.run(client, triple, fanout.JsonLines(path).limit(10), id=f"{engine.queue}-c")
        second = await engine.start(
            client,
            triple,
            fanout.JsonLines(path).limit(15),
            id=first.run.id,
            continue_run=True,
            partition_size=4,
        )
        result = await second.result()
        assert (result.items, result.succeeded, result.failed) == (15, 13, 2)
        third = await engine.start(client, triple, fanout.JsonLines(path), id=first.run.id, continue_run=True)
        result = await third.result()
        assert (result.items, result.succeeded, result.failed) == (25, 23, 2)
        rows = [row async for row in third.results(ordered=True)]
        assert [row.index for row in rows] == [n for n in range(50) if n % 10 != 3]
        assert [row.output for row in rows] == [3 * row.index for row in rows]
        assert [f.index async for f in third.failures()] == [3, 13, 23, 33, 43]
        for index in (0, 11, 49):
            assert await third.item(index) == fanout.ItemResult(index, str(index), 3 * index)
        # Nothing is left: a further one has no items, and reads the same.
        fourth = await engine.start(
            client, triple, fanout.JsonLines(path), id=first.run.id, continue_run=True
        )
        assert ((await fourth.result()).status, (await fourth.result()).items) == (Status.SUCCEEDED, 0)
        assert [row.index async for row in fourth.results(ordered=True)] == [row.index for row in rows]
    # Each has a folder of its own.
    folders = {to_path(await run.output()) for run in (first.run, second, third, fourth)}
    assert len(folders) == 4


async def test_only_a_run_that_completed_can_be_continued(engine: Engine) -> None:
    client = await engine.client(triple)
    with pytest.raises(fanout.RunNotFound):
        await engine.start(client, triple, fanout.Range(5), id=f"{engine.queue}-x", continue_run=True)
    run = await engine.start(client, triple, fanout.Range(5))
    with pytest.raises(fanout.UsageError, match="is still running: continue it once it has ended"):
        await engine.start(client, triple, fanout.Range(5), id=run.id, continue_run=True)
    await run.terminate()
    with pytest.raises(fanout.UsageError, match="ended as TERMINATED before all of its items were run"):
        await engine.start(client, triple, fanout.Range(5), id=run.id, continue_run=True)


async def test_a_partition_that_continues_as_new_loses_nothing_and_stays_below_its_limit(
    engine: Engine,
) -> None:
    """One item a batch, a small history, a window of 20: the window is drained, and then goes on."""
    async with engine.worker(triple) as client:
        ended = await engine.run(
            client,
            triple,
            fanout.Range(250),
            batch_size=1,
            batch_concurrency=1,
            max_concurrency=20,
            partition_size=1000,
            history_limit=200,
        )
        root = await engine.histories(ended.run)
    assert len(published(ended.folder)) == 250
    assert (ended.result.succeeded, ended.result.failed, ended.result.partitions) == (225, 25, 1)
    (partition,) = root.children
    assert partition.count(SCHEDULED) - 1 <= 250
    assert len(partition.executions) >= 4
    # A window of 20 batches is drained after the limit, at seven events each.
    assert max(len(events) for events in partition.executions) <= 200 + 20 * 7 + 10
    for events in partition.executions[:-1]:
        scheduled = {e.event_id for e in events if e.event_type == SCHEDULED}
        completed = {
            e.activity_task_completed_event_attributes.scheduled_event_id
            for e in events
            if e.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
        }
        assert scheduled == completed
    # What is carried over does not grow.
    sizes = [
        events[-1].workflow_execution_continued_as_new_event_attributes.input.ByteSize()
        for events in partition.executions[:-1]
    ]
    assert max(sizes) - min(sizes) < 200
    assert max(sizes) < 4000


async def test_a_failure_of_many_types_is_counted_by_type(engine: Engine) -> None:
    kinds = [type(f"Kind{n}", (Exception,), {}) for n in range(30)]

    @fanout.processor(name="kinds", retries=0)
    async def fails(number: int) -> None:
        raise kinds[number % 30]("x")

    async with engine.worker(fails) as client:
        ended = await engine.run(client, fails, fanout.Range(90))
    assert sum(ended.result.error_types.values()) == 90
    assert len(ended.result.error_types) == 21
    assert ended.result.error_types["other"] == 30
    with pytest.raises(fanout.RunFailed, match="90 of 90 items of .* failed"):
        ended.result.raise_for_failures()


async def test_progress_counts_up_while_a_run_goes_on_and_stays_once_it_has_ended(engine: Engine) -> None:
    go = asyncio.Event()

    @fanout.processor(name="gated")
    async def gated(number: int) -> int:
        if number >= 30:
            await go.wait()
        return number

    async with engine.worker(gated) as client:
        run = await engine.start(
            client, gated, fanout.Range(60), partition_size=10, batch_size=5, max_concurrency=60
        )
        seen = await run.progress()
        while seen.done < 30:
            later = await run.progress()
            assert later.done >= seen.done
            seen = later
        assert (seen.total, seen.planned, seen.succeeded, seen.failed) == (60, True, 30, 0)
        # A partition that has ended lives for the root until that has heard of it.
        while ((seen := await run.progress()).in_flight, seen.partitions) != (30, 3):
            pass
        assert (seen.status, seen.done) == (Status.RUNNING, 30)
        # Committed results are there while the run goes on.
        assert [row.index async for row in run.results(ordered=True)] == list(range(30))
        go.set()
        await run.result()
        last = await run.progress()
    assert (last.status, last.total, last.succeeded, last.in_flight) == (Status.SUCCEEDED, 60, 60, 0)


async def test_map_returns_the_results_in_order(engine: Engine) -> None:
    async with engine.worker(triple) as client:
        rows = await fanout.map(
            client, triple, range(100, 103), task_queue=engine.queue, id=f"{engine.queue}-map"
        )
        assert [row.output for row in rows] == [300, 303, 306]
        with pytest.raises(fanout.RunFailed, match=r"1 of 4 items .*1 ItemError"):
            await fanout.map(client, triple, range(4), task_queue=engine.queue, id=f"{engine.queue}-map2")


async def test_items_beyond_64_kib_are_staged_and_never_pass_through_history(engine: Engine) -> None:
    @fanout.processor(name="size")
    async def size(text: str) -> int:
        return len(text)

    async with engine.worker(size) as client:
        ended = await engine.run(client, size, ("x" * 1000 for _ in range(200)))
        root = await engine.histories(ended.run)
    assert ended.results == dict.fromkeys(range(200), 1000)
    assert max(event.ByteSize() for node in root.walk() for event in node.events) < 8 * 1024


async def test_a_run_reports_a_key_from_the_field_that_one_names(engine: Engine) -> None:
    @fanout.processor(name="keyed", retries=0)
    async def keyed(item: dict[str, Any]) -> str:
        if item.get("bad"):
            raise ValueError(fanout.info().key)
        return fanout.info().key

    items = [{"id": "a"}, {"id": 7}, {"other": 1}, {"id": 'é"', "bad": True}]
    async with engine.worker(keyed) as client:
        ended = await engine.run(client, keyed, fanout.Items(items, key="id"))
        assert ended.results == {0: "a", 1: "7", 2: "2"}
        assert ended.failures[3].key == 'é"'
        assert ended.failures[3].message == 'é"'
        found = await ended.run.item(key='é"')
        assert isinstance(found, fanout.Failure)
        assert await ended.run.item(key="7") == fanout.ItemResult(1, "7", "7")


async def test_a_small_run_inside_the_root_never_drains_for_want_of_history(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fanout.topology.HISTORY_LIMIT", 30)
    monkeypatch.setattr("fanout.topology.MAX_HISTORY_LIMIT", 30)
    async with engine.worker(triple) as client:
        ended = await engine.run(client, triple, fanout.Range(60), batch_size=1, max_concurrency=4)
    # Every tenth item of `triple` fails.
    assert (ended.result.succeeded, ended.result.failed, ended.result.not_run) == (54, 6, 0)
