"""Processors that misbehave: each costs the items that it ran for, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import fanout
from tests.integration.engine import Engine, published


class Broken(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Base(BaseException):
    pass


def circular() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


def raises(error: BaseException) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


MISBEHAVIOURS: list[tuple[Callable[[], Any], str, str]] = [
    (raises(ValueError("bad luck")), "ValueError", "bad luck"),
    (raises(ValueError()), "ValueError", "ValueError"),
    (
        raises(ExceptionGroup("two", [ValueError("a"), KeyError("b")])),
        "ExceptionGroup",
        "two (2 sub-exceptions)",
    ),
    (raises(SystemExit(3)), "SystemExit", "the processor called sys.exit(3)"),
    (raises(StopIteration()), "RuntimeError", "coroutine raised StopIteration"),
    (raises(ValueError("\udcff")), "ValueError", r"\udcff"),
    (raises(Broken()), "Broken", "Broken"),
    (raises(Base("not an Exception")), "Base", "not an Exception"),
    (raises(asyncio.CancelledError("mine")), "CancelledError", "mine"),
    (raises(fanout.StoreError("mine")), "StoreError", "mine"),
    (object, "Unserializable", "the processor returned object, which JSON cannot express: "),
    (lambda: b"\xff", "Unserializable", "the processor returned bytes, which JSON cannot express: "),
    (lambda: "\ud800", "Unserializable", "the processor returned str, which JSON cannot express: "),
    (circular, "Unserializable", "the processor returned list, which JSON cannot express: "),
]


async def test_what_an_async_processor_does_wrong_is_its_items_failure_alone(engine: Engine) -> None:
    @fanout.processor(name="misbehaves", retries=0)
    async def misbehaves(number: int) -> Any:
        await asyncio.sleep(0)
        return MISBEHAVIOURS[number // 2][0]() if number % 2 else number

    async with engine.worker(misbehaves) as client:
        run = await engine.start(client, misbehaves, fanout.Range(2 * len(MISBEHAVIOURS)))
        await check_misbehaviours(run)


async def test_what_a_threaded_processor_does_wrong_is_its_items_failure_alone(engine: Engine) -> None:
    @fanout.processor(name="misbehaves", retries=0)
    def misbehaves(number: int) -> Any:
        return MISBEHAVIOURS[number // 2][0]() if number % 2 else number

    async with engine.worker(misbehaves) as client:
        run = await engine.start(client, misbehaves, fanout.Range(2 * len(MISBEHAVIOURS)))
        await check_misbehaviours(run)


async def check_misbehaviours(run: fanout.Run) -> None:
    result = await asyncio.wait_for(run.result(), 15)
    outputs = {row.index: row.output async for row in run.results()}
    assert outputs == {n: n for n in range(0, result.items, 2)}
    failures = {f.index: f async for f in run.failures()}
    assert sorted(failures) == list(range(1, result.items, 2))
    for index, failure in failures.items():
        _, kind, message = MISBEHAVIOURS[index // 2]
        if kind == "RuntimeError" and failure.error_type == "StopIteration":
            continue  # only a coroutine turns it into another error
        assert failure.error_type == kind, failure
        assert failure.message.startswith(message), failure
        assert failure.attempts == 1
        assert failure.source == f"item {index}"


async def test_a_traceback_shows_the_processors_own_lines_and_none_of_ours(engine: Engine) -> None:
    async def deeper() -> None:
        raise LookupError("down here")

    @fanout.processor(name="traced", retries=0)
    async def traced(number: int) -> None:
        await deeper()

    async with engine.worker(traced) as client:
        ended = await engine.run(client, traced, fanout.Range(1))
    trace = ended.failures[0].traceback
    assert "in deeper" in trace
    assert "in traced" in trace
    assert "async_window" not in trace
    assert ended.failures[0].worker
    assert ended.failures[0].version == "1"


async def test_an_item_that_times_out_for_good_fails_and_the_run_ends(engine: Engine) -> None:
    """Also where it takes longer than a batch may last: its attempts are counted on."""

    @fanout.processor(name="hangs", timeout=0.3, retries=2)
    async def hangs(number: int) -> int:
        if number == 3:
            await asyncio.Event().wait()
        return number

    async with engine.worker(hangs) as client:
        run = await engine.start(client, hangs, fanout.Range(8), batch_seconds=0.1)
        result = await asyncio.wait_for(run.result(), 15)
        failure = [f async for f in run.failures()][0]
    assert (result.succeeded, result.failed) == (7, 1)
    assert (failure.error_type, failure.attempts) == ("TimeoutError", 3)
    assert failure.message == "the item took longer than its timeout of 0.3 s; the option timeout sets it"


async def test_an_item_whose_backoffs_outlast_its_batch_fails_in_the_end(engine: Engine) -> None:
    @fanout.processor(name="always", retries=3)
    async def always(number: int) -> int:
        raise ValueError("always")

    async with engine.worker(always) as client:
        run = await engine.start(
            client, always, fanout.Range(3), batch_seconds=0.1, retry_initial=0.3, retry_coefficient=1
        )
        result = await asyncio.wait_for(run.result(), 15)
        assert [f.attempts async for f in run.failures()] == [4, 4, 4]
    assert result.failed == 3


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_list_processor_that_returns_another_number_of_outputs_fails_that_list_alone(
    engine: Engine, kind: str
) -> None:
    def outputs(numbers: list[int]) -> Any:
        if 0 in numbers:
            return numbers[1:]
        if 5 in numbers:
            return None
        if 10 in numbers:
            return dict.fromkeys(numbers, 1)
        return numbers

    @fanout.processor(name="async", list_size=5)
    async def asynchronous(numbers: list[int]) -> list[int]:
        found: list[int] = outputs(numbers)
        return found

    @fanout.processor(name="thread", list_size=5)
    def threaded(numbers: list[int]) -> list[int]:
        found: list[int] = outputs(numbers)
        return found

    async with engine.worker(asynchronous, threaded) as client:
        ended = await engine.run(client, kind, fanout.Range(20), max_concurrency=5)
    assert ended.results == {n: n for n in range(15, 20)}
    assert ended.failed(0) == ("WrongOutputs", "the processor got 5 items and returned 4 outputs", 1)
    assert ended.failed(5) == (
        "WrongOutputs",
        "the processor got a list of 5 items and returned NoneType",
        1,
    )
    assert ended.failed(10) == ("WrongOutputs", "the processor got a list of 5 items and returned dict", 1)
    assert published(ended.folder) == {n: "results" if n >= 15 else "failures" for n in range(20)}
