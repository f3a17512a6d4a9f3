"""Reducers: one value of all that a processor has returned, exact whatever happened meanwhile."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import fanout
from fanout import folding, reducing
from fanout.models import Status
from fanout.storage.roots import to_path
from tests.integration.engine import Engine
from tests.integration.reducers_in_workers import Items, once
from tests.waiting import eventually

broken: set[int] = set()
unwanted: set[int] = set()
stuck: set[int] = set()
held: set[int] = set()


@pytest.fixture(autouse=True)
def clean() -> None:
    for one in (broken, unwanted, stuck, held):
        one.clear()


@fanout.processor(retries=0)
async def double(number: int) -> int:
    """Fail what is broken, hold what is stuck for ever, return for what is unwanted what `Items` refuses."""
    if number in stuck:
        held.add(number)
        await asyncio.Event().wait()
    if number in broken:
        raise ValueError("broken")
    return -1 if number in unwanted else 2 * number


@fanout.processor
async def text_of(number: int) -> str:
    return "x"


async def failing(engine: Engine, reduce: Any, items: int = 60, **arguments: Any) -> str:
    """Run to an end that is a failure, and return its text."""
    async with engine.worker(double) as client:
        run = await engine.start(
            client, double, fanout.Range(items), reduce=reduce, **{"batch_size": 20, **arguments}
        )
        with pytest.raises(fanout.RunFailed) as caught:
            await asyncio.wait_for(run.result(), 30)
    assert caught.value.status is Status.FAILED
    return str(caught.value)


async def test_what_has_succeeded_is_reduced_in_runs_of_one_and_of_many_partitions(engine: Engine) -> None:
    broken.update(range(3, 500, 10))
    right = sum(2 * n for n in range(500) if n not in broken)
    async with engine.worker(double) as client:
        for size in (1000, 70):
            ended = await engine.run(
                client,
                double,
                fanout.Range(500),
                reduce=fanout.reducers.Sum(),
                partition_size=size,
                batch_size=30,
            )
            assert ended.result.reduced == right
            assert ended.result.reduced_url == f"{ended.result.output}/reduced.json"
            assert json.loads((ended.folder / "reduced.json").read_bytes()) == right
            manifest = json.loads((ended.folder / "manifest.json").read_bytes())
            assert manifest["result"]["reduced"] == right
        none = await engine.run(client, double, fanout.Range(0), reduce="sum")
        assert none.result.reduced == 0
        without = await engine.run(client, double, fanout.Range(3))
        assert (without.result.reduced, without.result.reduced_url) == (None, "")


async def test_a_large_value_is_in_the_result_and_not_in_any_history(engine: Engine) -> None:
    async with engine.worker(double) as client:
        ended = await engine.run(client, double, fanout.Range(5000), reduce=Items, partition_size=2500)
        assert ended.result.reduced == once(range(5000))
        root = await engine.histories(ended.run)
        for node in root.walk():
            assert sum(event.ByteSize() for event in node.events) < 64 * 1024
        manifest = json.loads((ended.folder / "manifest.json").read_bytes())
        assert manifest["result"]["reduced"] is None
        # Who cannot read the output has the rest of the result.
        (ended.folder / "reduced.json").rename(engine.folder / "away")
        blind = await fanout.get_run(client, ended.run.id).result()
        assert (blind.reduced, blind.succeeded) == (None, 5000)


async def test_an_output_that_the_reducer_refuses_fails_its_item_and_leaves_no_trace_in_the_value(
    engine: Engine,
) -> None:
    unwanted.update({0, 7, 8, 9, 41, 99})
    async with engine.worker(double, text_of) as client:
        ended = await engine.run(client, double, fanout.Range(100), reduce=Items, batch_size=30)
        assert ended.result.reduced == once(set(range(100)) - unwanted)
        assert set(ended.failures) == unwanted
        assert ended.result.error_types == {"Unreducible": 6}
        reason = "reducer 'tests.items' could not add the output: ValueError: minus one is no output"
        assert ended.failed(7) == ("Unreducible", reason, 1)
        assert "in add" in ended.failures[7].traceback
        # After a fix they are added.
        unwanted.clear()
        again = await ended.run.rerun()
        assert (await again.result()).reduced == once(range(100))
        # What does not fit the annotation.
        wrong = await engine.run(client, text_of, fanout.Range(3), reduce=Items)
        assert "does not take such an output: Input should be a valid integer" in wrong.failures[1].message
        assert wrong.result.reduced == once([])


def reducer_that(
    *, zero: Callable[[], Any] = int, merge: Callable[[int, int], int] = lambda a, b: a + b, add: Any = None
) -> Any:
    """Return a reducer that is no good."""

    @fanout.reducer(name="tests.bad")
    class Bad:
        def zero(self) -> int:
            return int(zero())

        def add(self, total: int, output: int) -> int:
            return add(total, output) if add else total + output

        def merge(self, total: int, other: int) -> int:
            return merge(total, other)

    return Bad


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (
            {"merge": lambda a, b: 1 // 0},
            r"reducer 'tests.bad': merge\(\) raised ZeroDivisionError: .*\(file://",
        ),
        ({"zero": lambda: dict[int, int]()[0]}, r"reducer 'tests.bad': zero\(\) raised KeyError"),
        (
            {"add": lambda a, b: None},
            r"reducer 'tests.bad': null is not what zero\(\) is annotated to return",
        ),
        ({"add": lambda a, b: "x"}, r"reducer 'tests.bad': its value cannot be written as JSON"),
    ],
)
async def test_a_reducer_that_is_wrong_ends_the_run_at_once_and_says_why(
    engine: Engine, bad: dict[str, Any], reason: str
) -> None:
    began = time.monotonic()
    text = await failing(engine, reducer_that(**bad))
    assert time.monotonic() - began < 15
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(text)


@pytest.mark.parametrize("partition", [1000, 50], ids=["of a batch", "of the run"])
async def test_a_value_that_grows_too_large_ends_the_run_and_names_the_limit(
    engine: Engine, partition: int
) -> None:
    text = await failing(
        engine, Items, items=300, max_reduced_bytes=1024, partition_size=partition, batch_size=300
    )
    assert "reducer 'tests.items': its value has " in text
    assert "max_reduced_bytes is 1,024: keep less in it, or raise the limit" in text


async def test_a_reducer_that_hangs_ends_the_run(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "LONGEST", 0.5)
    free: list[int] = []

    def hang(total: int, output: int) -> int:
        while not free:
            time.sleep(0.01)
        return total

    text = await failing(engine, reducer_that(add=hang), batch_size=60)
    free.append(1)
    assert "reducer 'tests.bad': add() has not come to an end for 0.5 s" in text


@pytest.fixture
def forgotten() -> Iterator[Callable[[], Any]]:
    """Forgets `Items`, and knows it again at the end."""
    registry, kind = reducing.registered(), reducing.registered()["tests.items"]
    yield lambda: registry.pop("tests.items")
    registry["tests.items"] = kind


async def test_a_run_waits_for_workers_that_have_its_reducer(
    engine: Engine, forgotten: Callable[[], Any]
) -> None:
    kind = reducing.registered()["tests.items"]
    stuck.update(range(60))
    async with engine.worker(double, identity="new@host") as client:
        run = await engine.start(
            client,
            double,
            fanout.Range(60),
            reduce=Items,
            batch_size=10,
            max_concurrency=10,
            batch_concurrency=10,
        )
        await eventually(lambda: held)
        await run.pause(now=True)

        async def idle() -> bool:
            return (await run.progress()).in_flight == 0

        async def waits() -> bool:
            return "no reducer 'tests.items' is registered here" in (await run.trouble() or "")

        await eventually(idle)
        stuck.clear()
        forgotten()
        await run.resume()
        await eventually(waits)
        reducing.registered()["tests.items"] = kind
        assert (await asyncio.wait_for(run.result(), 30)).reduced == once(range(60))
        # One that nobody has is told of while somebody watches.
        never = await engine.start(client, double, fanout.Range(3), reduce="nobody")
        with pytest.raises(
            fanout.RunFailed, match=r"no reducer 'nobody' is registered here; there are: .*\bcount, "
        ):
            await asyncio.wait_for(never.result(), 30)
        odd = await engine.start(client, double, fanout.Range(3), reduce=fanout.reducers.Histogram([1, 2]))
        assert (await odd.result()).reduced == {"edges": [1, 2], "counts": [1, 0, 2]}


async def test_what_reads_as_one_is_reduced_as_one(engine: Engine) -> None:
    """A run, what continues it, and reruns of what failed."""
    broken.update({4, 15, 25})
    async with engine.worker(double) as client:
        run = (await engine.run(client, double, fanout.Range(40).limit(10), reduce=Items)).run
        for wrong in (None, "sum"):
            with pytest.raises(fanout.UsageError, match="what continues it has to have the same"):
                await engine.start(
                    client, double, fanout.Range(40), id=run.id, continue_run=True, reduce=wrong
                )
        more = await engine.start(
            client, double, fanout.Range(40), id=run.id, continue_run=True, reduce=Items
        )
        result = await more.result()
        assert (result.items, result.reduced) == (30, once(set(range(40)) - broken))
        for mended in ({4}, {15, 25}):
            broken.difference_update(mended)
            more = await more.rerun()
            result = await more.result()
            assert (result.succeeded, result.reduced) == (len(mended), once(set(range(40)) - broken))


@pytest.mark.parametrize("how", ["cancel", "terminate"])
async def test_a_run_that_was_cut_off_has_a_value_of_what_was_done_and_its_rerun_one_of_all(
    engine: Engine, how: str
) -> None:
    stuck.update(range(150, 300))
    async with engine.worker(double) as client:
        run = await engine.start(
            client,
            double,
            fanout.Range(300),
            reduce=Items,
            partition_size=100,
            batch_size=20,
            max_concurrency=40,
        )
        await eventually(lambda: held)
        await (run.cancel() if how == "cancel" else run.terminate())
        with pytest.raises(fanout.RunFailed) as caught:
            await run.result()
        if how == "cancel":
            assert caught.value.result is not None
            done = {row.index async for row in run.results()}
            assert 0 < len(done) < 300
            assert caught.value.result.reduced == once(done)
        stuck.clear()
        again = await run.rerun()
        engine.started.append((client, again))
        assert (await again.result()).reduced == once(range(300))
        assert (to_path(await again.output()) / "_reduced" / "total.json").exists()
