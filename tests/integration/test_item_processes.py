"""`executor="process"`: what dies or hangs in a process is one item's affair."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import fanout
from fanout.models import Status
from tests.integration import processors_in_cells as cells
from tests.integration.engine import Engine
from tests.processes import is_alive
from tests.waiting import eventually


async def test_the_item_that_kills_its_process_fails_and_its_neighbours_keep_their_attempts(
    engine: Engine, tmp_path: Path
) -> None:
    params = {"how": {"13": "exit"}, "folder": str(tmp_path)}
    async with engine.worker(cells.processed, processes=3) as client:
        ended = await engine.run(client, cells.processed, fanout.Range(40), params=params)
    assert ended.results == {n: 2 * n for n in range(40) if n != 13}
    assert ended.failures[13].error_type == "WorkerDied"
    assert ended.failures[13].attempts == 1
    # Not even the neighbours' work is repeated.
    runs = Counter({int(file.name): file.stat().st_size for file in tmp_path.iterdir() if file.is_file()})
    assert {number: times for number, times in runs.items() if times != 1} == {13: 2}


async def test_an_item_whose_process_was_killed_by_something_else_runs_once_more(
    engine: Engine, tmp_path: Path
) -> None:
    async with engine.worker(cells.processed_once, processes=2) as client:
        ended = await engine.run(
            client, cells.processed_once, fanout.Range(10), params={"folder": str(tmp_path)}
        )
    assert ended.result.status is Status.SUCCEEDED


async def test_a_process_whose_item_is_timed_out_is_ended_and_no_neighbour_suffers(
    engine: Engine, tmp_path: Path
) -> None:
    params = {"folder": str(tmp_path)}
    async with engine.worker(cells.processed_hangs, processes=2) as client:
        ended = await engine.run(client, cells.processed_hangs, fanout.Range(20), params=params)
        assert ended.results == {n: n for n in range(20) if n != 3}
        assert ended.failures[3].error_type == "TimeoutError"
        pids = [int(file.stem) for file in tmp_path.glob("*.pid")]
        # Those that work wait for more; the one that hung is gone.
        await eventually(lambda: sum(map(is_alive, pids)) <= 2)
    await eventually(lambda: not any(map(is_alive, pids)))
