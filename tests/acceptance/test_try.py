"""One item of a run again, in the process of the command."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.acceptance.conftest import Project, wait_for

HALVES = """
import asyncio
import contextlib
import time
from pathlib import Path
import fanout

@contextlib.asynccontextmanager
async def pool():
    yield "pool"

@fanout.processor(retries=3, timeout=0.5, lifespan=pool)
async def half(row: dict, resource: str, *, by: int = 2) -> dict:
    n = int(row["n"])
    print("seen", n)
    fanout.count("usd", n / 10)
    if n == 17:
        raise ValueError(f"{n} is odd" if not Path("mended").exists() else "still odd")
    if n == 18:
        await asyncio.sleep(60)
    return {"half": n / by, "with": resource, "key": fanout.info().key}

@fanout.processor(executor="process")
def square(n: int) -> int:
    return n * n

@fanout.processor(list_size=10)
def squares(ns: list[int]) -> list[int]:
    return [n * n for n in ns]
"""


@pytest.fixture
def tried(empty: Project, served: Project, run_id: str) -> Project:
    """A folder with a module, and a run of it over a file; on the shared queue nobody has its processors."""
    (empty.folder / "halves.py").write_text(HALVES)
    empty.environment |= {
        name: value for name, value in served.environment.items() if name.startswith(("TEMPORAL_", "FANOUT_"))
    }
    empty.queue = empty.environment["FANOUT_TASK_QUEUE"] = run_id
    with (empty.folder / "in.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "n"], *([f"k{n}", n] for n in range(30))])
    worker = empty.spawn("worker", "halves")
    wait_for(lambda: '"worker ready"' in empty.log(worker), lambda: empty.log(worker))
    return empty


def objects(folder: Path) -> dict[Path, float]:
    return {path: path.stat().st_mtime for path in folder.rglob("*")}


def test_one_item_is_tried_as_a_batch_would_run_it_and_the_run_is_left_alone(
    tried: Project, run_id: str
) -> None:
    run = ["run", "halves:half", "in.csv", "--key", "id", "--id", run_id, "--retry-initial", "0.01"]
    assert tried.fanout(*run, "--limit", "25", "--param", "by=4").returncode == 3
    assert tried.fanout(*run, "--continue").returncode == 0
    before = objects(tried.folder / "fanout-output")

    done = tried.fanout("try", "halves", run_id, "16", "--json")
    assert done.returncode == 0, done.stderr
    output = {"half": 4.0, "with": "pool", "key": "k16"}
    assert json.loads(done.stdout) == {
        "outcome": "succeeded", "index": 16, "key": "k16", "output": output, "counters": {"usd": 1.6},
    }  # fmt: skip
    assert "seen 16" in done.stderr
    later = json.loads(tried.fanout("try", "halves", run_id, "26", "--json").stdout)
    assert later["output"]["half"] == 13.0

    failed = tried.fanout("try", "halves:half", run_id, "--key", "k17")
    assert failed.returncode == 1
    for text in ("counted usd", "1.70", "ValueError: 17 is odd", "in.csv:19", "raise ValueError", "seen 17"):
        assert text in failed.stdout
    assert failed.stdout.count("seen 17") == 1

    debugged = tried.fanout("try", "halves", run_id, "17", "--pdb", stdin="p n + 1000\nq\n")
    assert debugged.returncode == 1
    assert "1017" in debugged.stdout

    hung = tried.fanout("try", "halves", run_id, "18", "--pdb", stdin="w\nq\n")
    assert hung.returncode == 1
    assert "timeout of 0.5 s" in hung.stdout
    assert "await asyncio.sleep(60)" in hung.stdout

    assert objects(tried.folder / "fanout-output") == before

    text = (tried.folder / "in.csv").read_text()
    (tried.folder / "in.csv").write_text(text.replace("k17", "other"))
    assert "the source has changed" in tried.fanout("try", "halves", run_id, "17").stderr
    missing = tried.fanout("try", "halves", run_id, "30")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert f"run '{run_id}' has no item 30" in missing.stderr
    assert tried.fanout("try", "halves", run_id).returncode == 2
    assert tried.fanout("try", "halves:nothing", run_id, "1").returncode == 2


@pytest.mark.parametrize("name", ["square", "squares"])
def test_processors_for_processes_and_lists_are_tried_here_too(
    tried: Project, run_id: str, name: str
) -> None:
    assert tried.fanout("run", f"halves:{name}", "1..5", "--id", run_id, "--detach").returncode == 0
    wait_for(lambda: tried.fanout("wait", run_id).returncode == 0)
    done = tried.fanout("try", "halves.py", run_id, "3", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["output"] == 16
