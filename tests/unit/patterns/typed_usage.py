"""How patterns are typed: nothing of this runs, the type checker reads it.

A wrong use has a comment that tells the checker to ignore it; one that is needless is an error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, assert_type

from temporalio import activity, workflow

from fanout import patterns

MINUTE = timedelta(minutes=1)


@activity.defn
async def size(url: str) -> int:
    return len(url)


@activity.defn
def size_in_thread(url: str) -> int:
    return len(url)


@activity.defn
async def resize(path: str, pixels: int) -> bytes:
    return path.encode() * pixels


@activity.defn
async def forget(number: int) -> None: ...


class Activities:
    @activity.defn
    async def size(self, url: str) -> int:
        return len(url)


@workflow.defn
class Measure:
    @workflow.run
    async def run(self, url: str) -> int:
        return len(url)


async def urls() -> AsyncIterator[str]:
    yield "a"


def thumbnail(path: str) -> tuple[str, int]:
    return path, 300


async def outputs_have_the_type_that_the_callable_returns(mine: Activities) -> None:
    assert_type(await patterns.gather(size, ["a"], start_to_close_timeout=MINUTE), list[int])
    assert_type(await patterns.gather(size_in_thread, ["a"], start_to_close_timeout=MINUTE), list[int])
    assert_type(await patterns.gather(mine.size, ["a"], start_to_close_timeout=MINUTE), list[int])
    assert_type(await patterns.gather(Activities.size, ["a"], start_to_close_timeout=MINUTE), list[int])
    assert_type(await patterns.gather(Measure.run, ["a"], execution_timeout=MINUTE), list[int])
    assert_type(await patterns.gather(size, urls(), start_to_close_timeout=MINUTE), list[int])
    assert_type(
        await patterns.gather("size", ["a"], result_type=int, start_to_close_timeout=MINUTE), list[int]
    )
    assert_type(await patterns.first_success(size, ["a"], start_to_close_timeout=MINUTE), int)
    assert_type(await patterns.first_completed(Measure.run, ["a"]), int)


async def calls_have_types_as_well() -> None:
    call = patterns.activity(resize, args=thumbnail, start_to_close_timeout=MINUTE)
    assert_type(call, patterns.Call[str, bytes])
    assert_type(await patterns.gather(call, ["a"]), list[bytes])
    assert_type(patterns.child(Measure.run), patterns.Call[str, int])


async def results_name_item_and_output() -> None:
    found = await patterns.gather(size, ["a"], return_exceptions=True, start_to_close_timeout=MINUTE)
    assert_type(found, list[patterns.ItemResult[str, int]])
    assert_type(found[0].item, str)
    assert_type(found[0].unwrap(), int)
    first = await patterns.first_success(Measure.run, ["a"], return_exceptions=True)
    assert_type(first, patterns.ItemResult[str, int])


async def loops_see_items_and_outputs() -> None:
    async with patterns.sliding_window(size, urls(), start_to_close_timeout=MINUTE) as window:
        async for url, length in window:
            assert_type(url, str)
            assert_type(length, int)
    async with patterns.as_completed(Measure.run, ["a"], return_exceptions=True) as results:
        async for result in results:
            assert_type(result, patterns.ItemResult[str, int])
    async for chunk in patterns.chunked(size_in_thread, ["a"], start_to_close_timeout=MINUTE):
        assert_type(chunk, list[int])


async def sagas_return_what_each_step_returns() -> None:
    sized = patterns.step(size, "a", compensate_output=forget, start_to_close_timeout=MINUTE)
    measured = patterns.step(Measure.run, "a")
    assert_type(sized, patterns.Step[int])
    assert_type(await patterns.saga(sized, measured), tuple[int, int])
    assert_type(await patterns.saga(*[sized]), tuple[int, ...])


async def wrong_use_is_found(anything: Any) -> None:
    await patterns.gather(size, [1], start_to_close_timeout=MINUTE)  # type: ignore[arg-type]
    await patterns.gather(Measure.run, [1])  # type: ignore[arg-type]
    await patterns.gather(size, ["a"], start_to_close=MINUTE)  # type: ignore[call-overload]
    await patterns.gather(anything, ["a"], max_concurrency="many")  # type: ignore[call-overload]
    patterns.step(size, "a", compensate_output=size, start_to_close_timeout=MINUTE)  # type: ignore[misc]
