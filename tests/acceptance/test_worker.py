"""`fanout worker`: what it says, how it ends, and what its supervisor does."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest
from temporalio.api.deployment.v1 import WorkerDeploymentVersion
from temporalio.api.workflowservice.v1 import DescribeWorkerDeploymentVersionRequest
from temporalio.client import Client
from temporalio.service import RPCError

from tests.acceptance.conftest import Project, wait_for
from tests.processes import is_alive
from tests.waiting import eventually


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


@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_process_is_replaced(project: Project, run_id: str, processes: int) -> None:
    process = project.worker("--processes", str(processes))
    victim = next(line["pid"] for line in lines(project, process) if line["event"] == "worker ready")
    os.kill(victim, signal.SIGKILL)
    wait_for(
        lambda: project.log(process).count('"worker ready"') == processes + 1, lambda: project.log(process)
    )
    assert "killed by SIGKILL" in project.log(process)
    assert project.fanout("run", "jobs:double", "100", "--id", run_id).returncode == 0


def test_processes_end_when_their_supervisor_is_killed(project: Project) -> None:
    process = project.worker("--processes", "2")
    children = [line["pid"] for line in lines(project, process) if line["event"] == "worker ready"]
    process.kill()
    process.wait()
    wait_for(lambda: project.log(process).count('"worker stopped"') == 2, lambda: project.log(process))
    wait_for(lambda: not any(is_alive(child) for child in children))


HANGING = """
import threading
from pathlib import Path
import fanout

@fanout.processor(timeout=None)
def hangs(n: int) -> int:
    Path(f"begun-{n}").touch()
    threading.Event().wait()
    return n

@fanout.processor(timeout=0.2, retries=0)
def overdue(n: int) -> int:
    if n < 3:
        threading.Event().wait()
    return n
"""


def test_a_worker_whose_threads_hang_ends_within_its_grace(project: Project, run_id: str) -> None:
    (project.folder / "jobs.py").write_text(HANGING)
    process = project.worker("--shutdown-timeout", "1")
    assert project.fanout("run", "jobs:hangs", "1", "--id", run_id, "--detach").returncode == 0
    wait_for((project.folder / "begun-0").exists, lambda: project.log(process))
    [ready] = [line for line in lines(project, process) if line["event"] == "worker ready"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    assert '"worker stopped"' in project.log(process)
    assert not is_alive(ready["pid"])
    assert project.fanout("terminate", run_id, "--yes").returncode == 0


def test_a_worker_that_is_exhausted_by_threads_that_hang_is_replaced(project: Project, run_id: str) -> None:
    (project.folder / "jobs.py").write_text(HANGING)
    process = project.worker("--threads", "1", "--shutdown-timeout", "2")
    done = project.fanout("run", "jobs:overdue", "20", "--id", run_id, "--json")
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["succeeded"] == 17
    wait_for(lambda: "starting another" in project.log(process), lambda: project.log(process))
    assert "threads hang after their items were timed out (2 in overdue)" in project.log(process)


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


async def test_a_worker_may_be_a_version_of_a_deployment(project: Project, run_id: str) -> None:
    process = project.worker("--deployment", run_id, "--build-id", "7")
    [ready] = [line for line in lines(project, process) if line["event"] == "worker ready"]
    assert ready["deployment"] == f"{run_id}, build 7"
    client = await Client.connect(project.environment["TEMPORAL_ADDRESS"])
    request = DescribeWorkerDeploymentVersionRequest(
        namespace="default",
        deployment_version=WorkerDeploymentVersion(deployment_name=run_id, build_id="7"),
    )

    async def queues() -> bool:
        try:
            known = await client.workflow_service.describe_worker_deployment_version(request)
        except RPCError:
            return False
        return {info.name for info in known.version_task_queues} == {
            project.queue,
            f"{project.queue}/control",
        }

    await eventually(queues)


def test_half_a_version_is_a_usage_error(project: Project) -> None:
    for half in (["--deployment", "images"], ["--build-id", "7"]):
        refused = project.fanout("worker", "jobs", *half)
        assert refused.returncode == 2
        assert "--deployment and --build-id go together" in refused.stderr
