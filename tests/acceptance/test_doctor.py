"""`fanout doctor`: what it finds, which command it names next, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from fanout.checks import storage
from fanout.checks.check import Check, look
from fanout.cli import doctor
from fanout.cli.connection import Connection
from tests.acceptance.conftest import Project, on_terminal, plain, wait_for
from tests.waiting import eventually

NOTHING, ERROR, NO_SERVER, NO_WORKER = 0, 1, 6, 7
TEMPORAL = Path(sys.executable).parent / "temporal"


def look_around(project: Project, *words: str, code: int = NOTHING) -> dict[str, dict[str, Any]]:
    """Run the command, and return its checks by name."""
    done = project.fanout("doctor", "--json", *words)
    assert done.returncode == code, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["ok"] == (code == NOTHING)
    return {check["name"]: check for check in said["checks"]}


def outcomes(checks: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: check["outcome"] for name, check in checks.items()}


def test_a_served_processor_is_found_in_order(served: Project) -> None:
    checks = look_around(served, "jobs:name", "--param", "greeting=hi")
    assert set(outcomes(checks).values()) == {"ok"}
    assert (
        checks["processor"]["says"]
        == "a worker has 'name', and writes to fanout-output what is read from here"
    )
    assert f'one polls "{served.queue}"' in checks["worker"]["says"]


def test_a_person_sees_marks_and_the_end_in_words(served: Project) -> None:
    shown, code = on_terminal(served, "doctor", "jobs:double")
    assert code == NOTHING
    assert "✓ processor          a worker has 'double'" in plain(shown)
    assert "all is in order" in plain(shown)


def test_a_processor_or_store_that_workers_do_not_have_is_told(served: Project, tmp_path: Path) -> None:
    unknown = look_around(served, "nobody", code=ERROR)["processor"]
    assert "no processor 'nobody' is registered here; there are: double" in unknown["says"]
    assert unknown["next"] == f"fanout worker MODULE --task-queue {served.queue}"
    store = str(tmp_path / "another")
    elsewhere = look_around(served, "jobs:double", "--store", store, code=ERROR)
    assert elsewhere["store"]["outcome"] == "ok"
    assert elsewhere["processor"]["says"] == f"workers may not write to {store}"
    assert elsewhere["processor"]["next"].endswith(f"--store {store}")


def test_without_a_worker_it_names_the_command_that_starts_one(project: Project) -> None:
    checks = look_around(project, "jobs:double", code=NO_WORKER)
    assert checks["worker"]["says"] == f'no worker polls "{project.queue}"'
    assert checks["worker"]["next"] == f"fanout worker jobs --task-queue {project.queue}"
    assert "processor" not in checks
    assert look_around(project)["worker"]["outcome"] == "skipped"


def test_workers_of_which_no_version_is_current_are_found_and_the_command_helps(project: Project) -> None:
    name = f"images-{uuid.uuid4().hex[:8]}"
    project.worker("--deployment", name, "--build-id", "7")
    wait_for(lambda: "no worker polls" not in project.fanout("doctor", "jobs:double").stdout)
    failed = look_around(project, "jobs:double", code=NO_WORKER)["worker"]
    assert "has no current version" in failed["says"]
    assert failed["next"].startswith("temporal worker deployment set-current-version")
    command = [str(TEMPORAL), *failed["next"].split()[1:], "--yes"]
    command += ["--address", project.environment["TEMPORAL_ADDRESS"]]
    wait_for(lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0)
    wait_for(lambda: project.fanout("doctor", "jobs:double").returncode == NOTHING)


def test_a_missing_namespace_and_what_a_new_one_lacks_are_told_with_the_commands(project: Project) -> None:
    name = f"new-{uuid.uuid4().hex[:8]}"
    missing = look_around(project, "--namespace", name, code=ERROR)["namespace"]
    assert missing["next"] == f"temporal operator namespace create --namespace {name} --retention 7d"
    address = ["--address", project.environment["TEMPORAL_ADDRESS"]]
    command = [str(TEMPORAL), *missing["next"].split()[1:], *address]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0

    wait_for(lambda: project.fanout("doctor", "--namespace", name).returncode == NOTHING)
    checks = look_around(project, "--namespace", name)
    assert checks["namespace"]["says"] == f"'{name}' keeps the histories of runs that ended for 7 days"
    lacks = checks["search attributes"]
    assert lacks["outcome"] == "warning"
    command = [str(TEMPORAL), *lacks["next"].split()[1:], *address]
    added = subprocess.run(command, capture_output=True, check=False)
    assert added.returncode == 0, added.stderr
    wait_for(lambda: look_around(project, "--namespace", name)["search attributes"]["outcome"] == "ok")


def test_a_store_that_cannot_be_written_is_told(project: Project) -> None:
    store = look_around(project, "--store", "/proc/store", code=ERROR)["store"]
    assert "/proc/store" in store["says"]
    assert "FANOUT_STORE" in store["next"]


def test_without_a_server_the_store_is_looked_at_all_the_same(empty: Project) -> None:
    checks = look_around(empty, "jobs:double", "--address", "127.0.0.1:1", code=NO_SERVER)
    assert outcomes(checks) == {"connection": "failed", "store": "ok", "store's clock": "ok"}
    assert checks["connection"]["next"].startswith("start one with `fanout dev`")


async def test_a_server_that_never_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "CONNECT_WITHIN", 0.5)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "none.toml"))
    held: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    address = f"127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    found = await asyncio.wait_for(doctor._look(Connection(address=address), str(tmp_path), None), 5)
    assert [(check.name, check.outcome) for check in found][0] == ("connection", "failed")
    assert found[0].says == "nothing answers within 0.5 s"
    silent.close()
    for writer in held:
        writer.close()


async def test_a_look_that_takes_too_long_has_failed() -> None:
    async def never() -> Check:
        await asyncio.Event().wait()
        raise AssertionError

    assert await look("limits", never(), next="wait", within=0.01) == Check(
        "limits", "failed", "no answer within 0.01 s", "wait"
    )


@pytest.mark.parametrize(
    ("there", "outcome", "says"),
    [
        (100.0, "ok", "within"),
        (94.0, "warning", "6 s behind"),
        (107.0, "warning", "6 s ahead of"),
        (95.0, "ok", ""),
    ],
)
def test_clocks_that_differ_are_told(there: float, outcome: str, says: str) -> None:
    check = storage.clock("server's clock", there, before=100.0, after=101.0)
    assert check.outcome == outcome
    assert says in check.says


async def test_a_store_that_lets_objects_be_overwritten_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from fanout.storage.stores import open_store

    store = open_store(f"{tmp_path}/_doctor")

    async def overwrite(path: str, data: bytes) -> None:
        (tmp_path / "_doctor").mkdir(exist_ok=True)
        (tmp_path / "_doctor" / path).write_bytes(data)

    monkeypatch.setattr(store, "create", overwrite)
    [check, _] = await storage.look_at_store(str(tmp_path))
    assert check.outcome == "failed"
    assert "lets an object be created that exists" in check.says


async def test_nothing_is_left_of_its_runs(served: Project) -> None:
    # Other servers than that of the tests take half a minute to delete a history.
    look_around(served, "jobs:double")
    client = await Client.connect(served.environment["TEMPORAL_ADDRESS"])
    query = f"TaskQueue = '{served.queue}' AND WorkflowId STARTS_WITH 'fanout-doctor-'"

    async def forgotten() -> bool:
        return not [one.id async for one in client.list_workflows(query)]

    assert not list((served.folder / "fanout-output").glob("*doctor*"))
    await eventually(forgotten, within=90)
