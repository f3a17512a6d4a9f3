"""`fanout worker`: what it says, how it ends, and what its supervisor does."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Project, wait_for


def lines(project: Project, process: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in project.log(process).splitlines() if line.startswith("{")]


def test_a_worker_says_what_it_serves(project: Project) -> None:
    process = project.worker("--store", "out", "--allow-root", "/tmp")
    [ready] = [line for line in lines(project, process) if line["event"] == "worker ready"]
    assert "double (version 1)" in ready["processors"]
    assert ready["queues"] == [project.queue]
    assert ready["store"] == f"file://{project.folder}/out"
    assert "file:///tmp" in ready["allowed_roots"]
    assert ready["server"] == project.environment["TEMPORAL_ADDRESS"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_signal_ends_a_worker_gracefully(project: Project, number: signal.Signals, processes: str) -> None:
    process = project.worker("--processes", processes)
    process.send_signal(number)
    assert process.wait(30) == 0, project.log(process)
    assert project.log(process).count('"worker stopped"') == int(processes)


def test_a_killed_process_is_replaced(project: Project, run_id: str) -> None:
    process = project.worker("--processes", "2")
    victim = next(line["pid"] for line in lines(project, process) if line["event"] == "worker ready")
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: project.log(process).count('"worker ready"') == 3, lambda: project.log(process))
    assert "killed by SIGKILL" in project.log(process)
    assert project.fanout("run", "jobs:double", "100", "--id", run_id).returncode == 0


def test_processes_end_when_their_supervisor_is_killed(project: Project) -> None:
    process = project.worker("--processes", "2")
    children = [line["pid"] for line in lines(project, process) if line["event"] == "worker ready"]
    process.kill()
    process.wait()
    wait_for(lambda: project.log(process).count('"worker stopped"') == 2, lambda: project.log(process))
    wait_for(lambda: not any(is_alive(child) for child in children))


def is_alive(pid: int) -> bool:
    try:
        # An orphan that has ended may stay a zombie where nobody reaps.
        return re.sub(r".*\) ", "", Path(f"/proc/{pid}/stat").read_text())[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_wrong_module_is_a_usage_error(project: Project, processes: str) -> None:
    done = project.fanout("worker", "job", "--processes", processes)
    assert done.returncode == 2
    assert "there is no module 'job'" in done.stderr
    (project.folder / "idle.py").write_text("")
    done = project.fanout("worker", "idle", "--processes", processes)
    assert done.returncode == 2
    assert "no processor in idle" in done.stderr


def test_a_worker_waits_for_its_server_and_can_be_stopped_meanwhile(empty: Project) -> None:
    process = empty.spawn("worker", "jobs", "--address", "127.0.0.1:1")
    wait_for(lambda: "no server yet; trying again" in empty.log(process), lambda: empty.log(process))
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
