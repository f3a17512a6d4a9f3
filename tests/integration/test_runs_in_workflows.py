"""Runs that are children of a user's workflow: started, awaited, refused, failed and cancelled with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.worker import Worker

import fanout
from fanout.models import Status
from fanout.reducing import registered
from tests.integration.engine import Engine, assert_never_stuck, tree
from tests.integration.workflows_with_runs import Above, Halves, Misplaced, Several, double, halve
from tests.waiting import eventually


@asynccontextmanager
async def serving(engine: Engine) -> AsyncIterator[Client]:
    client = await engine.client(halve, double)
    async with Worker(client, task_queue=engine.queue, workflows=[Halves, Misplaced, Several]):
        yield client


async def begin(
    engine: Engine, client: Client, items: list[Any] | None = None, **said: Any
) -> WorkflowHandle[Any, Any]:
    return await client.start_workflow(
        "Halves", args=[items, said], id=f"{engine.queue}-above", task_queue=engine.queue
    )


async def failure(handle: WorkflowHandle[Any, Any]) -> ApplicationError:
    """Return the error of a workflow, which has failed in order."""
    with pytest.raises(WorkflowFailureError) as raised:
        await handle.result()
    assert isinstance(raised.value.cause, ApplicationError)
    return raised.value.cause


async def test_a_workflow_awaits_a_run_that_reads_as_any_other(engine: Engine) -> None:
    run_id = f"{engine.queue}-run"
    async with serving(engine) as client:
        handle = await begin(engine, client, [0, 2, 4], id=run_id, params={"minus": 1})
        assert await handle.result() == ["SUCCEEDED", 3, 0, None, run_id, None]
        run = fanout.get_run(client, run_id)
        assert [row.output async for row in run.results(ordered=True)] == [-1, 0, 1]
        info = await run.info()
        root = await tree(client, handle.id)
        await eventually(lambda: _listed(client, engine.queue, run_id))
    assert (info.status, info.processor, info.items) == (Status.SUCCEEDED, "halve", 3)
    assert info.output.startswith((engine.store).as_uri())
    assert [node.kind for node in root.walk()] == ["Halves", "fanout.run"]
    assert_never_stuck(root)


async def test_parameters_may_be_what_temporal_itself_cannot_write(engine: Engine) -> None:
    async with serving(engine) as client:
        handle = await begin(engine, client, [2], id=f"{engine.queue}-run", minus="decimal")
        async with asyncio.timeout(10):
            assert (await handle.result())[:2] == ["SUCCEEDED", 1]


async def test_an_output_may_be_a_path(engine: Engine) -> None:
    async with serving(engine) as client:
        handle = await begin(engine, client, [2], folder=str(engine.store), id=engine.queue)
        assert (await handle.result())[1] == 1
        assert (await fanout.get_run(client, engine.queue).info()).output.startswith(engine.store.as_uri())


async def test_a_search_inside_a_workflow_returns_when_it_has_found_enough(engine: Engine) -> None:
    async with serving(engine) as client:
        handle = await begin(engine, client, search=True, max_concurrency=1, batch_size=1)
        status, succeeded, _, matched, *_ = await handle.result()
    assert (status, matched) == ("STOPPED", 1)
    assert succeeded == 1


@pytest.mark.parametrize(("reduce", "value"), [("above", 7), ("class", 10), ("ready", 10), ("named", 10)])
async def test_a_run_inside_a_workflow_has_its_reducer(engine: Engine, reduce: str, value: int) -> None:
    async with serving(engine) as client:
        handle = await begin(engine, client, [2, 4, 6, 8], reduce=reduce)
        assert (await handle.result())[-1] == value
        # The sandbox's copy of the class is not what batches use.
        assert registered()["Above"].cls is Above
        assert_never_stuck(await tree(client, handle.id))


async def test_a_run_inside_a_workflow_is_undone_where_it_fails(engine: Engine) -> None:
    async with serving(engine) as client:
        handle = await begin(engine, client, [2, 4, 6, 7], id=engine.queue, tolerated_failures=0, undone=True)
        assert (await failure(handle)).type == "RunFailed"
        undoing = (await fanout.get_run(client, engine.queue).info()).compensation
        result = await fanout.get_run(client, undoing).result()
    assert (result.status, result.succeeded) == (Status.SUCCEEDED, 3)


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ({"reduce": "Nothing"}, "UnknownReducer", "no reducer 'Nothing'"),
        ({"compensate": 3}, "UsageError", "3 is no processor"),
        ({"compensate": "halve", "id": "i" * 190}, "UsageError", "cannot be compensated"),
        ({"retires": 3}, "UsageError", "unknown option 'retires'"),
        ({"params": {"plus": 1}}, "UsageError", "no parameter 'plus'"),
        ({"minus": "object"}, "UsageError", "cannot be written as JSON"),
        ({"id": "no/id"}, "UsageError", "cannot be a run id"),
        (
            {"if_exists": "attach"},
            "UsageError",
            "if_exists is 'fail' or 'new' inside a workflow, not 'attach'",
        ),
        ({"items": [1234567] * 7_000}, "UsageError", "inside a workflow they may be"),
        ({"output": "s3://elsewhere"}, "NotAllowed", "outside the allowed roots"),
        ({"wrong": {"output": "number"}}, "UsageError", "does not fit: expected str"),
        ({"wrong": {"output": "bytes"}}, "UsageError", "an output is a path or URL, not b'store'"),
        ({"wrong": {"reader": "number"}}, "UsageError", "takes an iterable, got int"),
        ({"wrong": {"params": "pairs"}}, "UsageError", "does not fit"),
        ({"wrong": {"task_queue": "number"}}, "UsageError", "a task queue has a name, not 5"),
        ({"wrong": {"id": "number"}}, "UsageError", "5 cannot be a run id"),
        ({"wrong": {"stop_when": "number"}}, "UsageError", "stop_when"),
        ({"wrong": {"reduce": "number"}}, "UsageError", "5"),
        ({"wrong": {"retries": "object"}}, "UsageError", "retries"),
    ],
)
async def test_what_start_refuses_fails_the_workflow_with_the_same_words(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, said: dict[str, Any], kind: str, words: str
) -> None:
    monkeypatch.setattr("fanout.boundary.PATIENCE", 1)
    async with serving(engine) as client:
        items = said.pop("items", [1])
        handle = await begin(engine, client, items, **said)
        error = await failure(handle)
        assert_never_stuck(await tree(client, handle.id))
    assert error.type == kind
    assert words in error.message


@pytest.mark.parametrize(
    ("what", "imported"),
    [
        *((what, False) for what in ("connect", "start", "map", "list_runs", "local")),
        *((what, True) for what in ("connect", "start", "list_runs")),
    ],
)
async def test_what_is_for_clients_fails_a_workflow_and_says_what_is_for_it(
    engine: Engine, what: str, imported: bool
) -> None:
    async with serving(engine) as client:
        handle = await client.start_workflow(
            Misplaced.run, args=[what, imported], id=engine.queue, task_queue=engine.queue
        )
        error = await failure(handle)
        assert_never_stuck(await tree(client, handle.id))
    assert error.type == "UsageError"
    assert f"fanout.{what} " in error.message
    assert "fanout.workflow" in error.message


async def test_a_run_that_fails_fails_its_workflow_or_is_caught_there(engine: Engine) -> None:
    async with serving(engine) as client:
        handle = await begin(engine, client, tolerated_failures=0)
        error = await failure(handle)
        several = await client.execute_workflow(
            Several.run, engine.queue, id=f"{engine.queue}-several", task_queue=engine.queue
        )
        assert_never_stuck(await tree(client, handle.id))
    assert error.type == "RunFailed"
    assert "tolerated_failures is 0" in error.message
    assert error.details[0]["status"] == "FAILED_TOLERANCE_EXCEEDED"
    assert several == ["COMPLETED_WITH_FAILURES", "FAILED_TOLERANCE_EXCEEDED"]


async def test_an_id_that_exists_is_refused(engine: Engine) -> None:
    async with serving(engine) as client:
        handle = await begin(engine, client, [2], id=engine.queue)
        await handle.result()
        error = await failure(await begin(engine, client, [2], id=engine.queue))
        again = await (await begin(engine, client, [4], id=engine.queue, if_exists="new")).result()
    assert error.type == "RunExists"
    assert again[1] == 1


async def test_a_canceled_workflow_cancels_its_run_and_waits_for_it(engine: Engine) -> None:
    async with serving(engine) as client:
        handle = await begin(engine, client, [2, 4], id=engine.queue, params={"wait": True})
        run = fanout.get_run(client, engine.queue)

        async def runs() -> bool:
            return (await run.progress()).in_flight > 0

        await eventually(lambda: _answers(runs))
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as raised:
            await handle.result()
        assert (await run.info()).status is Status.CANCELED
    assert isinstance(raised.value.cause, CancelledError)


async def test_a_run_that_a_person_cancels_fails_the_workflow_that_awaits_it(engine: Engine) -> None:
    async with serving(engine) as client:
        handle = await begin(engine, client, [2, 4], id=engine.queue, params={"wait": True})
        run = fanout.get_run(client, engine.queue)

        async def runs() -> bool:
            return (await run.progress()).in_flight > 0

        await eventually(lambda: _answers(runs))
        await run.cancel()
        error = await failure(handle)
    assert (error.type, "was canceled" in error.message) == ("RunFailed", True)


async def _listed(client: Client, queue: str, run_id: str) -> bool:
    return [one.id for one in await fanout.list_runs(client, task_queue=queue)] == [run_id]


async def _answers(asked: Any) -> bool:
    try:
        return bool(await asked())
    except fanout.FanoutError:
        return False
