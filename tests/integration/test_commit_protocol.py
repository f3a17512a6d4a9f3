"""The commit protocol where batches run: one commit for each key, whatever executions, stores and networks do."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import PollActivityTaskQueueRequest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import Worker

import fanout
from fanout.children import batch as batch_module
from fanout.children.batch import BatchActivity
from fanout.children.book import Book
from fanout.children.life import Superseded
from fanout.errors import StoreError
from fanout.inputs import BatchInput, BatchOutput
from fanout.options import Options
from fanout.pages import Page, Source
from fanout.processors import Processor
from fanout.storage import markers
from fanout.storage.records import RunRecord
from fanout.storage.roots import Roots
from fanout.storage.stores import Store, open_store
from fanout.wire import batch_activity
from fanout.workers.workbench import Workbench
from tests.integration.engine import Engine
from tests.unit.storage.faulty import FaultyStore
from tests.waiting import eventually

KEY = "000000/00000000"


class Bench:
    """One output and its batches, without a server's workflows."""

    def __init__(self, engine: Engine, folder: Path, processor: fanout.Processor[..., Any]) -> None:
        self.engine = engine
        self.folder = folder
        self.processor = processor
        self.nonce = "n0nce"
        self.calls: list[int] = []
        self.store = open_store(str(folder))

    async def claim(self) -> None:
        await markers.claim(
            self.store,
            RunRecord(
                nonce=self.nonce,
                run_id="run",
                execution="e",
                processor=self.processor.name,
                version="1",
                source=Source("range", {"start": 0, "stop": 10, "step": 1}),
                options=asdict(Options(retries=0)),
            ),
        )

    def order(self, concurrency: int = 4, nonce: str | None = None) -> BatchInput:
        return BatchInput(
            output=self.store.url,
            nonce=nonce or self.nonce,
            key=KEY,
            start=0,
            count=10,
            pages=[Page(0, 10)],
            concurrency=concurrency,
        )

    async def execute(self, concurrency: int = 4, nonce: str | None = None, **info: Any) -> BatchOutput:
        """Execute the batch as a worker does; `info` is what the server has told it."""
        workbench = Workbench(
            {self.processor.name: self.processor}, Roots([str(self.folder)]), threads=2, processes=1
        )
        made = BatchActivity(workbench, self.processor.name).activity()
        async with workbench.open():
            environment = ActivityEnvironment(await self.engine.client(self.processor))
            environment.info = replace(environment.info, **{"started_time": datetime.now(UTC), **info})
            output: BatchOutput = await environment.run(made, self.order(concurrency, nonce))
            return output

    def commit(self) -> dict[str, object]:
        """Return the one commit."""
        (path,) = (self.folder / "_commits").rglob("*.json")
        found: dict[str, object] = json.loads(path.read_bytes())
        return found

    def data(self) -> list[str]:
        """Return the data objects there are."""
        return sorted(str(path.relative_to(self.folder)) for path in (self.folder / "_data").rglob("*.jsonl"))


def named(commit: dict[str, object]) -> list[str]:
    """Return the data objects that a commit names."""
    found = []
    for kind in ("failures", "results"):
        written = commit[kind]
        assert isinstance(written, list)
        found += [str(one["path"]) for one in written]
    return sorted(found)


@pytest.fixture
async def bench(engine: Engine, tmp_path: Path) -> Bench:
    @fanout.processor(name="counted")
    async def counted(number: int) -> int:
        made.calls.append(number)
        await asyncio.sleep(0.05)
        if number == 7:
            raise ValueError("seven")
        return number

    made = Bench(engine, tmp_path / "output", counted)
    await made.claim()
    return made


async def test_a_batch_that_is_executed_again_returns_the_commit_and_runs_nothing(bench: Bench) -> None:
    first = await bench.execute()
    before = bench.commit(), bench.data(), len(bench.calls)
    second = await bench.execute()
    assert (second.totals, second.more, second.seconds) == (first.totals, first.more, first.seconds)
    assert (bench.commit(), bench.data(), len(bench.calls)) == before
    assert (first.totals.succeeded, first.totals.failed, first.more) == (9, 1, [])


async def test_of_two_executions_at_once_one_commits_and_the_other_adopts_it_and_cleans_up(
    bench: Bench,
) -> None:
    outputs = await asyncio.gather(*(bench.execute() for _ in range(4)))
    assert len({(o.totals.succeeded, o.totals.failed, o.seconds) for o in outputs}) == 1
    assert bench.data() == named(bench.commit())
    assert len(bench.data()) == 2


async def test_the_response_of_the_create_may_be_lost(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FaultyStore(bench.store)
    lost: list[str] = []

    def lose(operation: str, path: str) -> None:
        if operation == "create" and path.startswith("_commits/"):
            lost.append(path)
            raise StoreError("the connection broke")

    store.after = lose
    use(monkeypatch, store)
    output = await bench.execute()
    assert lost
    assert output.totals.succeeded == 9
    assert bench.data() == named(bench.commit())


async def test_a_create_that_was_never_done_is_done_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FaultyStore(bench.store)
    broken = iter([True, True])

    def fail(operation: str, path: str) -> None:
        if operation == "create" and path.startswith("_commits/") and next(broken, False):
            raise StoreError("the connection broke")

    store.before = fail
    use(monkeypatch, store)
    assert (await bench.execute()).totals.succeeded == 9
    assert bench.data() == named(bench.commit())


async def test_a_commit_of_another_nonce_or_range_fails_the_batch_for_good(bench: Bench) -> None:
    await bench.execute()
    path = bench.folder / "_commits" / f"{KEY}.json"
    whole = json.loads(path.read_bytes())
    for change, message in (
        ({"nonce": "another"}, "belongs to another start of the run"),
        ({"start": 3}, "a key must name one set for ever"),
        ({"key": "000000/00000009"}, "says that it is the commit of"),
    ):
        path.write_text(json.dumps({**whole, **change}))
        with pytest.raises(ApplicationError, match=message) as caught:
            await bench.execute()
        assert caught.value.non_retryable
    path.write_text("{}")
    with pytest.raises(ApplicationError, match="damaged"):
        await bench.execute()


async def test_a_batch_of_another_start_is_refused_before_it_runs_anything(bench: Bench) -> None:
    with pytest.raises(ApplicationError, match="is the output of another start of run 'run'"):
        await bench.execute(nonce="another")
    assert not bench.data()


async def test_a_batch_that_cannot_see_the_output_says_why(engine: Engine, tmp_path: Path) -> None:
    @fanout.processor(name="one")
    async def one(number: int) -> int:
        return number

    with pytest.raises(ApplicationError, match="a local folder is not shared between hosts"):
        await Bench(engine, tmp_path / "elsewhere", one).execute()


async def test_a_key_that_is_sealed_keeps_what_was_committed_and_refuses_what_comes_late(
    bench: Bench,
) -> None:
    late = asyncio.create_task(bench.execute())
    await eventually(lambda: bench.calls)
    sealed = await bench.execute(concurrency=0)
    assert (sealed.totals.done, sealed.more) == (0, [[0, 10]])
    adopted = await late
    assert (adopted.totals.done, adopted.more) == (0, [[0, 10]])
    assert not bench.data()
    again = await bench.execute(concurrency=0)
    assert again.more == [[0, 10]]


async def test_a_seal_after_a_commit_is_that_commit(bench: Bench) -> None:
    done = await bench.execute()
    sealed = await bench.execute(concurrency=0)
    assert sealed.totals == done.totals
    assert sealed.more == []


@workflow.defn(sandboxed=False)
class Schedules:
    """Schedules one batch on a queue that a test polls by hand."""

    @workflow.run
    async def run(self, queue: str, order: BatchInput) -> None:
        await workflow.execute_activity(
            batch_activity("counted"),
            order,
            task_queue=queue,
            start_to_close_timeout=timedelta(seconds=60),
            heartbeat_timeout=timedelta(seconds=1),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )


@pytest.fixture
async def polled(bench: Bench, client: Client) -> AsyncIterator[tuple[bytes, WorkflowHandle[Any, Any]]]:
    """The token of a batch that the server has given to a worker, and the workflow that waits for it."""
    queue = f"{bench.engine.queue}-by-hand"
    async with Worker(client, task_queue=bench.engine.queue, workflows=[Schedules]):
        handle = await client.start_workflow(
            Schedules.run, args=[queue, bench.order()], id=queue, task_queue=bench.engine.queue
        )
        answer = await client.workflow_service.poll_activity_task_queue(
            PollActivityTaskQueueRequest(
                namespace=client.namespace, task_queue=TaskQueue(name=queue), identity="a test"
            )
        )
        yield answer.task_token, handle
        await handle.terminate() if (await handle.describe()).close_time is None else None


@fanout.processor(name="threaded")
def in_threads(number: int) -> int:
    return number


@fanout.processor(name="tasks")
async def in_tasks(number: int) -> int:
    return number


@pytest.mark.parametrize("processor", [in_threads, in_tasks], ids=["threads", "tasks"])
async def test_what_a_batch_has_read_is_freed_at_its_end(
    engine: Engine, tmp_path: Path, processor: Processor[..., Any]
) -> None:
    """In a cycle of references it would wait for the collector, and a worker would hold the items of many batches."""
    bench = Bench(engine, tmp_path / "output", processor)
    await bench.claim()
    gc.collect()
    gc.disable()
    try:
        await bench.execute()
        # Threads let go of it a moment later; those of other tests, which hang, never do.
        await eventually(
            lambda: not any(type(one) is Book and one.processor is processor for one in gc.get_objects())
        )
    finally:
        gc.enable()


LATE = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("attempt", [1, 2])
async def test_a_batch_that_the_server_has_given_away_runs_nothing(
    bench: Bench, polled: tuple[bytes, WorkflowHandle[Any, Any]], attempt: int
) -> None:
    """A process that was stopped first runs what it had polled before: it asks the server, and leaves."""
    token, handle = polled
    with pytest.raises(WorkflowFailureError):
        await handle.result()  # its heartbeat is overdue
    with pytest.raises(Superseded):
        await bench.execute(task_token=token, attempt=attempt, started_time=LATE)
    assert not bench.calls
    assert not list((bench.folder / "_commits").rglob("*.json"))


@pytest.mark.parametrize(("age", "asks"), [(5, False), (15, True)])
async def test_only_a_batch_that_may_have_been_given_away_by_now_asks(
    bench: Bench, polled: tuple[bytes, WorkflowHandle[Any, Any]], age: float, asks: bool
) -> None:
    """Workers that are busy begin late what they have polled, and are not to pay for each of their batches."""
    token, handle = polled
    await handle.terminate()
    began, timeout = datetime.now(UTC) - timedelta(seconds=age), timedelta(seconds=40)
    with pytest.raises(Superseded) if asks else contextlib.nullcontext():
        await bench.execute(task_token=token, started_time=began, heartbeat_timeout=timeout)
    assert bool(bench.calls) is not asks


async def test_a_batch_that_the_server_still_waits_for_runs_although_it_begins_late(
    bench: Bench, polled: tuple[bytes, WorkflowHandle[Any, Any]]
) -> None:
    token, _ = polled
    output = await bench.execute(task_token=token, started_time=LATE)
    assert output.totals.done == 10


def use(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """Have batches open this store."""

    def opened(url: str) -> Store:
        return store

    monkeypatch.setattr(batch_module, "open_store", opened)
