from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from temporalio.service import TLSConfig

from fanout.cli.connection import Connection
from fanout.cli.flags import command
from fanout.errors import NoServer, RunNotFound, UsageError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("TEMPORAL_ADDRESS", "FANOUT_WEB_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "none.toml"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_children_get_the_same_flags_and_secrets_by_their_environment() -> None:
    connection = Connection(address="a:1", namespace="n", api_key="secret", tls=True, tls_server_name="s")
    line = connection.command_line()
    assert line == ["--address", "a:1", "--namespace", "n", "--tls-server-name", "s", "--tls"]
    assert connection.environment() == {"FANOUT_API_KEY": "secret"}
    assert Connection().command_line() == []
    assert Connection().environment() == {}
    assert Connection(tls=False).command_line() == ["--no-tls"]


def test_tls_is_a_switch_or_files(folder: Path) -> None:
    (folder / "ca").write_bytes(b"authority")
    assert Connection()._tls() is None
    assert Connection(tls=True)._tls() is True
    made = Connection(tls_ca_path=Path("ca"), tls_server_name="s")._tls()
    assert isinstance(made, TLSConfig)
    assert made.server_root_ca_cert == b"authority"
    assert made.domain == "s"


@pytest.mark.parametrize(
    ("connection", "says"),
    [
        (Connection(tls=False, tls_server_name="s"), "--no-tls"),
        (Connection(tls_cert_path=Path("c")), "go together"),
        (Connection(tls_ca_path=Path("missing")), "cannot read missing"),
    ],
)
def test_tls_flags_that_cannot_be_are_refused(connection: Connection, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        connection._tls()


async def test_local_and_an_address_contradict_each_other() -> None:
    for typed in ({"address": "a:1"}, {"namespace": "n"}, {"tls": False}):
        with pytest.raises(UsageError, match="contradict"):
            async with Connection(local=True, **typed).client():
                pass


def packed(*words: str) -> list[Connection]:
    """Return the connection that a command gets for what was typed."""
    seen: list[Connection] = []

    async def look(connection: Connection) -> int:
        seen.append(connection)
        return 0

    app = typer.Typer()
    app.command("look")(command(look))
    with pytest.raises(SystemExit) as end:
        app(list(words))
    assert end.value.code == 0
    return seen


ELSEWHERE = {
    "TEMPORAL_ADDRESS": "elsewhere:7233",
    "TEMPORAL_NAMESPACE": "theirs",
    "FANOUT_API_KEY": "secret",
    "TEMPORAL_API_KEY": "secret",
    "TEMPORAL_TLS": "true",
    "TEMPORAL_TLS_SERVER_NAME": "s",
    "TEMPORAL_PROFILE": "cloud",
}


@pytest.mark.parametrize("flag", ["--local", "--bare-connection"])
def test_variables_are_about_another_server_than_this_folders(
    flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ELSEWHERE.items():
        monkeypatch.setenv(name, value)
    assert packed(flag) == [Connection(local=flag == "--local", bare=flag != "--local")]
    [other] = packed()
    assert (other.address, other.namespace, other.profile, other.tls) == (
        "elsewhere:7233",
        "theirs",
        "cloud",
        True,
    )


async def test_nothing_but_the_address_reaches_the_local_server(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from temporalio.client import Client

    from fanout.cli import server

    calls: list[dict[str, Any]] = []

    async def connect(address: str, **more: Any) -> str:
        calls.append({"address": address, **more})
        return "client"

    @asynccontextmanager
    async def use(_: Path) -> AsyncIterator[server.Found]:
        yield server.Found("127.0.0.1:9", None, 1)

    for name, value in ELSEWHERE.items():
        monkeypatch.setenv(name, value)
    (folder / "profiles.toml").write_text('[profile.default]\naddress = "a:1"\napi_key = "secret"\n')
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(folder / "profiles.toml"))
    monkeypatch.setattr(server, "use", use)
    monkeypatch.setattr(Client, "connect", connect)
    async with Connection(local=True).client():
        pass
    [call] = calls
    assert set(call) == {"address", "plugins"}
    assert call["address"] == "127.0.0.1:9"


async def test_workers_of_the_local_server_get_nothing_but_its_address() -> None:
    line = Connection(address="127.0.0.1:9", bare=True).command_line()
    assert line == ["--address", "127.0.0.1:9", "--bare-connection"]


@pytest.mark.parametrize(
    ("runs", "kept", "says"),
    [
        ("127.0.0.1:9", True, ""),
        ("127.0.0.1:8", True, "--local uses it"),
        (None, True, "add --local"),
        (None, False, ""),
    ],
)
async def test_a_run_that_another_server_does_not_have_may_be_this_folders(
    folder: Path, monkeypatch: pytest.MonkeyPatch, runs: str | None, kept: bool, says: str
) -> None:
    from fanout.cli import server

    async def connect(*_: object) -> Any:
        config = SimpleNamespace(target_host="localhost:9")
        return SimpleNamespace(service_client=SimpleNamespace(config=config))

    if kept:
        server.prepare(folder)
        server.database(folder).write_bytes(b"")
    monkeypatch.setattr(server, "running", lambda _: server.Found(runs, None, 1) if runs else None)
    monkeypatch.setattr(Connection, "connect", connect)
    with pytest.raises(RunNotFound, match=f"(?s)no run 'x'.*{says}") as caught:
        async with Connection(address="localhost:9").client():
            raise RunNotFound("no run 'x'")
    assert ("this folder" in str(caught.value)) == bool(says)


async def test_no_server_is_told_with_what_this_folder_has(folder: Path) -> None:
    (folder / ".fanout").mkdir()
    (folder / ".fanout" / "temporal.db").write_bytes(b"")
    with pytest.raises(NoServer, match="add --local"):
        await Connection(address="127.0.0.1:1").connect()


async def test_the_server_that_runs_in_this_folder_is_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fanout.cli import server

    monkeypatch.setattr(server, "running", lambda _: server.Found("127.0.0.1:9", "http://web", 1))
    async with Connection().located() as found:
        assert found.address == "127.0.0.1:9"
    monkeypatch.setenv("TEMPORAL_ADDRESS", "elsewhere:7233")
    async with Connection().located() as found:
        assert found.address is None
    async with Connection(address="a:1").located() as found:
        assert found.address == "a:1"
