"""What tests on a production server share; they run by `make production`, which builds it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults import report
from tests.faults.report import Line
from tests.faults.scale import seed
from tools.production.cluster import Cluster, cluster

LINE = pytest.StashKey[Line]()
LINES = pytest.StashKey[list[Line]]()
WITHIN = 600
"""Seconds that a test may take on a machine that is busy with something else; two idle cores need two minutes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep them out of `make test`, and give them their time."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.production)
            item.add_marker(pytest.mark.timeout(WITHIN))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Tell the test's line in the report how it ended."""
    made = yield
    if made.when == "call" and (line := item.stash.get(LINE, None)):
        line.passed = made.passed
    return made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was done to how many items, and keep it."""
    if lines := config.stash.get(LINES, []):
        path = report.save(lines, "production", seed())
        terminalreporter.section(f"production, seed {seed()} ({path})")
        terminalreporter.write("\n".join(report.table(lines)) + "\n")


@pytest.fixture
def queue() -> str:
    """A short name of the test's own: its task queue, and the id of its run."""
    return f"production-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def line(request: pytest.FixtureRequest) -> Line:
    """The test's line in the report."""
    made = Line(request.node.name.removeprefix("test_").replace("_", " "))
    request.node.stash[LINE] = made
    request.config.stash.setdefault(LINES, []).append(made)
    return made


@pytest.fixture
async def production(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A cluster of the test's own."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    async with cluster(folder) as made:
        yield made
