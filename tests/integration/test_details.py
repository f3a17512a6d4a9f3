"""What a workflow says of itself in Temporal Web, asked as Temporal Web asks; tests/browser looks at the pages."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata

import fanout
from fanout import messages, wire
from tests.integration.engine import Engine, done
from tests.integration.gate import Gate
from tests.waiting import eventually

MOST_BYTES = 8_000
"""The text travels in an address; proxies and servers take some eight kilobytes of one."""


async def seventh(number: int) -> int:
    if number % 7 == 3:
        raise fanout.ItemError(f"`{number}` is one of seven", retryable=False)
    return number


async def details_of(run: fanout.Run, workflow_id: str | None = None) -> str:
    handle = run.client.get_workflow_handle(workflow_id or run.id)
    told: WorkflowMetadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    assert len(quote(told.current_details)) < MOST_BYTES
    return told.current_details


async def test_failures_and_the_slowest_fold_up_through_groups(engine: Engine) -> None:
    async with engine.worker(seventh) as client:
        ended = await engine.run(client, seventh, fanout.Range(60), partition_size=5, max_children=3)
        run = ended.run
        told = await details_of(run)
        assert told.startswith("**COMPLETED_WITH_FAILURES**, after ")
        assert "**60** of 60 items done (100 %)" in told
        assert "- `ItemError`: 9" in told
        assert re.search(r"^- `item \d+: ItemError: '\d+' is one of seven`$", told, re.MULTILINE)
        assert f"(namespaces/{client.namespace}/workflows/{run.id}%2Fpartition-0000" in told
        assert (
            f"(namespaces/{client.namespace}/workflows/{run.id}%2Fgroup-2-000000): 6 of 45 items failed"
            in told
        )
        group = await details_of(run, wire.group_id(run.id, 1, 0))
        execution = (await run.info()).execution
        assert f"[run `{run.id}`](namespaces/{client.namespace}/workflows/{run.id}/{execution})" in group
        assert "- `ItemError`: 2" in group


async def test_what_a_run_does_or_how_it_ended_comes_first(engine: Engine) -> None:
    gate = Gate(below=30)
    async with engine.worker(gate.__call__) as client:
        run = await engine.start(
            client, gate.__call__, fanout.Range(80), partition_size=20, batch_size=5, max_concurrency=20
        )
        await eventually(lambda: gate.held)
        await run.pause()
        partition = wire.partition_id(run.id, 1)
        await eventually(lambda: _begins(run, partition, "**Paused**"))
        assert (await details_of(run)).startswith("**Paused**")
        await run.drain()
        assert (await details_of(run)).startswith("**Draining**")
        await run.cancel()
        with pytest.raises(fanout.RunFailed):
            await run.result()
        assert (await details_of(run)).startswith("**CANCELED**")


async def _begins(run: fanout.Run, workflow_id: str, words: str) -> bool:
    told = await details_of(run, workflow_id)
    return words in told and told.startswith("items 20–39 of [run ")


async def test_many_live_partitions_with_long_ids_are_cut_short(engine: Engine) -> None:
    gate = Gate(below=0)
    options = {"partition_size": 1, "batch_concurrency": 1, "max_concurrency": 1000}
    long = "x" * (199 - len(engine.queue)) + engine.queue
    async with engine.worker(gate.__call__) as client:
        run = await engine.start(client, gate.__call__, fanout.Range(25), id=long, **options)
        await eventually(lambda: _all_live(run))
        told = await details_of(run)
        assert re.search(r"^- and 1\d more$", told, re.MULTILINE)
        assert told.count("](namespaces/") >= 5
        gate.open.set()
        assert (await done(run)).result.succeeded == 25


async def _all_live(run: fanout.Run) -> bool:
    answer: messages.NodeProgress = await run.client.get_workflow_handle(run.id).query(
        wire.PROGRESS_QUERY, result_type=messages.NodeProgress
    )
    return len(answer.children) == 25


async def test_an_early_failure_says_why(engine: Engine) -> None:
    async with engine.worker(seventh) as client:
        run = await engine.start(client, "seventh", fanout.Range(3), params={"size": 1})
        with pytest.raises(fanout.RunFailed, match="size"):
            await run.result()
        told = await details_of(run)
        assert told.startswith("**FAILED**: `")
        assert "size" in told
