"""Deleting ended runs and old outputs; what lives is left alone."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client

import fanout
from fanout.storage.roots import to_path
from tests.integration.engine import Engine
from tests.integration.test_retention import command
from tests.waiting import eventually

gate = asyncio.Event()


@fanout.processor
async def gated(number: int) -> int:
    if number < 0:
        await gate.wait()
    return number


def orders_of(client: Client, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list of the workflows that the server is told to delete; it takes half a minute for that."""
    ordered: list[str] = []
    delete = client.workflow_service.delete_workflow_execution

    async def noting(order: DeleteWorkflowExecutionRequest) -> None:
        await delete(order)
        ordered.append(order.workflow_execution.workflow_id)

    monkeypatch.setattr(client.workflow_service, "delete_workflow_execution", noting)
    return ordered


async def test_ended_runs_are_deleted_with_their_histories_and_live_ones_refused(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.clear()
    async with engine.worker(gated) as client:
        ended = await engine.run(client, gated, fanout.Range(20), partition_size=10, id=f"{engine.queue}-a")
        again = await engine.run(client, gated, fanout.Range(5), id=ended.run.id, if_exists="new")
        live = await engine.start(client, gated, fanout.Range(-3, 0), id=f"{engine.queue}-b")
        await eventually(lambda: list(engine.store.glob(f"{live.id}/*/_RUN")))

        # Nothing is old enough; then all that has ended is.
        assert await fanout.old_outputs(client, 3600) == []
        old = await fanout.old_outputs(client, 0)
        assert {one.output for one in old} == {ended.result.output, again.result.output}
        assert [one.items for one in sorted(old, key=lambda one: -(one.items or 0))] == [20, 5]
        assert all(one.bytes > 0 for one in old)

        code, _, err = await command(engine, "delete", ended.run.id)
        assert (code, "add --yes" in err) == (2, True), err
        code, _, err = await command(engine, "delete", live.id, "--yes")
        assert (code, f"run {live.id!r} has not ended" in err) == (1, True), err
        ordered = orders_of(client, monkeypatch)
        deleted = await fanout.delete_run(client, ended.run.id)
        children = [f"{ended.run.id}/partition-{number:06d}" for number in range(2)]
        assert sorted(ordered) == [ended.run.id, ended.run.id, *children]
        assert (set(deleted.outputs), deleted.histories) == ({ended.result.output, again.result.output}, 4)
        assert not (engine.store / ended.run.id).exists()
        assert list(to_path(await live.output()).iterdir())
        gate.set()
        assert (await live.result()).succeeded == 3
    engine.started[:] = [(client, run) for client, run in engine.started if run is live]


async def test_old_outputs_are_collected_and_what_nobody_knows_stays(engine: Engine) -> None:
    gate.set()
    source = fanout.Range(20)
    async with engine.worker(gated) as client:
        first = await engine.run(client, gated, source.limit(10), id=f"{engine.queue}-a")
        more = await engine.start(client, gated, source, id=first.run.id, continue_run=True)
        await more.result()
    continued = await more.output()
    # Where only the first of the two is old, it stays: they are read as one.
    early, late = [one.ended.timestamp() for one in await fanout.old_outputs(client, 0)]
    assert early < late
    assert await fanout.old_outputs(client, time.time() - (early + late) / 2) == []
    # Nobody works on it yet, so it has no output that names the one before.
    waiting = await fanout.start(
        client, gated, source, id=first.run.id, continue_run=True, task_queue=f"{engine.queue}-nobody"
    )
    assert await fanout.old_outputs(client, 0) == []
    await waiting.terminate()
    # Of an execution that no server knows, without a manifest: terminated long ago, or alive elsewhere.
    unknown = engine.store / "elsewhere" / "e1"
    unknown.mkdir(parents=True)
    marker = json.loads((first.folder / "_RUN").read_bytes())
    (unknown / "_RUN").write_text(json.dumps({**marker, "run_id": "elsewhere", "execution": "e1"}))
    (engine.store / "mine").mkdir()
    (engine.store / "mine" / "notes").write_text("keep")

    code, out, err = await command(engine, "gc", "--older-than", "0s", "--dry-run", "--json")
    assert code == 0, err
    assert {json.loads(line)["output"] for line in out.splitlines()} == {first.result.output, continued}
    assert "nothing was deleted" in err
    assert first.folder.exists()
    code, _, err = await command(engine, "gc", "--older-than", "0s")
    assert (code, "add --yes" in err) == (2, True), err
    code, out, err = await command(engine, "gc", "--older-than", "0s", "--yes")
    assert code == 0, err
    assert first.run.id in out
    assert sorted(path.name for path in engine.store.iterdir() if path.name != ".tmp") == [
        "elsewhere",
        "mine",
    ]

    with pytest.raises(fanout.UsageError, match=r"nobody knows whether run 'elsewhere' has ended.*--force"):
        await fanout.delete_run(client, "elsewhere")
    code, out, err = await command(engine, "delete", "elsewhere", "--yes", "--force", "--json")
    assert (code, json.loads(out)["objects"]) == (0, 1), err
    with pytest.raises(fanout.RunNotFound, match="nor an output of it"):
        await fanout.delete_run(client, "elsewhere")
