"""The version of a worker, from flags to Temporal's own configuration, and to the processes below."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from temporalio.common import VersioningBehavior

from fanout.cli.connection import Connection
from fanout.cli.flags import command
from fanout.cli.worker import worker_command
from fanout.cli.workerflags import Versioning
from fanout.errors import UsageError


def parsed(*words: str) -> Versioning:
    """Return what a command makes of its flags."""
    seen: list[Versioning] = []

    async def look(versioning: Versioning) -> int:
        seen.append(versioning)
        return 0

    app = typer.Typer()
    app.command("look")(command(look))
    with pytest.raises(SystemExit) as end:
        app(list(words))
    assert end.value.code == 0
    return seen[0]


def test_without_a_name_it_is_no_version() -> None:
    assert parsed().config() is None


@pytest.mark.parametrize(
    ("behavior", "meant"),
    [("auto-upgrade", VersioningBehavior.AUTO_UPGRADE), ("pinned", VersioningBehavior.PINNED)],
)
def test_a_version_is_told_to_temporal(behavior: str, meant: VersioningBehavior) -> None:
    config = parsed("--deployment", "d", "--build-id", "1.2", "--versioning-behavior", behavior).config()
    assert config is not None
    assert (config.version.deployment_name, config.version.build_id) == ("d", "1.2")
    assert config.use_worker_versioning
    assert config.default_versioning_behavior is meant


def test_the_usual_behaviour_is_to_move_on() -> None:
    assert parsed("--deployment", "d", "--build-id", "1").versioning_behavior == "auto-upgrade"


@pytest.mark.parametrize("said", [Versioning(), Versioning("d", "1", "pinned")])
def test_processes_are_the_same_version_whatever_their_environment_says(
    said: Versioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FANOUT_DEPLOYMENT", "other")
    monkeypatch.setenv("FANOUT_BUILD_ID", "2")
    monkeypatch.setenv("FANOUT_VERSIONING_BEHAVIOR", "auto-upgrade")
    line = worker_command(["images"], Connection(), versioning=said)
    began = line.index("--deployment")
    assert parsed(*line[began : began + 6]) == said


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"deployment": "d", "build_id": None}, "go together"),
        ({"deployment": None, "build_id": "1"}, "go together"),
        ({"deployment": "a.b", "build_id": "1"}, "must not have a dot"),
    ],
)
def test_what_can_be_no_version_is_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Versioning.pack({**values, "versioning_behavior": "pinned"}, ())
