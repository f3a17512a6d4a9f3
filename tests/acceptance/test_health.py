"""`fanout worker --health-port`, and `fanout.serve_health` in a program of one's own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

import fanout
from fanout.ports import free_port
from fanout.workers import health
from tests.acceptance.conftest import Project, wait_for
from tests.conftest import TestServer
from tests.waiting import eventually


def get(port: int, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def codes(port: int) -> tuple[int, int]:
    return get(port, "/healthz")[0], get(port, "/readyz")[0]


def reasons(port: int) -> list[str]:
    return [part.get("reason", "") for part in get(port, "/readyz")[1]["parts"]]


def test_one_port_answers_for_all_processes_from_start_to_end(project: Project, run_id: str) -> None:
    port = free_port()
    process = project.worker("--processes", "2", "--health-port", str(port))
    # What is told once a second may be heard a moment after the log.
    wait_for(lambda: codes(port) == (200, 200), lambda: get(port, "/readyz"))
    parts = get(port, "/readyz")[1]["parts"]
    assert [part["name"].partition(" (")[0] for part in parts] == ["process 1", "process 2"]

    victim = int(parts[0]["name"].partition("(pid ")[2].rstrip(")"))
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: codes(port) == (200, 503))
    assert reasons(port)[0] in ("it has died, and is started again", "it starts", "it does not poll yet")
    assert reasons(port)[1] == ""
    wait_for(lambda: codes(port) == (200, 200), lambda: project.log(process))

    options = ["--batch-size", "5", "--max-concurrency", "20"]
    assert project.fanout("run", "jobs:gated", "20", "--id", run_id, "--detach", *options).returncode == 0
    wait_for(lambda: '"in_flight": 20' in project.fanout("status", run_id, "--json").stdout)
    process.send_signal(signal.SIGTERM)
    wait_for(lambda: codes(port) == (200, 503))
    assert set(reasons(port)) == {"it is shutting down"}
    (project.folder / "gate").touch()
    assert process.wait(30) == 0, project.log(process)


def test_a_worker_that_waits_for_its_server_is_well_and_not_ready(empty: Project) -> None:
    port = free_port()
    process = empty.spawn("worker", "jobs", "--address", "127.0.0.1:1", "--health-port", str(port))
    wait_for(lambda: "no server yet; trying again" in empty.log(process), lambda: empty.log(process))
    wait_for(lambda: reasons(port) == ["it does not poll yet"], lambda: empty.log(process))
    assert codes(port) == (200, 503)


def test_a_port_that_is_taken_is_a_usage_error(project: Project) -> None:
    port = free_port()
    project.worker("--health-port", str(port))
    refused = project.fanout("worker", "jobs", "--health-port", str(port))
    assert refused.returncode == 2
    assert f"port {port} is in use by" in refused.stderr
    assert "--health-port" in refused.stderr


class Forwarder:
    """Passes bytes on to the server until it is cut."""

    def __init__(self, address: str) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        for source, target in ((reader, back), (there, writer)):
            self._tasks.add(asyncio.create_task(self._pass_on(source, target)))

    @staticmethod
    async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                target.write(data)
        finally:
            target.close()


async def test_a_worker_of_ones_own_answers_too(
    dev_server: TestServer, task_queue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "ASK_EVERY", 0.2)
    forwarder = Forwarder(dev_server.address)
    client = await Client.connect(await forwarder.start(), plugins=[fanout.Plugin([], store=tmp_path)])
    worker = Worker(client, task_queue=task_queue)
    port = free_port()

    async def now() -> tuple[int, int]:
        return await asyncio.to_thread(codes, port)

    async with fanout.serve_health(worker, port=port):
        assert await now() == (200, 503)
        async with worker:
            await eventually(lambda: worker.is_running)
            assert await now() == (200, 200)
            forwarder.cut()

            async def is_cut() -> bool:
                return await now() == (200, 503)

            await eventually(is_cut)
            [reason] = await asyncio.to_thread(reasons, port)
            assert "does not answer" in reason
        assert await now() == (503, 503)
