"""Every kind of function that can be a processor."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

import fanout
from fanout.models import Status
from fanout.workers.worker import run_worker
from tests.integration import processors_in_processes as in_processes
from tests.integration.engine import Engine
from tests.integration.values import Image, Point

# ------------------------------------------------------------------------------------ kinds of functions


async def test_async_and_threaded_processors_return_the_same(engine: Engine) -> None:
    @fanout.processor(name="async")
    async def asynchronous(number: int) -> int:
        await asyncio.sleep(0)
        return number + 1

    @fanout.processor(name="thread")
    def threaded(number: int) -> int:
        assert threading.current_thread() is not threading.main_thread()
        return number + 1

    async with engine.worker(asynchronous, threaded) as client:
        for processor in (asynchronous, threaded):
            ended = await engine.run(client, processor, fanout.Range(500), batch_size=100)
            assert ended.results == {n: n + 1 for n in range(500)}


async def test_processors_in_processes_use_other_processes_and_report_their_errors(engine: Engine) -> None:
    made = (in_processes.pid, in_processes.errs, in_processes.sums, in_processes.modelled, in_processes.who)
    async with engine.worker(*made, processes=1) as client:
        ended = await engine.run(client, in_processes.pid, fanout.Range(20))
        assert os.getpid() not in ended.results.values()
        assert len(set(ended.results.values())) == 1

        ended = await engine.run(client, in_processes.sums, fanout.Range(7))
        assert ended.results == {n: 10 * n for n in range(7) if n != 5}
        assert ended.failed(5) == ("ValueError", "odd", 2)

        ended = await engine.run(client, in_processes.modelled, fanout.Range(2), params={"suffix": "!"})
        assert ended.results == {0: "True!", 1: "True!"}

        ended = await engine.run(client, in_processes.who, fanout.Range(3))
        assert ended.results == {n: f"{n} 1 {n}" for n in range(3)}

        run = await engine.start(client, in_processes.errs, fanout.Range(6))
        await asyncio.wait_for(run.result(), 20)
        failures = {f.index: (f.error_type, f.message) async for f in run.failures()}
        assert failures == {
            1: ("ValueError", "one"),
            2: ("ItemError", "two"),
            3: ("SystemExit", "the processor called sys.exit('three')"),
            4: ("Picky", "four"),
        }
        assert {row.index: row.output async for row in run.results()} == {0: 0, 5: 5}


async def test_items_that_wait_for_a_process_do_not_time_out_before_they_begin(engine: Engine) -> None:
    async with engine.worker(in_processes.slow, processes=1) as client:
        ended = await engine.run(
            client, in_processes.slow, fanout.Range(12), params={"seconds": 0.2}, max_concurrency=12
        )
        assert ended.result.status is Status.SUCCEEDED


async def test_a_process_that_dies_fails_its_items_and_the_others_go_on(engine: Engine) -> None:
    async with engine.worker(in_processes.dies, processes=1) as client:
        ended = await engine.run(client, in_processes.dies, fanout.Range(6), max_concurrency=1)
    assert ended.results == {0: 0, 1: 1, 3: 3, 4: 4, 5: 5}
    assert ended.failures[2].error_type == "WorkerDied"


async def test_a_bound_method_and_a_callable_object_and_a_partial_are_processors(engine: Engine) -> None:
    class Scaler:
        def __init__(self, factor: int) -> None:
            self.factor = factor

        async def scale(self, number: int) -> int:
            return self.factor * number

        def __call__(self, number: int) -> int:
            return self.factor + number

    async def add(to: int, number: int) -> int:
        return to + number

    made: list[fanout.Processor[..., Any]] = [
        fanout.processor(Scaler(3).scale),
        fanout.processor(Scaler(4), name="called"),
        fanout.processor(functools.partial(add, 5), name="partial"),
    ]
    async with engine.worker(*made) as client:
        found = [(await engine.run(client, one, fanout.Range(2, 4))).results for one in made]
    assert found == [{0: 6, 1: 9}, {0: 6, 1: 7}, {0: 7, 1: 8}]
    assert [one.name for one in made] == ["scale", "called", "partial"]


async def test_a_wrapped_activity_has_a_context_and_its_heartbeats_do_not_disturb_the_batch(
    engine: Engine,
) -> None:
    @activity.defn(name="legacy")
    async def legacy(number: int) -> list[Any]:
        for _ in range(3):
            activity.heartbeat("mine", number)
            await asyncio.sleep(0)
        return [activity.info().activity_type, isinstance(activity.client(), Client), activity.in_activity()]

    @activity.defn
    def legacy_sync(number: int) -> list[Any]:
        activity.heartbeat("mine", number)
        activity.logger.info("in a thread")
        return [activity.info().activity_type, activity.is_cancelled()]

    made: list[fanout.Processor[..., Any]] = [fanout.processor(legacy), fanout.processor(legacy_sync)]
    async with engine.worker(*made) as client:
        ended = await engine.run(client, made[0], fanout.Range(3))
        assert not ended.failures, ended.failures[0]
        assert ended.results == {n: ["fanout:legacy", True, True] for n in range(3)}
        assert (await engine.run(client, made[1], fanout.Range(3))).results == {
            n: ["fanout:legacy_sync", False] for n in range(3)
        }


# ------------------------------------------------------------------------------------ lists


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_list_processor_gets_lists_and_may_return_exceptions_in_place_of_outputs(
    engine: Engine, kind: str
) -> None:
    sizes: list[int] = []
    attempts: dict[int, int] = {}

    def outputs(images: list[Image]) -> list[str | Exception]:
        sizes.append(len(images))
        found: list[str | Exception] = []
        for image in images:
            attempts[image.id] = attempts.get(image.id, 0) + 1
            if image.id == 3:
                found.append(ValueError("three"))
            elif image.id == 4 and attempts[4] < 3:
                found.append(ConnectionError("again"))
            else:
                found.append(f"i{image.id}")
        return found

    @fanout.processor(name="async", list_size=8, retries=2)
    async def asynchronous(images: list[Image]) -> list[str | Exception]:
        return outputs(images)

    @fanout.processor(name="thread", list_size=8, retries=2)
    def threaded(images: list[Image]) -> list[str | Exception]:
        return outputs(images)

    items: list[dict[str, Any]] = [{"id": n} for n in range(20)]
    items[6] = {"id": "six"}
    async with engine.worker(asynchronous, threaded) as client:
        ended = await engine.run(client, kind, items, max_concurrency=8, batch_size=20)
    assert ended.results == {n: f"i{n}" for n in range(20) if n not in (3, 6)}
    assert ended.failed(3) == ("ValueError", "three", 3)
    assert ended.failed(6)[0] == "InvalidItem"
    assert attempts == {n: 3 if n in (3, 4) else 1 for n in range(20) if n != 6}
    # Full lists, but for the last one and those of retries; an invalid item takes no place.
    assert sizes[:2] == [8, 8]
    assert max(sizes) == 8


async def test_a_list_processor_that_raises_fails_all_its_items_and_each_is_tried_again(
    engine: Engine,
) -> None:
    calls: list[list[int]] = []

    @fanout.processor(name="lists", list_size=4, retries=1)
    async def lists(numbers: list[int]) -> list[int]:
        calls.append(numbers)
        if len(calls) == 1:
            raise ConnectionError("down")
        return numbers

    async with engine.worker(lists) as client:
        ended = await engine.run(client, lists, fanout.Range(8), max_concurrency=4)
    assert ended.results == {n: n for n in range(8)}
    assert sorted(n for call in calls for n in call) == sorted([0, 1, 2, 3, *range(8)])


# ------------------------------------------------------------------------------------ lifespans, parameters, info


async def test_a_lifespan_is_entered_once_for_each_worker_and_left_at_its_end(engine: Engine) -> None:
    entered: list[str] = []

    @asynccontextmanager
    async def pool() -> AsyncIterator[dict[str, str]]:
        entered.append("in")
        yield {"name": "the pool"}
        entered.append("out")

    @fanout.processor(name="pooled", lifespan=pool)
    async def pooled(number: int, resource: dict[str, str]) -> str:
        return f"{number} {resource['name']}"

    @fanout.processor(name="pooled-thread", lifespan=pool)
    def pooled_thread(number: int, resource: dict[str, str], *, mark: str) -> str:
        return f"{number} {resource['name']}{mark}"

    async with engine.worker(pooled, pooled_thread) as client:
        assert (await engine.run(client, pooled, fanout.Range(2))).results[1] == "1 the pool"
        ended = await engine.run(client, pooled_thread, fanout.Range(2), params={"mark": "?"})
        assert ended.results[1] == "1 the pool?"
    assert entered == ["in", "out"]
    async with engine.worker(pooled) as client:
        await engine.run(client, pooled, fanout.Range(1))
    assert entered == ["in", "out", "in", "out"]


async def test_a_lifespan_that_breaks_stops_the_worker_with_its_own_error(engine: Engine) -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        if engine.queue:
            raise ConnectionError("no database")
        yield

    @fanout.processor(name="broken", lifespan=broken)
    async def processor(number: int, resource: None) -> int:
        return number

    client = await engine.client(processor)
    with pytest.raises(ConnectionError, match="no database"):
        await asyncio.wait_for(run_worker(client, engine.queue, stop=asyncio.Event()), 10)


async def test_parameters_have_defaults_and_arrive_as_their_types(engine: Engine) -> None:
    @fanout.processor(name="params")
    async def params(
        number: int,
        *,
        px: int,
        since: date = date(2013, 1, 1),
        names: frozenset[str] = frozenset(),
        point: Point | None = None,
    ) -> list[Any]:
        return [px, type(since).__name__, since, sorted(names), point and point.x]

    async with engine.worker(params) as client:
        first = await engine.run(client, params, fanout.Range(1), params={"px": "512"})
        assert first.results == {0: [512, "date", "2013-01-01", [], None]}
        given = {"px": 1, "since": date(2020, 2, 3), "names": {"b", "a"}, "point": Point(7)}
        second = await engine.run(client, params, fanout.Range(1), params=given)
        assert second.results == {0: [1, "date", "2020-02-03", ["a", "b"], 7]}


async def test_info_tells_index_key_and_attempt_and_a_key_that_is_the_same_for_every_attempt(
    engine: Engine,
) -> None:
    seen: dict[str, list[fanout.Info]] = {"async": [], "thread": []}

    def look(kind: str) -> str:
        info = fanout.info()
        seen[kind].append(info)
        info.logger.info("seen")
        if info.attempt < 3:
            raise ValueError("again")
        return info.idempotency_key

    @fanout.processor(name="async")
    async def asynchronous(item: dict[str, str]) -> str:
        await asyncio.sleep(0)
        return look("async")

    @fanout.processor(name="thread")
    def threaded(item: dict[str, str]) -> str:
        return look("thread")

    items = [{"id": f"k{n}"} for n in range(10)]
    async with engine.worker(asynchronous, threaded) as client:
        for kind, infos in seen.items():
            ended = await engine.run(client, kind, fanout.Items(items, key="id").skip(4))
            mine = {i: [info for info in infos if info.index == i] for i in range(4, 10)}
            for index, told in mine.items():
                assert [info.attempt for info in told] == [1, 2, 3]
                assert {info.key for info in told} == {f"k{index}"}
                assert {info.idempotency_key for info in told} == {ended.results[index]}
                assert {(info.run_id, info.processor) for info in told} == {(ended.run.id, kind)}
            assert len(set(ended.results.values())) == 6
    with pytest.raises(RuntimeError, match="only inside a processor"):
        fanout.info()


async def test_the_plugin_may_be_given_to_client_and_worker_and_beside_other_activities(
    engine: Engine,
) -> None:
    @fanout.processor(name="both")
    async def both(number: int) -> int:
        return number

    @activity.defn(name="both")
    async def other(number: int) -> int:
        return -number

    client = await engine.client(both)
    (plugin,) = client.config()["plugins"]
    assert isinstance(plugin, fanout.Plugin)
    with pytest.warns(UserWarning, match="same plugin type"):
        worker = Worker(client, task_queue=engine.queue, activities=[other], plugins=[plugin])
    async with worker:
        assert (await engine.run(client, both, fanout.Range(3))).results == {0: 0, 1: 1, 2: 2}
