"""`fanout rerun`, as a person types it."""

from __future__ import annotations

import json

from tests.acceptance.conftest import Project

MENDED = """
import fanout

@fanout.processor(retries=0)
async def picky(n: int) -> int:
    return n
"""


def test_what_failed_is_run_again_after_a_fix_until_nothing_is_left(served: Project, run_id: str) -> None:
    assert served.fanout("run", "jobs:picky", "1..40", "--id", run_id).returncode == 3
    kinds = served.fanout("failures", run_id, "--by-type", "--json")
    [kind] = map(json.loads, kinds.stdout.splitlines())
    rows = served.fanout("failures", run_id, "--limit", "1").stdout
    one = served.fanout("rerun", run_id, "--keys-from", "-", stdin=rows)
    assert one.returncode == 3, one.stderr
    assert f"run {run_id}: picky again, over what failed with given keys" in one.stderr
    assert f"fanout rerun {run_id}" in one.stderr
    assert "1, what failed with given keys" in one.stderr
    # A new version, on a queue of its own.
    (served.folder / "mended.py").write_text(MENDED)
    queue = f"{served.queue}-mended"
    served.spawn("worker", "mended", "--task-queue", queue)
    done = served.fanout("rerun", run_id, "--group", kind["group"], "--task-queue", queue, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["items"], result["succeeded"], result["rerun"]) == (
        4,
        4,
        f"what failed of group {kind['group']}",
    )
    results = served.fanout("results", run_id, "--ordered").stdout.splitlines()
    assert [json.loads(line)["index"] for line in results] == list(range(40))
    assert served.fanout("failures", run_id).stdout == ""
    status = served.fanout("status", run_id).stdout
    assert f"what failed of group {kind['group']}" in status
    assert "picky, again" in served.fanout("list", "--task-queue", queue).stdout
    nothing = served.fanout("rerun", run_id)
    assert nothing.returncode == 2
    assert f"nothing failed in run '{run_id}', and all items of run '{run_id}' were run" in nothing.stderr
    assert served.fanout("rerun", run_id, "--keys-from", "no-such-file").returncode == 2
    assert "names no group" in served.fanout("rerun", run_id, "--group", "odd").stderr
    assert "no run 'nobody'" in served.fanout("rerun", "nobody").stderr
    assert "--local needs --processor" in served.fanout("rerun", run_id, "--local").stderr
