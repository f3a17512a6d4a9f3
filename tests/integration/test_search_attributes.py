"""Runs are found by search attributes where the namespace has them, and run as well where it has not."""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType, IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, RemoveSearchAttributesRequest
from temporalio.client import Client

import fanout
from fanout import searchattributes
from fanout.devserver import start_dev_server
from fanout.models import Status
from tests.conftest import TestServer
from tests.integration.engine import Engine, assert_never_stuck
from tests.integration.gate import Gate
from tests.waiting import eventually

UPSERT = EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES


async def odd(number: int) -> int:
    if number % 2:
        raise fanout.ItemError("odd", retryable=False)
    return number


async def marks(run: fanout.Run) -> dict[str, object]:
    description = await run.client.get_workflow_handle(run.id).describe()
    found = description.typed_search_attributes
    return {pair.key.name: pair.value for pair in found if pair.key.name.startswith("Fanout")}


async def test_a_run_is_marked_with_its_processor_its_status_and_its_failures(engine: Engine) -> None:
    gate = Gate(below=0)
    async with engine.worker(odd, gate.__call__) as client:
        if not await searchattributes.registered(client):
            pytest.skip("TEMPORAL_ADDRESS names a server without the search attributes")
        ended = await engine.run(client, odd, fanout.Range(7), retries=0)
        assert await marks(ended.run) == {
            "FanoutProcessor": "odd",
            "FanoutStatus": "COMPLETED_WITH_FAILURES",
            "FanoutFailed": 3,
        }
        wrong = await engine.start(client, "odd", fanout.Range(3), params={"size": 1})
        with pytest.raises(fanout.RunFailed):
            await wrong.result()
        assert (await marks(wrong))["FanoutStatus"] == "FAILED"
        held = await engine.start(client, gate.__call__, fanout.Range(10), batch_size=1, max_concurrency=2)
        assert (await marks(held))["FanoutStatus"] == "RUNNING"
        await held.pause()
        assert (await marks(held))["FanoutStatus"] == "PAUSED"
        await held.drain()
        assert (await marks(held))["FanoutStatus"] == "DRAINING"
        gate.open.set()
        with pytest.raises(fanout.RunFailed):
            await held.result()
        assert (await marks(held))["FanoutStatus"] == "STOPPED"
        # What a list asks of the server finds them, each once, as soon as the server lists them.
        for wanted, run in (
            ({"status": Status.COMPLETED_WITH_FAILURES, "processor": "odd"}, ended.run),
            ({"status": Status.FAILED}, wrong),
        ):
            await eventually(lambda: _lists(engine, run, **wanted))  # noqa: B023 - awaited here


async def _lists(engine: Engine, run: fanout.Run, **wanted: object) -> bool:
    found = await fanout.list_runs(run.client, task_queue=engine.queue, **wanted)  # type: ignore[arg-type]
    return [info.id for info in found] == [run.id]


async def test_attributes_that_are_missing_or_of_another_type_or_removed_keep_no_run_from_going_on(
    task_queue: str, tmp_path: Path
) -> None:
    async with await start_dev_server(ui=False, search_attributes={"FanoutStatus": "Int"}) as server:
        engine = Engine(TestServer(server.address, None), task_queue, tmp_path)
        async with engine.worker(odd) as client:
            before = await engine.run(client, odd, fanout.Range(4))
            assert await marks(before.run) == {}
            operator = client.operator_service
            keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
            added = {"FanoutProcessor": keyword}
            await operator.add_search_attributes(
                AddSearchAttributesRequest(namespace="default", search_attributes=added)
            )
            searchattributes.forget(client)
            with_one = await engine.run(client, odd, fanout.Range(4))
            assert await marks(with_one.run) == {"FanoutProcessor": "odd"}
            # Also one that began before there was the attribute.
            await eventually(lambda: _both(client))
            await operator.remove_search_attributes(
                RemoveSearchAttributesRequest(namespace="default", search_attributes=["FanoutProcessor"])
            )
            assert await searchattributes.registered(client) == ["FanoutProcessor"], "it is remembered"
            await engine.run(client, odd, fanout.Range(4))
            assert await searchattributes.registered(client) == []
            for _, run in engine.started:
                root = await engine.histories(run)
                assert_never_stuck(root)
                assert not root.count(UPSERT)


async def _both(client: Client) -> bool:
    return len(await fanout.list_runs(client, processor="odd")) == 2
