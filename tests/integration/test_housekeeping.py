"""Deleting ended runs and old outputs; what lives is left alone."""

from __future__ import annotations

import asyncio
import json

import pytest

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


async def listed(run: fanout.Run) -> int:
    """Return how many workflows of a run the server lists; what it deletes it takes off the list first."""
    query = f"WorkflowId = '{run.id}' OR RootWorkflowId = '{run.id}'"
    return len([found async for found in run.client.list_workflows(query)])


async def test_ended_runs_are_deleted_with_their_histories_and_live_ones_refused(engine: Engine) -> None:
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
        code, out, err = await command(engine, "delete", ended.run.id, live.id, "--yes", "--json")
        assert code == 1, err
        assert f"run {live.id!r} has not ended" in err
        deleted = json.loads(out)
        assert set(deleted["outputs"]) == {ended.result.output, again.result.output}
        assert deleted["histories"] == 4
        assert not (engine.store / ended.run.id).exists()
        assert list(to_path(await live.output()).iterdir())
        gate.set()
        assert (await live.result()).succeeded == 3
    engine.started[:] = [(client, run) for client, run in engine.started if run is live]
    async with asyncio.timeout(100):
        while await listed(ended.run):  # noqa: ASYNC110 - only the server knows
            await asyncio.sleep(0.05)


async def test_old_outputs_are_collected_and_what_nobody_knows_stays(engine: Engine) -> None:
    gate.set()
    source = fanout.Range(20)
    async with engine.worker(gated) as client:
        first = await engine.run(client, gated, source.limit(10), id=f"{engine.queue}-a")
        more = await engine.start(client, gated, source, id=first.run.id, continue_run=True)
        await more.result()
    continued = await more.output()
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
    assert (await fanout.delete_run(client, "elsewhere", force=True)).objects == 1
    with pytest.raises(fanout.RunNotFound, match="nor an output of it"):
        await fanout.delete_run(client, "elsewhere")
