"""Attempts of one item: how many, how far apart, cut off by their timeouts, and by what processors do to themselves."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from datetime import timedelta

import pytest
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

import fanout
from tests.integration.engine import Engine
from tests.waiting import eventually


async def test_an_item_is_tried_as_often_as_the_processor_the_run_and_the_error_say(engine: Engine) -> None:
    class Hopeless(Exception):
        pass

    class Worse(Hopeless):
        pass

    errors: list[Exception] = [
        ValueError("x"),
        Worse("x"),
        fanout.ItemError("x", retryable=False),
        fanout.ItemError("x"),
        ApplicationError("x", type="Mine", non_retryable=True),
        ApplicationError("x", type="Mine"),
        ApplicationError("x", type="Listed"),
    ]

    @fanout.processor(name="tried", retries=2, non_retryable=["Hopeless", "Listed"])
    async def tried(number: int) -> None:
        raise errors[number]

    policy = RetryPolicy(
        maximum_attempts=2, initial_interval=timedelta(seconds=0.01), non_retryable_error_types=["ValueError"]
    )

    @fanout.processor(name="policy", retry_policy=policy)
    def by_policy(number: int) -> None:
        raise errors[number]

    async with engine.worker(tried, by_policy) as client:
        ended = await engine.run(client, tried, fanout.Range(7))
        assert [ended.failures[n].attempts for n in range(7)] == [3, 1, 1, 3, 1, 3, 1]
        kinds = ["ValueError", "Worse", "ItemError", "ItemError", "Mine", "Mine", "Listed"]
        assert [ended.failures[n].error_type for n in range(7)] == kinds
        assert {f.message for f in ended.failures.values()} == {"x"}
        ended = await engine.run(client, by_policy, fanout.Range(7))
        assert [ended.failures[n].attempts for n in range(7)] == [1, 2, 1, 2, 1, 2, 2]
        # What the run says wins over the processor.
        ended = await engine.run(client, tried, fanout.Range(7), retries=0)
        assert {f.attempts for f in ended.failures.values()} == {1}
    with pytest.raises(fanout.UsageError, match="unlimited attempts"):
        fanout.processor(by_policy.function, name="endless", retry_policy=RetryPolicy())


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_backoffs_are_those_of_the_options_or_of_the_error(engine: Engine, kind: str) -> None:
    times: dict[int, list[float]] = {0: [], 1: [], 2: []}

    def act(number: int) -> int:
        times[number].append(time.monotonic())
        if number == 0 and len(times[0]) < 4:
            raise ValueError("backoff")
        if number == 1 and len(times[1]) < 2:
            raise fanout.ItemError("wait", retry_after=0.5)
        return number

    @fanout.processor(name="async")
    async def asynchronous(number: int) -> int:
        return act(number)

    @fanout.processor(name="thread")
    def threaded(number: int) -> int:
        return act(number)

    async with engine.worker(asynchronous, threaded) as client:
        ended = await engine.run(
            client, kind, fanout.Range(3), retry_initial=0.1, retry_coefficient=2, retry_maximum=0.2
        )
    assert ended.results == {0: 0, 1: 1, 2: 2}
    gaps = [later - sooner for sooner, later in zip(times[0], times[0][1:], strict=False)]
    for gap, wanted in zip(gaps, [0.1, 0.2, 0.2], strict=True):
        assert wanted - 0.01 <= gap < wanted + 0.4
    assert 0.49 <= times[1][1] - times[1][0] < 1.0


async def test_items_that_wait_for_another_attempt_do_not_hold_up_others_nor_the_processor(
    engine: Engine,
) -> None:
    """The window is full while retries are due: the loop has to wait, not to spin."""

    @fanout.processor(name="full", retries=1)
    async def full(number: int) -> int:
        if number < 5 and fanout.info().attempt == 1:
            raise ValueError("again")
        await asyncio.sleep(0.3)
        return number

    async with engine.worker(full) as client:
        began = time.process_time()
        ended = await engine.run(
            client, full, fanout.Range(20), max_concurrency=5, batch_size=20, batch_concurrency=5
        )
        spent = time.process_time() - began
    assert len(ended.results) == 20
    assert spent < 0.8, f"{spent:.2f} s of processor time in 1.2 s of waiting"


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_an_attempt_that_times_out_is_tried_again_and_the_others_are_whole(
    engine: Engine, kind: str
) -> None:
    release = threading.Event()
    attempts: list[int] = []

    @fanout.processor(name="async", timeout=0.2, retries=1)
    async def asynchronous(number: int) -> int:
        if number == 3 or (number == 4 and fanout.info().attempt == 1):
            attempts.append(number)
            await asyncio.Event().wait()
        return number

    @fanout.processor(name="thread", timeout=timedelta(seconds=0.2), retries=1)
    def threaded(number: int) -> int:
        if number == 3 or (number == 4 and fanout.info().attempt == 1):
            attempts.append(number)
            release.wait(20)
        return number

    try:
        async with engine.worker(asynchronous, threaded) as client:
            ended = await engine.run(client, kind, fanout.Range(8))
    finally:
        release.set()
    assert ended.results == {n: n for n in range(8) if n != 3}
    assert ended.failed(3) == (
        "TimeoutError",
        "the item took longer than its timeout of 0.2 s; the option timeout sets it",
        2,
    )
    assert sorted(attempts) == [3, 3, 4]


async def test_a_late_outcome_of_a_thread_that_was_timed_out_changes_nothing(engine: Engine) -> None:
    release, ended_late = threading.Event(), threading.Event()

    @fanout.processor(name="late", timeout=0.1, retries=0)
    def late(number: int) -> int:
        if number == 1:
            release.wait(20)
            ended_late.set()
        elif number == 2:
            release.set()
            ended_late.wait(20)
            time.sleep(0.01)
        return number

    async with engine.worker(late) as client:
        ended = await engine.run(client, late, fanout.Range(3), max_concurrency=1, batch_size=3)
    assert ended_late.is_set()
    assert ended.failures[1].error_type == "TimeoutError"
    assert 1 not in ended.results


async def test_a_list_that_times_out_fails_all_its_items_alone(engine: Engine) -> None:
    @fanout.processor(name="lists", timeout=0.2, retries=0, list_size=2)
    async def lists(numbers: list[int]) -> list[int]:
        if 2 in numbers:
            await asyncio.Event().wait()
        return numbers

    async with engine.worker(lists) as client:
        ended = await engine.run(client, lists, fanout.Range(6), max_concurrency=2)
    assert ended.results == {0: 0, 1: 1, 4: 4, 5: 5}
    assert {f.error_type for f in ended.failures.values()} == {"TimeoutError"}


async def test_an_item_that_catches_its_cancellation_is_timed_out_all_the_same(engine: Engine) -> None:
    @fanout.processor(name="catches", timeout=0.2, retries=0)
    async def catches(number: int) -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if number == 0:
                return number
            if number == 1:
                raise ValueError("hidden") from None
            await asyncio.Event().wait()
        return number

    async with engine.worker(catches) as client:
        ended = await engine.run(client, catches, fanout.Range(3))
    assert not ended.results
    assert {f.error_type for f in ended.failures.values()} == {"TimeoutError"}


async def test_timeouts_groups_and_cancel_scopes_inside_an_item_work_as_anywhere(engine: Engine) -> None:
    async def fails() -> None:
        raise ValueError("in a group")

    async def inner_cancel() -> str:
        task = asyncio.ensure_future(asyncio.sleep(10))
        asyncio.get_running_loop().call_soon(task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            return "inner"
        return "never"

    @fanout.processor(name="scopes", retries=0, timeout=5)
    async def scopes(number: int) -> str:
        kind = number % 6
        if kind == 0:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(10)
        elif kind == 1:
            async with asyncio.TaskGroup() as group:
                group.create_task(fails())
                group.create_task(asyncio.sleep(10))
        elif kind == 2:
            return await inner_cancel()
        elif kind == 3:
            async with asyncio.TaskGroup() as group:
                one, two = group.create_task(asyncio.sleep(0, "a")), group.create_task(asyncio.sleep(0, "b"))
            return one.result() + two.result()
        elif kind == 4:
            try:
                return await asyncio.wait_for(asyncio.sleep(10, ""), 0.01)
            except TimeoutError:
                return "waited"
        return "plain"

    async with engine.worker(scopes) as client:
        ended = await engine.run(client, scopes, fanout.Range(60), max_concurrency=10)
    for number in range(60):
        kind = number % 6
        if kind == 0:
            assert ended.failed(number)[0] == "TimeoutError"
        elif kind == 1:
            assert ended.failed(number)[0] == "ExceptionGroup"
        else:
            assert ended.results[number] == ["", "", "inner", "ab", "waited", "plain"][kind]


@pytest.mark.parametrize("concurrency", [1, 10])
async def test_a_processor_that_cancels_itself_or_exits_fails_its_item_alone(
    engine: Engine, concurrency: int
) -> None:
    @fanout.processor(name="self", retries=1)
    async def cancels(number: int) -> int:
        task = asyncio.current_task()
        assert task is not None
        if number % 4 == 1:
            task.cancel("by myself")
            await asyncio.sleep(10)
        elif number % 4 == 2:
            sys.exit(number)
        elif number % 4 == 3:
            # Cancels itself, changes its mind, and says nothing.
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(10)
        return number

    async with engine.worker(cancels) as client:
        run = await engine.start(client, cancels, fanout.Range(20), max_concurrency=concurrency)
        await asyncio.wait_for(run.result(), 15)
        assert sorted([row.index async for row in run.results()]) == [n for n in range(20) if n % 4 in (0, 3)]
        failures = {f.index: f async for f in run.failures()}
    for number in range(20):
        if number % 4 == 1:
            assert (failures[number].error_type, failures[number].attempts) == ("CancelledError", 2)
        elif number % 4 == 2:
            assert failures[number].message == f"the processor called sys.exit({number})"


async def test_an_item_may_outlast_the_heartbeat_timeout_of_its_batch(engine: Engine) -> None:
    calls: list[int] = []

    @fanout.processor(name="long")
    async def long(number: int) -> int:
        calls.append(number)
        await asyncio.sleep(3)
        return number

    async with engine.worker(long) as client:
        ended = await engine.run(client, long, fanout.Range(2), heartbeat_timeout=2)
    assert ended.results == {0: 0, 1: 1}
    assert sorted(calls) == [0, 1]


async def test_a_worker_that_is_stopped_hands_its_batch_back_at_once(engine: Engine) -> None:
    """What is in flight ends; the rest waits for the next worker, and nothing for a timeout."""
    running: set[int] = set()
    calls: list[int] = []
    go = asyncio.Event()

    @fanout.processor(name="handed")
    async def handed(number: int) -> int:
        calls.append(number)
        running.add(number)
        if len(running) == 5:
            go.set()
        await asyncio.sleep(0.1)
        return number

    async with engine.worker(handed, shutdown_timeout=10) as client:
        run = await engine.start(
            client, handed, fanout.Range(60), batch_size=60, max_concurrency=5, batch_concurrency=5
        )
        await eventually(go.is_set)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    before = len(calls)
    assert before < 60
    async with engine.worker(handed):
        result = await asyncio.wait_for(run.result(), 20)
        assert result.succeeded == 60
        assert [row.index async for row in run.results(ordered=True)] == list(range(60))
    assert sorted(calls) == list(range(60)), "an item ran twice"


async def test_a_worker_whose_shutdown_timeout_passes_cuts_items_off_and_none_is_failed(
    engine: Engine,
) -> None:
    block = True
    begun = asyncio.Event()

    @fanout.processor(name="cut", retries=0)
    async def cut(number: int) -> int:
        if block and number % 2:
            begun.set()
            await asyncio.Event().wait()
        return number

    async with engine.worker(cut, shutdown_timeout=0.2) as client:
        run = await engine.start(client, cut, fanout.Range(20))
        await begun.wait()
    block = False
    async with engine.worker(cut):
        result = await asyncio.wait_for(run.result(), 20)
    assert (result.succeeded, result.failed) == (20, 0)


async def test_an_item_that_says_no_time_for_its_next_attempt_fails_alone(engine: Engine) -> None:
    class Busy(fanout.ItemError):
        def __init__(self) -> None:
            """Forget the class above."""

    said = {0: "nan", 1: "inf", 2: "a header that was not converted"}

    @fanout.processor(retries=1)
    async def busy(number: int) -> int:
        if number == 3:
            raise Busy
        if number in said:
            after = float(said[number]) if number < 2 else said[number]
            raise fanout.ItemError("busy", retry_after=after)  # type: ignore[arg-type]
        return number

    async with engine.worker(busy) as client:
        done = await engine.run(client, busy, fanout.Range(10))
    assert sorted(done.results) == list(range(4, 10))
    assert [done.failed(n)[0] for n in range(4)] == ["ValueError", "ValueError", "ValueError", "Busy"]
    assert done.failed(0)[1:] == ("retry_after is a number of seconds, not nan", 2)
