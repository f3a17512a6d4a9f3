"""`fanout compensate`, as a person types it."""

from __future__ import annotations

import json

from tests.acceptance.conftest import Project, wait_for

SHOP = """
import fanout

@fanout.processor(retries=0)
async def charge(n: int) -> dict[str, int]:
    if n % 10 == 0:
        raise ValueError(f"{n} is round")
    return {"charge": 1000 + n}

@fanout.processor(compensates=charge)
async def refund(n: int, made: dict[str, int]) -> int:
    return made["charge"]
"""


def test_what_succeeded_is_undone_by_hand_or_by_itself_and_told_everywhere(
    project: Project, run_id: str
) -> None:
    (project.folder / "shop.py").write_text(SHOP)
    worker = project.spawn("worker", "shop")
    wait_for(lambda: '"worker ready"' in project.log(worker), lambda: project.log(worker))
    run = project.fanout

    assert run("run", "shop:charge", "1..40", "--id", run_id).returncode == 3
    done = run("compensate", run_id, "--processor", "refund", "--json")
    assert done.returncode == 0, done.stderr
    undoing = f"{run_id}.compensation"
    assert f"run {undoing}: refund over what succeeded in run {run_id}, at " in done.stderr
    result = json.loads(done.stdout)
    assert (result["run_id"], result["items"], result["succeeded"]) == (undoing, 36, 36)
    rows = [json.loads(line) for line in run("results", undoing).stdout.splitlines()]
    assert sorted(row["output"] for row in rows) == [1000 + n for n in range(1, 40) if n % 10]
    again = run("compensate", run_id, "--processor", "shop:refund")
    assert again.returncode == 0
    assert f"run {run_id} has its compensation already: {undoing}, SUCCEEDED" in again.stderr
    assert f"compensation  {undoing}, SUCCEEDED" in run("status", run_id).stdout
    assert f"compensates   {run_id}" in run("status", undoing).stdout
    assert "refund, undoing" in run("list", "--task-queue", project.queue).stdout

    strict = f"{run_id}-strict"
    failed = run(
        *("run", "shop:charge", "1..40", "--id", strict, "--compensate", "shop:refund"),
        *("--tolerated-failures", "0"),
    )
    assert failed.returncode == 4
    assert f"what succeeded is undone: fanout watch {strict}.compensation" in failed.stderr
    # It takes what the run was started with.
    assert run("compensate", strict).returncode == 0
