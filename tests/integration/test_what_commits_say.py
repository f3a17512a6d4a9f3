"""What commits say decides: a run acts on them alone, and fails loudly where they or their rows cannot be trusted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import fanout
from fanout.models import Status
from fanout.storage.commits import find
from fanout.storage.layout import batch_key
from fanout.storage.roots import to_path
from fanout.storage.stores import open_store
from fanout.wire import partition_id
from tests.integration.engine import Engine, published
from tests.integration.gate import Gate
from tests.waiting import eventually


async def test_a_commit_of_another_start_fails_the_run_and_the_siblings_are_published(engine: Engine) -> None:
    gate = Gate(0)
    processor = fanout.processor(gate.__call__, name="gated")
    async with engine.worker(processor) as client:
        run = await engine.start(
            client,
            processor,
            fanout.Range(40),
            partition_size=10,
            batch_size=5,
            max_concurrency=40,
            batch_concurrency=5,
        )
        await eventually(lambda: len(gate.held) >= 40)
        folder = to_path(await run.output())
        await tamper(folder, await key_of(run, partition_id(run.id, 2), 2, 0), {"nonce": "another"})
        gate.open.set()
        with pytest.raises(
            fanout.RunFailed, match="commit 000002/00000000-.* in .* belongs to another start"
        ) as caught:
            await asyncio.wait_for(run.result(), 20)
        assert caught.value.status == Status.FAILED
        seen = set(published(folder))
        result = caught.value.result
        assert result is not None
        assert result.status is Status.FAILED
        assert result.succeeded == len(seen)
        assert not seen & set(range(20, 25))


@asynccontextmanager
async def half_done(engine: Engine, items: int) -> AsyncIterator[tuple[fanout.Run, Path, Gate]]:
    """Start a run whose first two batches, of five items each, have committed, and whose third is held."""
    gate = Gate(10)
    processor = fanout.processor(gate.__call__, name="gated")
    async with engine.worker(processor) as client:
        run = await engine.start(
            client, processor, fanout.Range(items), batch_size=5, batch_concurrency=5, max_concurrency=5
        )
        await eventually(lambda: gate.held)
        yield run, to_path(await run.output()), gate


async def key_of(run: fanout.Run, workflow_id: str, partition: int, sequence: int) -> str:
    """Return the key of a batch of a partition, as the workflow plans it that the partition runs in."""
    description = await run.client.get_workflow_handle(workflow_id).describe()
    return batch_key(partition, sequence, description.run_id[:8])


async def tamper(folder: Path, key: str, changes: dict[str, object]) -> None:
    """Put a commit where a batch is about to put its own."""
    made = {
        "nonce": "", "key": key, "token": "t", "start": 20, "count": 5, "more": [[20, 5]], **changes,
    }  # fmt: skip
    path = folder / "_commits" / f"{key}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made) + "\n")


async def test_items_that_were_lost_fail_the_run_loudly(engine: Engine) -> None:
    """The tiling check: a commit that goes missing must not pass as a finished run."""
    async with half_done(engine, 20) as (run, folder, gate):
        commits = sorted((folder / "_commits").rglob("*.json"))
        assert len(commits) == 2
        commits[0].unlink()
        gate.open.set()
        with pytest.raises(
            fanout.RunFailed,
            match=r"outcomes of partition 0 in .* do not tile its 20 items 0-19; lost: items 0-4$",
        ):
            await asyncio.wait_for(run.result(), 20)
    assert not (folder / "manifest.json").exists()


async def test_rows_that_were_lost_fail_the_run_loudly(engine: Engine) -> None:
    async with half_done(engine, 20) as (run, folder, gate):
        victim = min((folder / "_data").rglob("*.results.jsonl"))
        victim.write_bytes(victim.read_bytes()[:-10])
        gate.open.set()
        with pytest.raises(fanout.RunFailed, match=victim.name.split(".")[0]):
            await asyncio.wait_for(run.result(), 20)


async def test_the_workflow_acts_on_the_commit_and_not_on_what_an_attempt_says(engine: Engine) -> None:
    """Another execution has committed less than this one did: the rest is run again, nothing is there twice."""
    async with half_done(engine, 25) as (run, folder, gate):
        nonce = json.loads((folder / "_RUN").read_bytes())["nonce"]
        key = await key_of(run, run.id, 0, 2)
        assert await find(open_store(str(folder)), nonce, key) is None
        # As a zombie would that was told to hand everything back.
        await tamper(folder, key, {"nonce": nonce, "start": 10, "count": 5, "more": [[10, 5]]})
        gate.open.set()
        result = await asyncio.wait_for(run.result(), 20)
        assert result.succeeded == 25
        assert [row.index async for row in run.results(ordered=True)] == list(range(25))
    assert sorted(published(folder)) == list(range(25))
