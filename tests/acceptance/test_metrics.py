"""`fanout worker --metrics-port`: what Prometheus gets from real workers, against what the documentation says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from temporalio.client import Client

from fanout.errors import UsageError
from fanout.observability.metrics import (
    BATCH_DURATION,
    COMMIT_LATENCY,
    COUNTER,
    IN_FLIGHT,
    ITEM_DURATION,
    ITEMS,
    PLACES,
    REEXECUTIONS,
    RETRIES,
)
from fanout.ports import free_port, refuse_taken
from tests.acceptance.conftest import Project, wait_for

PAGE = Path(__file__).parents[2] / "docs/metrics.md"

JOBS = """
import asyncio
from pathlib import Path
import fanout

@fanout.processor(retries=2)
async def gated(n: int) -> int:
    while not Path("gate").exists():
        await asyncio.sleep(0.02)
    fanout.count("usd", 0.25)
    if n % 10 == 0:
        raise ValueError(f"{n} is round")
    return n"""


class Scraped:
    """One look at the metrics of a worker process, without Temporal's own."""

    def __init__(self, port: int) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        self.families = [
            one for one in text_string_to_metric_families(text) if one.name.startswith("fanout_")
        ]

    @property
    def types(self) -> dict[str, str]:
        """The type of each metric, by its name as a query has it."""
        return {one.name + ("_total" if one.type == "counter" else ""): one.type for one in self.families}

    @property
    def labels(self) -> dict[str, set[str]]:
        """Values by label; those of buckets apart."""
        found: dict[str, set[str]] = {}
        for family in self.families:
            for sample in family.samples:
                for label, value in sample.labels.items():
                    found.setdefault(label, set()).add(value)
        found.pop("le", None)
        return found

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of this name with these labels; 0 where there is none."""
        return sum(
            sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


def total(ports: list[int], name: str, **labels: str) -> float:
    return sum(Scraped(port).value(name, **labels) for port in ports)


def ready(project: Project, process: Any) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in project.log(process).splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == "worker ready"]


async def begun(project: Project, run_id: str) -> int:
    """Return how many items the heartbeats of a run's batches say were begun."""
    client = await Client.connect(project.environment["TEMPORAL_ADDRESS"])
    described = await client.get_workflow_handle(run_id).describe()
    told = [one.heartbeat_details.payloads for one in described.raw_description.pending_activities]
    return sum(json.loads(payloads[0].data).get("begun", 0) for payloads in told if payloads)


@pytest.fixture
def measured(project: Project) -> Project:
    """A project whose items wait for a gate."""
    (project.folder / "jobs.py").write_text(JOBS)
    return project


def two_ports() -> int:
    """Return a free port whose successor is free as well."""
    while True:
        port = free_port()
        with contextlib.suppress(UsageError):
            refuse_taken("127.0.0.1", port + 1, "")
            return port


def test_a_worker_exposes_what_the_docs_say_and_counts_exactly(measured: Project, run_id: str) -> None:
    port = free_port()
    process = measured.worker("--metrics-port", str(port))
    assert ready(measured, process)[0]["metrics"] == f"http://127.0.0.1:{port}/metrics"
    assert Scraped(port).families == []
    options = [
        "--max-concurrency",
        "20",
        "--batch-size",
        "40",
        "--batch-concurrency",
        "20",
        "--retry-initial",
        "0.01",
    ]
    started = measured.fanout("run", "jobs:gated", "100", "--id", run_id, "--detach", *options)
    assert started.returncode == 0, started.stderr

    wait_for(lambda: Scraped(port).value(IN_FLIGHT) == 20, lambda: measured.log(process))
    during = Scraped(port)
    assert during.value(PLACES) == 20
    assert during.value(ITEMS) == 0

    (measured.folder / "gate").touch()
    assert measured.fanout("wait", run_id).returncode == 3
    wait_for(lambda: Scraped(port).value(ITEMS) == 100)
    wait_for(lambda: Scraped(port).value(PLACES) == 0)
    after = Scraped(port)
    assert after.value(ITEMS, outcome="succeeded") == 90
    assert after.value(ITEMS, outcome="failed") == 10
    assert after.value(RETRIES) == 20
    assert after.value(COUNTER, counter="usd") == 25
    assert after.value(REEXECUTIONS) == 0
    assert after.value(IN_FLIGHT) == 0
    batches = after.value(f"{BATCH_DURATION}_count")
    assert batches == after.value(f"{COMMIT_LATENCY}_count") >= 3
    assert batches <= after.value(f"{ITEM_DURATION}_count") <= 130
    assert 0 < after.value(f"{COMMIT_LATENCY}_sum") < after.value(f"{BATCH_DURATION}_sum")

    documented = dict(re.findall(r"^\| `(fanout_\w+)` \| (\w+) \|", PAGE.read_text(), re.MULTILINE))
    assert after.types == documented
    assert after.labels == {
        "processor": {"gated"},
        "task_queue": {measured.queue},
        "outcome": {"succeeded", "failed"},
        "counter": {"usd"},
    }


def test_each_process_has_a_port_and_keeps_it_when_it_is_replaced(measured: Project, run_id: str) -> None:
    port = two_ports()
    ports = [port, port + 1]
    process = measured.worker("--processes", "2", "--metrics-port", str(port))
    options = [
        "--max-concurrency",
        "20",
        "--batch-size",
        "10",
        "--batch-concurrency",
        "10",
        "--heartbeat-timeout",
        "2",
    ]
    options += ["--retries", "0"]
    assert measured.fanout("run", "jobs:gated", "100", "--id", run_id, "--detach", *options).returncode == 0
    wait_for(lambda: total(ports, IN_FLIGHT) == 20, lambda: measured.log(process))
    held = {one: Scraped(one).value(IN_FLIGHT) for one in ports}
    victim = max(held, key=lambda one: held[one])
    pid = next(line["pid"] for line in ready(measured, process) if f":{victim}/" in line["metrics"])
    # What a worker had begun is known from its last heartbeat.
    wait_for(lambda: asyncio.run(begun(measured, run_id)) == 20)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(ready(measured, process)) == 3, lambda: measured.log(process))
    assert f":{victim}/" in ready(measured, process)[-1]["metrics"]
    wait_for(lambda: total(ports, REEXECUTIONS) == held[victim], lambda: measured.log(process))
    assert '"batch begins again: its worker died"' in measured.log(process)
    (measured.folder / "gate").touch()
    assert measured.fanout("wait", run_id).returncode == 3
    wait_for(lambda: total(ports, ITEMS) == 100)


def test_a_port_that_is_taken_is_a_usage_error(measured: Project) -> None:
    port = free_port()
    measured.worker("--metrics-port", str(port))
    refused = measured.fanout("worker", "jobs", "--metrics-port", str(port))
    assert refused.returncode == 2
    assert f"port {port} is in use by" in refused.stderr
    assert "--metrics-port" in refused.stderr


def test_ports_for_all_processes_must_exist(measured: Project) -> None:
    refused = measured.fanout("worker", "jobs", "--metrics-port", "65535", "--processes", "2")
    assert refused.returncode == 2
    assert "leaves no port for each of 2 processes" in refused.stderr


def test_workers_of_a_local_run_do_not_fight_for_the_port_of_the_environment(
    empty: Project, run_id: str
) -> None:
    empty.environment["FANOUT_METRICS_PORT"] = str(free_port())
    done = empty.fanout("run", "jobs:double", "10", "--id", run_id, "--local", "--processes", "2")
    assert done.returncode == 0, done.stderr
