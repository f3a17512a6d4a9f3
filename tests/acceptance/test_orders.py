"""Orders to runs on the command line, as an operator types them."""

from __future__ import annotations

import json

from tests.acceptance.conftest import Project, on_terminal
from tests.acceptance.test_look import started


def test_a_run_is_paused_changed_resumed_and_drained(project: Project, run_id: str) -> None:
    project.worker()
    started(project, run_id, "jobs:gated", "1..1000", "--max-concurrency", "5")
    paused = project.fanout("pause", run_id, "--reason", "the service is down")
    assert (paused.returncode, paused.stdout) == (0, "")
    assert f"{run_id}: paused" in paused.stderr
    assert "PAUSED" in project.fanout("status", run_id).stdout
    again = project.fanout("pause", run_id)
    assert again.returncode == 1
    assert f"{run_id}: refused: it is paused already" in again.stderr
    nothing = project.fanout("update", run_id)
    assert nothing.returncode == 2
    assert "say what to change: max_concurrency or rate_limit" in nothing.stderr
    wrong = project.fanout("update", run_id, "--rate-limit", "30")
    assert wrong.returncode == 2
    assert "rate_limit: say items per second or minute, such as 200/s" in wrong.stderr
    changed = project.fanout("update", run_id, "--max-concurrency", "2", "--rate-limit", "30/s", "--json")
    event = json.loads(changed.stdout)
    assert (event["run"], event["kind"]) == (run_id, "update")
    assert event["effect"] == "max_concurrency is 2; rate_limit is 30/s"
    assert project.fanout("resume", run_id).returncode == 0
    refused = project.fanout("drain", run_id)
    assert refused.returncode == 2
    assert "add --yes to drain" in refused.stderr
    assert project.fanout("pause", run_id, "--now").returncode == 0
    drained = project.fanout("drain", run_id, "--yes")
    assert f"{run_id}: draining" in drained.stderr
    ended = project.fanout("wait", run_id)
    assert ended.returncode == 5
    assert "STOPPED" in ended.stderr
    assert "not run" in ended.stderr
    late = project.fanout("resume", run_id)
    assert late.returncode == 1
    assert f"run '{run_id}' has ended: there is nothing to resume" in late.stderr
    lines = project.fanout("events", run_id, "--json").stdout.splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds == ["pause", "pause", "update", "resume", "pause", "drain"]
    shown, code = on_terminal(project, "events", run_id)
    assert code == 0
    assert "the service is down" in shown
    assert "refused: it is paused already" in shown


def test_one_order_for_all_runs_of_a_queue_is_kept_until_a_worker_comes(
    project: Project, run_id: str
) -> None:
    for name in "ab":
        started(project, f"{run_id}-{name}", "jobs:double", "1..10")
    assert project.fanout("pause").returncode == 2
    assert project.fanout("pause", run_id, "--task-queue", project.queue).returncode == 2
    mine = ["--all", "--task-queue", project.queue]
    assert "add --yes to pause" in project.fanout("pause", *mine).stderr
    done = project.fanout("pause", *mine, "--yes", "--wait", "200ms")
    assert done.returncode == 7
    for name in "ab":
        assert f"{run_id}-{name}: recorded; the run has not taken it yet" in done.stderr
    assert f'no worker polls "{project.queue}"' in done.stderr
    project.worker()
    resumed = project.fanout("resume", *mine, "--yes")
    assert resumed.returncode == 0, resumed.stderr
    for name in "ab":
        assert f"{run_id}-{name}: resumed" in resumed.stderr
        assert project.fanout("wait", f"{run_id}-{name}").returncode == 0
    assert "no run goes on" in project.fanout("drain", *mine, "--yes").stderr
