"""The development server, run for real: it answers, remembers, stops, and outlives nobody who started it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import urllib.request
from pathlib import Path

import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client, WorkflowExecutionStatus

from fanout import devserver
from fanout.devserver import DevServer, start_dev_server
from fanout.errors import UsageError
from fanout.ports import UI_OFFSET, free_port
from fanout.runs.info import web_base
from tests.conftest import TestServer
from tests.waiting import eventually

SERVE = """
import asyncio, sys
from pathlib import Path
from fanout.devserver import DevServer, serve_forever, start_dev_server

def announce(server: DevServer) -> None:
    print(server.pid, server.address, server.ui_url, flush=True)

db = Path(sys.argv[1]) if len(sys.argv) > 1 else None
asyncio.run(serve_forever(start_dev_server(db=db), announce=announce))
print("stopped cleanly")
"""


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet collected by its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def served(*arguments: str) -> tuple[asyncio.subprocess.Process, int, str]:
    """Run a server in the foreground of a new process; return that, the server's pid and its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", SERVE, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    pid, address, _ = (await process.stdout.readline()).decode().split()
    return process, int(pid), address


async def start_a_workflow(address: str) -> None:
    client = await Client.connect(address)
    await client.start_workflow("Nobody", id="remembered", task_queue="nobody-polls-this")


async def test_a_workflow_can_be_started_the_moment_the_server_is_returned() -> None:
    async with await start_dev_server() as server:
        await start_a_workflow(server.address)
        assert alive(server.pid)
    assert not server.running
    assert not server.log.exists()


async def test_a_server_that_ends_after_its_first_answer_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[DevServer] = []
    ask = devserver._ask

    async def loses_an_inner_port(server: DevServer) -> None:
        await ask(server)
        asked.append(server)
        if len(asked) == 1:
            server.kill()
            await server.wait()
            server.log.write_text("listen tcp 127.0.0.1:1: bind: address already in use")

    monkeypatch.setattr(devserver, "_ask", loses_an_inner_port)
    async with await start_dev_server(ui=False) as server:
        assert server is not asked[0]
        await start_a_workflow(server.address)


async def test_temporal_web_is_served_where_the_server_says(dev_server: TestServer) -> None:
    if dev_server.ui_url is None:
        pytest.skip("TEMPORAL_ADDRESS names a server, and not its Temporal Web")
    page = await asyncio.to_thread(urllib.request.urlopen, dev_server.ui_url)
    with page:
        assert page.status == 200
        assert b"<!doctype html>" in page.read().lower()


async def test_clients_know_where_temporal_web_is_though_nobody_chose_a_port() -> None:
    async with await start_dev_server() as server:
        assert web_base(server.address) == server.ui_url
        assert server.ui_url is not None
        with await asyncio.to_thread(urllib.request.urlopen, server.ui_url) as page:
            assert b"<!doctype html>" in page.read().lower()


async def test_temporal_web_gets_another_port_where_the_one_above_the_servers_is_taken() -> None:
    port = free_port()
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # somebody else has it
            stack.enter_context(socket.create_server(("127.0.0.1", port + UI_OFFSET)))
        async with await start_dev_server(port=port) as server:
            assert server.address.endswith(f":{port}")
            assert server.ui_url is not None
            with await asyncio.to_thread(urllib.request.urlopen, server.ui_url) as page:
                assert page.status == 200


async def test_the_namespace_and_search_attributes_asked_for_are_there() -> None:
    async with await start_dev_server(
        ui=False, namespace="mine", search_attributes={"FanoutKind": "Keyword"}
    ) as server:
        assert server.ui_url is None
        client = await Client.connect(server.address, namespace=server.namespace)
        listed = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace="mine")
        )
        assert "FanoutKind" in listed.custom_attributes


async def test_a_database_file_outlives_its_server_and_a_killed_one(tmp_path: Path) -> None:
    db = tmp_path / "state" / "temporal.db"
    async with await start_dev_server(db=db, ui=False) as first:
        await start_a_workflow(first.address)
    async with await start_dev_server(db=db, ui=False) as second:
        second.kill()
        await second.wait()
    async with await start_dev_server(db=db, ui=False) as third:
        handle = (await Client.connect(third.address)).get_workflow_handle("remembered")
        assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING


async def test_a_second_server_on_one_database_file_is_refused_by_the_address_of_the_first(
    tmp_path: Path,
) -> None:
    db = tmp_path / "temporal.db"
    async with await start_dev_server(db=db, ui=False) as first:
        with pytest.raises(UsageError, match=rf"temporal\.db is in use by the server at {first.address}"):
            await start_dev_server(db=db, ui=False)


async def test_a_server_that_does_not_stop_within_its_grace_is_killed(tmp_path: Path) -> None:
    server = await start_dev_server(db=tmp_path / "temporal.db", ui=False)
    os.kill(server.pid, signal.SIGSTOP)
    await server.stop(grace=0.2)
    assert not server.running


async def test_stopping_twice_does_nothing() -> None:
    server = await start_dev_server(ui=False)
    await server.stop()
    await server.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_to_the_foreground_stops_the_server_cleanly(
    number: signal.Signals, tmp_path: Path
) -> None:
    process, pid, address = await served(str(tmp_path / "temporal.db"))
    await start_a_workflow(address)
    process.send_signal(number)
    out, err = await process.communicate()
    assert (out.decode(), err.decode(), process.returncode) == ("stopped cleanly\n", "", 0)
    assert not alive(pid)


async def test_a_signal_while_the_server_starts_ends_it_as_well() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    await eventually(lambda: children.read_text().split())
    server = int(children.read_text().split()[0])
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert out.decode().endswith("stopped cleanly\n"), err.decode()
    assert not alive(server)


async def test_a_server_that_dies_in_the_foreground_is_an_error_and_not_a_silent_end() -> None:
    process, pid, _ = await served()
    os.kill(pid, signal.SIGKILL)
    _, err = await process.communicate()
    assert process.returncode == 1
    assert "the server ended by itself" in err.decode()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a process's life to its parent's")
async def test_a_server_dies_with_the_process_that_started_it_even_by_sigkill() -> None:
    process, pid, _ = await served()
    assert alive(pid)
    process.kill()
    await process.wait()
    await eventually(lambda: not alive(pid))
