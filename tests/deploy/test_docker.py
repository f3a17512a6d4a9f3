"""Images and the composed system, as far as they can be checked without a Docker engine."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from fanout.cli.app import load
from tests.deploy.tools import DEPLOY, ROOT, passes, tool

DOCKER = DEPLOY / "docker"
SECRETS = ("POSTGRES_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY", "GRAFANA_PASSWORD")


def variables_of_worker() -> set[str]:
    """Return the variables that stand for flags of `fanout worker`."""
    found: set[str] = set()
    for parameter in load("worker").params:
        names = parameter.envvar or ()
        found |= {names} if isinstance(names, str) else set(names)
    return found


@pytest.fixture
def composed(tmp_path: Path) -> dict[str, Any]:
    """compose.yaml as Compose understands it, with the example's environment filled in."""
    example = (DOCKER / ".env.example").read_text()
    filled = re.sub(r"^(\w+)=$", r"\1=secret-of-\1", example, flags=re.MULTILINE)
    (tmp_path / ".env").write_text(filled)
    text = passes(
        *("docker-compose", "--env-file", tmp_path / ".env"),
        *("--file", DOCKER / "compose.yaml", "config"),
    )
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_hadolint_has_nothing_to_say_against_the_images() -> None:
    passes("hadolint", DOCKER / "Dockerfile", DOCKER / "example/Dockerfile")


def test_the_image_has_all_that_its_build_asks_for_and_no_more() -> None:
    dockerfile = (DOCKER / "Dockerfile").read_text()
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
        for word in line.split()[:-1]
    }
    allowed = set(re.findall(r"^!(\S+)$", (DOCKER / "Dockerfile.dockerignore").read_text(), re.MULTILINE))
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


def test_secrets_come_from_the_environment_and_none_has_a_default(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    refused = tool(
        *("docker-compose", "--env-file", tmp_path / "empty", "--file", DOCKER / "compose.yaml", "config"),
        environment={"HOME": str(tmp_path)},
    )
    assert refused.returncode != 0
    for name in SECRETS:
        assert f"required variable {name} is missing a value" in refused.stderr
    example = (DOCKER / ".env.example").read_text()
    assert tuple(re.findall(r"^(\w+)=$", example, re.MULTILINE)) == SECRETS


def test_services_wait_for_what_they_need(composed: dict[str, Any]) -> None:
    services = composed["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            wanted = (
                "service_completed_successfully"
                if services[needed]["restart"].startswith("on-failure")
                else "service_healthy"
            )
            assert how["condition"] == wanted, f"{name} needs {needed}"
            assert wanted != "service_healthy" or services[needed].get("healthcheck"), needed
        assert service["deploy"]["resources"]["limits"]["memory"]
    assert set(services["worker"]["depends_on"]) == {"temporal-namespace", "s3-bucket"}


def test_what_services_mount_is_there(composed: dict[str, Any]) -> None:
    for service in composed["services"].values():
        for volume in service.get("volumes", ()):
            assert volume["type"] == "volume" or Path(volume["source"]).exists(), volume


def test_workers_have_longer_to_end_than_their_batches(composed: dict[str, Any]) -> None:
    worker = composed["services"]["worker"]
    minutes, seconds = re.fullmatch(r"(?:(\d+)m)?(\d+)s", worker["stop_grace_period"]).groups()  # type: ignore[union-attr]
    grace = 60 * int(minutes or 0) + int(seconds)
    assert grace > int(worker["environment"]["FANOUT_SHUTDOWN_TIMEOUT"]) + 10
    assert worker["scale"] == 2
    assert worker["read_only"] is True


def test_the_variables_of_images_pods_and_services_are_those_of_the_worker(composed: dict[str, Any]) -> None:
    given = set(composed["services"]["worker"]["environment"])
    given |= set(re.findall(r"\b(?:FANOUT|TEMPORAL)_\w+", (DOCKER / "Dockerfile").read_text()))
    for template in (DEPLOY / "helm/fanout/templates").iterdir():
        given |= set(re.findall(r"\b(?:FANOUT|TEMPORAL)_[A-Z_]+\b", template.read_text()))
    known = variables_of_worker() | {"FANOUT_TASK_QUEUE", "FANOUT_ALLOWED_ROOTS", "FANOUT_WEB_URL"}
    assert {name for name in given if not name.startswith("AWS_")} <= known


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    # As compose.yaml mounts them.
    shutil.copy(DOCKER / "prometheus.yaml", tmp_path)
    shutil.copy(DEPLOY / "prometheus/rules.yaml", tmp_path)
    passes("promtool", "check", "config", tmp_path / "prometheus.yaml")
