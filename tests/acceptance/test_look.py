"""Looking at runs and at what came of them, and giving them orders."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import subprocess
import time
from pathlib import Path

import pexpect
import pytest

from fanout.devserver import start_dev_server
from tests.acceptance.conftest import COMMAND, Project, on_terminal, wait_for


def started(project: Project, run_id: str, *words: str) -> None:
    done = project.fanout("run", *words, "--id", run_id, "--detach")
    assert done.returncode == 0, done.stderr


def kill(worker: subprocess.Popen[str]) -> None:
    """Kill a worker command and its only process."""
    [process] = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    worker.kill()
    os.kill(int(process), signal.SIGKILL)
    worker.wait()


def test_status_and_list_answer_without_any_worker(project: Project, run_id: str) -> None:
    started(project, run_id, "jobs:double", "1..10")
    status = project.fanout("status", run_id)
    assert status.returncode == 0
    assert "RUNNING" in status.stdout
    assert "0 workers polled it" in status.stdout
    assert "no worker polls" in status.stderr
    found = json.loads(project.fanout("status", run_id, "--json").stdout)
    assert (found["id"], found["status"], found["pollers"]) == (run_id, "RUNNING", 0)
    assert (found["progress"]["stale"], found["progress"]["succeeded"]) == (True, 0)
    assert found["web"].startswith("http://")
    assert run_id in project.fanout("list", "--task-queue", project.queue).stdout


def test_that_the_server_is_away_is_told_in_our_words_alone(project: Project, run_id: str) -> None:
    server = asyncio.run(start_dev_server(ui=False))
    project.environment["TEMPORAL_ADDRESS"] = server.address
    try:
        started(project, run_id, "jobs:double", "1..10")
        watch = project.spawn("watch", run_id)
        wait_for(lambda: "0 of ? items" in project.log(watch), lambda: project.log(watch))
        server.kill()
        wait_for(
            lambda: re.search(r"; the server has not answered for .*; trying again", project.log(watch)),
            lambda: project.log(watch),
        )
        # The SDK's news of each call's retries.
        assert "gRPC" not in project.log(watch)
    finally:
        asyncio.run(server.stop())


def test_status_tells_the_last_numbers_when_all_workers_are_dead(project: Project, run_id: str) -> None:
    worker = project.worker()
    flags = ["--partition-size", "10", "--batch-size", "5", "--max-concurrency", "10"]
    started(project, run_id, "jobs:half_gated", "1..40", *flags)
    live = project.fanout("status", run_id, "--partitions")
    while "20 of 40" not in live.stdout or "2 have ended" not in live.stderr:
        live = project.fanout("status", run_id, "--partitions")
    assert re.search(r"in flight +10 in \d partitions?", live.stdout)
    assert re.search(r"left +about \d:\d\d:\d\d, at .*/s over the \d+ s so far", live.stdout)
    header, *rows = (line.split() for line in live.stdout[live.stdout.index("PARTITION") :].splitlines())
    assert header == ["PARTITION", "ITEMS", "DONE", "FAILED", "IN", "FLIGHT", "WAITING", "RATE"]
    assert [row[:4] for row in rows] in (
        [["2", "10", "0", "0"]],
        [["2", "10", "0", "0"], ["3", "10", "0", "0"]],
    )

    kill(worker)
    began = time.monotonic()
    dead = project.fanout("status", run_id, "--partitions", "--all")
    # Of these, a busy machine takes a few to start the command.
    assert time.monotonic() - began < 8
    assert "20 of 40" in dead.stdout
    assert "numbers as of the last commit, " in dead.stderr
    assert "start one with: fanout worker" in dead.stderr
    assert dead.stdout.count("ended") == 2
    found = json.loads(project.fanout("status", run_id, "--json").stdout)
    numbers = found["progress"]
    assert (numbers["stale"], numbers["succeeded"], numbers["total"], numbers["planned"]) == (
        True,
        20,
        40,
        True,
    )
    assert time.time() - 600 < numbers["as_of"] < time.time() + 60
    # Also while the server still counts the dead among those who poll.
    paused = project.fanout("pause", run_id, "--wait", "200ms")
    assert (paused.returncode, "recorded; the run has not taken it yet" in paused.stderr) == (7, True)


def test_watch_on_a_terminal_shows_rate_and_end_and_ctrl_c_leaves_the_run_alone(
    project: Project, run_id: str
) -> None:
    worker = project.worker()
    started(project, run_id, "jobs:half_gated", "1..40", "--batch-size", "5", "--max-concurrency", "10")
    terminal = pexpect.spawn(
        COMMAND,
        ["watch", run_id],
        cwd=str(project.folder),
        env=project.environment,
        encoding="utf-8",
        dimensions=(30, 120),
        timeout=40,
    )
    terminal.expect(r"20 / 40 items \(50 %\)")
    terminal.expect(r"\d/s   10 in flight   0 failed   \d:\d\d:\d\d elapsed   about \d:\d\d:\d\d left")
    terminal.sendintr()
    terminal.expect(re.escape(f"detached: run {run_id} goes on. Come back with: fanout watch {run_id}"))
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    assert json.loads(project.fanout("status", run_id, "--json").stdout)["status"] == "RUNNING"
    kill(worker)


def test_nothing_is_coloured_or_moved_in_a_pipe(served: Project, run_id: str) -> None:
    # The tests' own environment asks for no colours: this one asks for nothing.
    environment = {name: value for name, value in served.environment.items() if name != "NO_COLOR"}
    for words, code in (
        (["run", "jobs:picky", "1..20", "--id", run_id], 3),
        (["watch", run_id], 3),
        (["status", run_id, "--partitions", "--all"], 0),
        (["failures", run_id, "--by-type"], 0),
        (["status", "no-such-run"], 1),
    ):
        done = subprocess.run(
            [COMMAND, *words],
            cwd=served.folder,
            env={**environment, "TERM": "xterm-256color"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert done.stdout + done.stderr
        assert not re.search(r"[\x1b\r\x08]", done.stdout + done.stderr), words


def test_list_filters_and_is_plain_in_a_pipe(project: Project, run_id: str) -> None:
    project.worker()
    assert project.fanout("run", "jobs:double", "3", "--id", run_id).returncode == 0
    assert project.fanout("run", "jobs:picky", "3", "--id", f"{run_id}-b").returncode == 3
    mine = ["list", "--task-queue", project.queue]
    header, *rows = project.fanout(*mine).stdout.splitlines()
    assert header.split() == ["RUN", "STATUS", "PROCESSOR", "QUEUE", "STARTED", "TOOK"]
    assert sorted(row.split()[0] for row in rows) == [run_id, f"{run_id}-b"]
    assert "\x1b" not in "".join(rows)
    [one] = project.fanout(*mine, "--processor", "double", "--json").stdout.splitlines()
    assert json.loads(one)["id"] == run_id
    [one] = project.fanout(*mine, "--status", "completed_with_failures", "--json").stdout.splitlines()
    assert json.loads(one)["id"] == f"{run_id}-b"
    assert project.fanout(*mine, "--status", "odd").returncode == 2


def test_wait_gives_up_with_exit_code_7_where_nobody_polls(project: Project, run_id: str) -> None:
    started(project, run_id, "jobs:double", "1..10")
    done = project.fanout("wait", run_id, "--timeout", "1s")
    assert done.returncode == 7
    assert "no worker polls" in done.stderr


def test_wait_gives_up_with_exit_code_1_where_somebody_works(project: Project, run_id: str) -> None:
    project.worker()
    started(project, run_id, "jobs:gated", "1..10")
    done = project.fanout("wait", run_id, "--timeout", "500ms")
    assert done.returncode == 1
    assert "it goes on" in done.stderr
    (project.folder / "gate").touch()
    assert project.fanout("wait", run_id, "--json").returncode == 0


@pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="only Linux changes the limits of another process"
)
def test_what_keeps_a_run_from_moving_is_told(project: Project, run_id: str) -> None:
    worker = project.worker()
    started(project, run_id, "jobs:gated", "1..10")
    watch = project.spawn("watch", run_id)
    wait_for(lambda: "10 in flight" in project.log(watch), lambda: project.log(watch))
    found = json.loads(project.fanout("status", run_id, "--json").stdout)
    assert found["trouble"] is None
    (process,) = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    before = resource.prlimit(int(process), resource.RLIMIT_NOFILE)
    resource.prlimit(int(process), resource.RLIMIT_NOFILE, (3, before[1]))
    (project.folder / "gate").touch()
    says = "waits for the store: cannot write "
    wait_for(lambda: says in project.fanout("status", run_id).stdout)
    found = json.loads(project.fanout("status", run_id, "--json").stdout)
    assert says in found["trouble"]
    wait_for(lambda: f"nothing moves: {found['trouble'][:20]}" in project.log(watch))
    resource.prlimit(int(process), resource.RLIMIT_NOFILE, before)
    assert watch.wait(60) == 0


def test_results_end_quietly_when_their_reader_leaves(served: Project, run_id: str) -> None:
    assert served.fanout("run", "jobs:double", "1..100000", "--id", run_id).returncode == 0
    done = subprocess.run(
        ["bash", "-c", f"{COMMAND} results {run_id} | head -n 2; echo ${{PIPESTATUS[0]}}"],
        cwd=served.folder,
        env=served.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    first, second, code = done.stdout.splitlines()
    assert "output" in json.loads(first)
    assert "output" in json.loads(second)
    assert code == "141"
    assert done.stderr == ""


def test_results_go_to_a_file(served: Project, run_id: str) -> None:
    assert served.fanout("run", "jobs:double", "10", "--id", run_id).returncode == 0
    done = served.fanout("results", run_id, "-o", "out.jsonl")
    assert (done.returncode, done.stdout) == (0, "")
    assert "10 results in out.jsonl" in done.stderr
    assert len((served.folder / "out.jsonl").read_text().splitlines()) == 10
    assert served.fanout("results", run_id, "-o", "out.parquet").returncode == 2


def test_one_item_is_shown_with_all_that_is_known_of_it(served: Project, run_id: str) -> None:
    assert served.fanout("run", "jobs:picky", "1..20", "--id", run_id).returncode == 3
    failed = served.fanout("item", run_id, "9")
    assert failed.returncode == 0
    assert "ValueError: 10 is round" in failed.stdout
    assert 'raise ValueError(f"{n} is round")' in failed.stdout
    succeeded = json.loads(served.fanout("item", run_id, "0", "--json").stdout)
    assert succeeded == {"outcome": "succeeded", "index": 0, "key": "0", "output": 1}
    missing = served.fanout("item", run_id, "999")
    assert missing.returncode == 1
    assert f"run {run_id} has no outcome of item 999" in missing.stderr
    assert served.fanout("item", run_id).returncode == 2


def test_failures_are_a_table_for_a_person(served: Project, run_id: str) -> None:
    assert served.fanout("run", "jobs:picky", "1..20", "--id", run_id).returncode == 3
    shown, code = on_terminal(served, "failures", run_id)
    assert code == 0
    assert "INDEX" in shown
    assert "ValueError: 10 is round" in shown
    assert f"fanout item {run_id} 9" in shown


def test_failures_are_counted_by_kind(served: Project, run_id: str) -> None:
    assert served.fanout("run", "jobs:picky", "1..60", "--id", run_id).returncode == 3
    shown = served.fanout("failures", run_id, "--by-type")
    assert "ValueError: <n> is round" in shown.stdout
    assert "9 (item 9), 19 (item 19), 29 (item 29)" in shown.stdout
    assert f"fanout item {run_id} 9" in shown.stderr
    [kind] = map(json.loads, served.fanout("failures", run_id, "--by-type", "--json").stdout.splitlines())
    assert (kind["error_type"], kind["message"], kind["count"]) == ("ValueError", "<n> is round", 6)
    assert time.time() - 600 < kind["first"] <= kind["last"] < time.time() + 60
    assert [one["index"] for one in kind["samples"]] == [9, 19, 29]


def test_failures_of_one_type_alone_are_shown(served: Project, run_id: str) -> None:
    lines = '"x"\n20\n'
    assert served.fanout("run", "jobs:picky", "-", "--id", run_id, stdin=lines).returncode == 3
    of_type = ["failures", run_id, "--type"]
    [one] = served.fanout(*of_type, "ValueError").stdout.splitlines()
    assert json.loads(one)["index"] == 1
    [kind] = served.fanout(*of_type, "InvalidItem", "--by-type", "--json").stdout.splitlines()
    assert json.loads(kind)["count"] == 1
    for flags in [], ["--by-type"]:
        none = served.fanout(*of_type, "KeyError", *flags)
        assert (none.returncode, none.stdout) == (0, "")
        assert f"no failures of type KeyError in run {run_id}" in none.stderr


def test_a_run_that_is_not_there_is_told(project: Project) -> None:
    for command in ("status", "watch", "wait", "results", "failures"):
        done = project.fanout(command, "no-such-run")
        assert done.returncode == 1
        assert done.stderr.startswith("error: no run 'no-such-run'")


def test_cancel_ends_a_run_and_keeps_what_is_done(project: Project, run_id: str) -> None:
    project.worker()
    started(project, run_id, "jobs:gated", "1..10")
    refused = project.fanout("cancel", run_id)
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    done = project.fanout("cancel", run_id, "--yes", "--reason", "enough", "--wait", "40s")
    assert done.returncode == 0, done.stderr
    assert f"{run_id}: canceled" in done.stderr
    assert project.fanout("wait", run_id).returncode == 5
    again = project.fanout("cancel", run_id, "--yes")
    assert again.returncode == 1
    assert "has ended already, as CANCELED" in again.stderr


def test_a_cancel_that_nobody_carries_out_yet_is_said_to_be_recorded(project: Project, run_id: str) -> None:
    started(project, run_id, "jobs:double", "1..10")
    done = project.fanout("cancel", run_id, "--yes", "--wait", "500ms")
    assert done.returncode == 7
    assert "the order is recorded; no worker polls" in done.stderr


def test_terminate_ends_runs_at_once_without_workers(project: Project, run_id: str) -> None:
    started(project, run_id, "jobs:double", "1..10")
    assert project.fanout("terminate", run_id).returncode == 2
    done = project.fanout("terminate", run_id, "no-such-run", "--yes")
    assert done.returncode == 1
    assert f"{run_id}: terminated" in done.stderr
    assert "no-such-run" in done.stderr
    assert project.fanout("wait", run_id).returncode == 5


def test_a_person_is_asked_before_a_run_is_terminated(project: Project, run_id: str) -> None:
    started(project, run_id, "jobs:double", "1..10")
    for answer, code in (("n", 1), ("y", 0)):
        terminal = pexpect.spawn(
            COMMAND,
            ["terminate", run_id],
            cwd=str(project.folder),
            env=project.environment,
            encoding="utf-8",
            timeout=40,
        )
        terminal.expect_exact(f"terminate {run_id}? [y/N]")
        terminal.sendline(answer)
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == code
    wait_for(lambda: "TERMINATED" in project.fanout("status", run_id).stdout)
