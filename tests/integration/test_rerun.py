"""Reruns: what failed and what was not run, again; a chain of runs that reads as one."""

from __future__ import annotations

import fanout
from fanout.models import Status
from fanout.storage.roots import to_path
from tests.integration.engine import Engine, published, write_lines

broken: set[int] = set()
keys_seen: dict[int, set[str]] = {}


@fanout.processor(retries=0)
async def fixable(number: int) -> int:
    keys_seen.setdefault(number, set()).add(fanout.info().idempotency_key)
    if number in broken:
        raise ValueError(f"not {number}")
    return 2 * number


async def test_a_rerun_after_a_fix_ends_with_every_item_succeeded_and_each_result_once(
    engine: Engine,
) -> None:
    path = write_lines(engine.folder / "in.jsonl", range(3000))
    broken.clear()
    broken.update(range(0, 3000, 7))
    keys_seen.clear()
    for number, reader in enumerate((fanout.JsonLines(path), fanout.Range(3000))):
        broken.update(range(0, 3000, 7))
        async with engine.worker(fixable) as client:
            first = await engine.run(
                client, fixable, reader, id=f"{engine.queue}-{number}", partition_size=1000
            )
            assert (first.result.succeeded, first.result.failed) == (3000 - len(broken), len(broken))
            # Half of them are fixed, then all.
            broken.difference_update(range(0, 3000, 14))
            again = await first.run.rerun()
            engine.started.append((client, again))
            result = await again.result()
            assert (result.items, result.succeeded, result.failed) == (429, 215, 214)
            assert {f.index async for f in again.failures()} == broken
            broken.clear()
            last = await again.rerun(failed=True)
            engine.started.append((client, last))
            result = await last.result()
            assert (result.status, result.items, result.succeeded) == (Status.SUCCEEDED, 214, 214)
            assert [row.index async for row in last.results(ordered=True)] == list(range(3000))
            rows = {row.index: row.output async for row in last.results()}
            assert rows == {n: 2 * n for n in range(3000)}
            assert [f async for f in last.failures()] == []
            assert sorted(published(to_path(result.output))) == list(range(7, 3000, 14))
            assert await last.item(7) == fanout.ItemResult(7, "7", 14)
    assert all(len(found) == 2 for found in keys_seen.values())
