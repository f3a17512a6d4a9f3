from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.service import TLSConfig

from fanout.cli.connection import Connection
from fanout.errors import NoServer, UsageError


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
    with pytest.raises(UsageError, match="contradict"):
        async with Connection(local=True, address="a:1").client():
            pass


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
