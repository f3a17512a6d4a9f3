"""A server behind a door that asks for certificates and API keys: who gets in, and what the others are told."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from fanout.ports import free_port
from tests.acceptance.conftest import Project, wait_for
from tests.acceptance.test_health import get
from tests.conftest import TestServer
from tests.frontdoor import Authority, Door, front_door

KEY = f"key-{secrets.token_hex(16)}"
WRONG_KEY = f"key-{secrets.token_hex(16)}"

NO_SERVER = 6


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("others"), "others")


@pytest.fixture(scope="module")
def mutual(dev_server: TestServer, ours: Authority) -> Iterator[str]:
    """The address of a door that asks for a certificate of our authority."""
    with front_door(Door(dev_server.address), ours, clients=ours) as address:
        yield address


@pytest.fixture(scope="module")
def door(dev_server: TestServer) -> Door:
    return Door(dev_server.address, {KEY})


@pytest.fixture(scope="module")
def keyed(door: Door, ours: Authority) -> Iterator[str]:
    """The address of a door that asks for an API key."""
    with front_door(door, ours) as address:
        yield address


def with_certificate(project: Project, address: str, server: Authority, client: Authority) -> Project:
    certificate, key = client.issue("worker")
    project.environment |= {
        "TEMPORAL_ADDRESS": address,
        "TEMPORAL_TLS_SERVER_CA_CERT_PATH": str(server.path),
        "TEMPORAL_TLS_CLIENT_CERT_PATH": str(certificate),
        "TEMPORAL_TLS_CLIENT_KEY_PATH": str(key),
    }
    return project


def with_key(project: Project, address: str, ours: Authority, key: str | None) -> Project:
    project.environment |= {
        "TEMPORAL_ADDRESS": address,
        "TEMPORAL_TLS_SERVER_CA_CERT_PATH": str(ours.path),
    }
    if key is not None:
        project.environment["TEMPORAL_API_KEY"] = key
    return project


def outputs(project: Project) -> str:
    """All that was written: logs, and every file of the store."""
    return "".join(path.read_text(errors="replace") for path in project.folder.rglob("*") if path.is_file())


COMMANDS = [
    ["run", "jobs:double", "10"],
    ["worker", "jobs", "--processes", "2"],
    ["doctor"],
]


def assert_refused(project: Project, command: list[str], says: str, code: int = NO_SERVER) -> None:
    # A worker would wait a minute for a server that is away, but not for one that refuses it.
    done = project.fanout(*command, within=50)
    assert done.returncode == code, done.stderr
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for key in (KEY, WRONG_KEY):
        assert key not in done.stdout + done.stderr


def test_workers_and_commands_speak_mutual_tls(
    project: Project, mutual: str, ours: Authority, run_id: str
) -> None:
    with_certificate(project, mutual, ours, ours).worker("--processes", "2")
    done = project.fanout("run", "jobs:double", "100", "--id", run_id, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["succeeded"] == 100


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_a_certificate_of_another_authority_is_refused(
    command: list[str], project: Project, mutual: str, ours: Authority, others: Authority
) -> None:
    with_certificate(project, mutual, ours, others)
    assert_refused(project, command, f"the server at {mutual} does not accept this client's certificate")


def test_who_shows_no_certificate_is_told_to(project: Project, mutual: str, ours: Authority) -> None:
    assert_refused(
        with_key(project, mutual, ours, None), COMMANDS[0], "so say --tls-cert-path and --tls-key-path"
    )


def test_a_server_of_another_authority_is_not_trusted(
    project: Project, mutual: str, ours: Authority, others: Authority
) -> None:
    assert_refused(with_certificate(project, mutual, others, ours), COMMANDS[1], "--tls-ca-path")


def test_workers_and_commands_show_their_api_key_and_nobody_else_sees_it(
    project: Project, keyed: str, door: Door, ours: Authority, run_id: str
) -> None:
    port = free_port()
    # Files of secrets end with a line break.
    with_key(project, keyed, ours, f"{KEY}\n")
    worker = project.worker("--processes", "2", "--log-level", "debug", "--health-port", str(port))
    done = project.fanout("run", "jobs:double", "100", "--id", run_id, "--json", "--debug")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["succeeded"] == 100
    assert KEY not in done.stdout + done.stderr
    assert KEY not in project.log(worker)
    assert KEY not in outputs(project)
    assert KEY not in Path(f"/proc/{worker.pid}/cmdline").read_text()
    assert door.seen == {KEY}

    wait_for(lambda: get(port, "/readyz")[0] == 200)
    door.keys = {WRONG_KEY}
    wait_for(lambda: f"the server at {keyed} refuses this client" in str(get(port, "/readyz")))
    assert get(port, "/healthz")[0] == 200
    door.keys = {KEY}
    wait_for(lambda: get(port, "/readyz")[0] == 200)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize(
    ("key", "says"),
    [(None, "refuses who shows no API key"), (WRONG_KEY, "refuses this API key")],
    ids=["missing", "wrong"],
)
def test_a_missing_and_a_wrong_api_key_are_refused(
    command: list[str], key: str | None, says: str, project: Project, keyed: str, ours: Authority
) -> None:
    assert_refused(with_key(project, keyed, ours, key), command, f"the server at {keyed} {says}")


def test_a_profile_says_it_all(project: Project, keyed: str, ours: Authority) -> None:
    profile = project.folder / "profiles.toml"
    profile.write_text(
        f'[profile.cloud]\naddress = "{keyed}"\napi_key = "{KEY}"\n[profile.cloud.tls]\n'
        f'server_ca_cert_path = "{ours.path}"\n'
    )
    for name in ("TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"):
        del project.environment[name]
    project.environment["TEMPORAL_CONFIG_FILE"] = str(profile)
    assert_refused(project, ["list"], "no Temporal server answers at localhost:7233")
    assert project.fanout("list", "--profile", "cloud", "--json").returncode == 0
    # What a flag says of TLS leaves the rest of the profile as it is.
    named = project.fanout("list", "--profile", "cloud", "--tls-server-name", "localhost")
    assert named.returncode == 0, named.stderr


def test_a_profile_that_cannot_be_read_is_a_usage_error_without_its_secrets(project: Project) -> None:
    profile = project.folder / "profiles.toml"
    profile.write_text(f'[profile.default]\napi_key = "{KEY}\n')
    project.environment["TEMPORAL_CONFIG_FILE"] = str(profile)
    assert_refused(project, ["list"], "Temporal's profile cannot be used: ", code=2)
    profile.write_text('[profile.default.tls]\nserver_ca_cert_path = "missing.pem"\n')
    assert_refused(project, ["list"], "cannot read missing.pem", code=2)


def test_a_key_that_cannot_be_sent_is_a_usage_error(project: Project, keyed: str, ours: Authority) -> None:
    with_key(project, keyed, ours, f"{KEY}\n{KEY}")
    assert_refused(project, ["list"], "the API key holds characters that none has", code=2)
