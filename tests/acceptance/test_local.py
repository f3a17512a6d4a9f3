"""`run --local` and `fanout dev`: everything from an empty folder."""

from __future__ import annotations

import json
import re
import signal

import pexpect

from fanout.cli import server
from tests.acceptance.conftest import COMMAND, Project, wait_for


def test_one_command_in_an_empty_folder_runs_it_all(empty: Project) -> None:
    done = empty.fanout(
        "run", "jobs:picky", "1..100", "--id", "first", "--local", "--processes", "1", "--json", within=90
    )
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["succeeded"] == 90
    assert "fanout failures first --local" in done.stderr
    assert server.running(empty.folder) is None, "the dev server was left behind"

    shown = empty.fanout("failures", "first", "--local")
    assert len(shown.stdout.splitlines()) == 10, shown.stderr
    for command in ("results", "failures"):
        away = empty.fanout(command, "first", "--address", "127.0.0.1:1")
        assert away.returncode == 6
        assert "add --local" in away.stderr
    assert server.running(empty.folder) is None


def test_what_the_environment_says_of_another_server_does_not_reach_the_local_one(empty: Project) -> None:
    empty.environment |= {
        "TEMPORAL_ADDRESS": "127.0.0.1:1",
        "TEMPORAL_NAMESPACE": "theirs",
        "TEMPORAL_API_KEY": "secret",
        "TEMPORAL_TLS": "true",
        "TEMPORAL_TLS_SERVER_NAME": "theirs",
        "TEMPORAL_PROFILE": "cloud",
    }
    words = ["run", "jobs:double", "3", "--id", "mine", "--local", "--processes", "1"]
    done = empty.fanout(*words, within=90)
    assert done.returncode == 0, done.stderr
    assert "namespace default" in done.stderr
    assert empty.fanout(*words, "--namespace", "theirs").returncode == 2


def test_a_run_that_another_server_does_not_have_may_be_the_local_ones(project: Project) -> None:
    server.prepare(project.folder)
    server.database(project.folder).touch()
    done = project.fanout("results", "first")
    assert done.returncode == 1
    assert done.stderr.startswith("error: no run 'first'")
    assert "add --local" in done.stderr


def test_ctrl_c_stops_everything_and_the_run_goes_on_later(empty: Project) -> None:
    typed = ["run", "jobs:gated", "1..50", "--id", "long", "--local", "--processes", "1"]
    terminal = pexpect.spawn(
        COMMAND,
        [*typed, "--if-exists", "new"],
        cwd=str(empty.folder),
        env=empty.environment,
        encoding="utf-8",
        dimensions=(30, 160),
        timeout=60,
    )
    terminal.expect("50 in flight")
    terminal.sendintr()
    terminal.expect(re.escape(f"go on with: fanout {' '.join(typed)} --if-exists attach"))
    (empty.folder / "gate").touch()  # else the workers wait for their items as long as they may
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    assert server.running(empty.folder) is None

    done = empty.fanout(*typed, "--if-exists", "attach", within=110)
    assert done.returncode == 0, done.stderr


def test_a_killed_command_leaves_nothing_that_the_next_one_cannot_use(empty: Project) -> None:
    process = empty.spawn("run", "jobs:gated", "1..5", "--id", "cut", "--local", "--processes", "1")
    wait_for(lambda: "5 in flight" in empty.log(process), lambda: empty.log(process))
    process.kill()
    process.wait()
    assert server.running(empty.folder) is not None
    found = empty.fanout("list", "--local", "--json")
    assert json.loads(found.stdout)["id"] == "cut", found.stderr
    assert server.running(empty.folder) is None


def test_dev_prints_its_addresses_serves_the_folder_and_stops_on_ctrl_c(empty: Project) -> None:
    from fanout.ports import free_port

    port, ui_port = str(free_port()), str(free_port())
    process = empty.spawn("dev", "--port", port, "--ui-port", ui_port)
    wait_for(lambda: "Ctrl-C stops it" in empty.log(process), lambda: empty.log(process))
    assert f"127.0.0.1:{port}" in empty.log(process)
    assert f"http://127.0.0.1:{ui_port}" in empty.log(process)
    done = empty.fanout("list")
    assert done.returncode == 0, done.stderr
    assert f"using the dev server of this folder at 127.0.0.1:{port}" in done.stderr
    second = empty.fanout("dev", "--port", str(free_port()), "--ui-port", str(free_port()))
    assert second.returncode == 2
    assert "in use" in second.stderr
    process.send_signal(signal.SIGINT)
    assert process.wait(40) == 0, empty.log(process)
    assert server.running(empty.folder) is None
    assert not (empty.folder / ".fanout" / "server.json").exists()
