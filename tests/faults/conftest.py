"""The scenes of the scenarios, what stands in their way, and the report at the end."""

from __future__ import annotations

import itertools
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import DELETES_SOON, TestServer
from tests.faults import report
from tests.faults.report import Line
from tests.faults.scale import Scale, chosen, dice, seed
from tests.faults.scene import Scene, scene
from tests.faults.server import MortalServer
from tests.faults.toxiproxy import Toxiproxy

LINE = pytest.StashKey[Line]()
LINE_PROPERTY = "scenario"
UNDISTURBED = pytest.StashKey[dict[str, float]]()
Stage = Callable[..., AbstractAsyncContextManager[Scene]]
PROCESSES = 3 if chosen().name == "long" else 2
"""Worker processes of a scenario."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give scenarios their mark, and the time that their scale needs."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(chosen().within + 120))
            item.add_marker(pytest.mark.faults)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Add the scenario's line to what is reported of the test: that reaches the summary from other processes, too."""
    made = yield
    if line := item.stash.get(LINE, None):
        if made.when == "call":
            line.passed = made.passed
        elif made.when == "teardown":
            # The scene has been left only now.
            made.user_properties.append((LINE_PROPERTY, asdict(line)))
    return made


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the report, and keep it."""
    made = itertools.chain.from_iterable(terminalreporter.stats.values())
    told = itertools.chain.from_iterable(getattr(each, "user_properties", ()) for each in made)
    lines = [Line(**value) for name, value in told if name == LINE_PROPERTY]
    if lines:
        path = report.save(lines, chosen().name, seed())
        terminalreporter.section(f"faults, {chosen().name} form, seed {seed()} ({path})")
        terminalreporter.write("\n".join(report.table(lines)) + "\n")


def _name(item: pytest.Item) -> str:
    return item.name.removeprefix("test_").replace("_", " ")


@pytest.fixture(scope="session")
def scale() -> Scale:
    """How large the scenarios are."""
    return chosen()


@pytest.fixture
def queue() -> str:
    """A short name of the scenario's own: its task queue, and the id of its run."""
    return f"faults-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def line(request: pytest.FixtureRequest) -> Line:
    """The scenario's line in the report."""
    made = Line(_name(request.node))
    request.node.stash[LINE] = made
    return made


@pytest.fixture
def undisturbed(request: pytest.FixtureRequest, dev_server: TestServer, tmp_path: Path) -> Callable[..., Any]:
    """Measures the same job with nothing in its way, once for each sort of job."""

    async def measure(sort: str, scale: Scale, **more: Any) -> float:
        known = request.config.stash.setdefault(UNDISTURBED, {})
        if sort not in known:
            folder = tmp_path / f"undisturbed-{re.sub(r'[^a-z]+', '-', sort)}"
            name = f"undisturbed-{uuid.uuid4().hex[:8]}"
            environment = more.pop("environment", {})
            async with scene(scale, dice(sort), folder, name, dev_server.address, Line(""), **more) as made:
                made.fleet.environment |= environment
                await made.fleet.start(PROCESSES)
                began = time.monotonic()
                await made.finish(await made.start())
                known[sort] = time.monotonic() - began
        return known[sort]

    return measure


@pytest.fixture
def stage(scale: Scale, dev_server: TestServer, queue: str, tmp_path: Path, line: Line) -> Stage:
    """Makes the scene of the scenario on the server of all tests; the arguments say where it differs."""

    def make(**more: Any) -> AbstractAsyncContextManager[Scene]:
        return scene(scale, dice(line.scenario), tmp_path, queue, dev_server.address, line, **more)

    return make


@pytest.fixture
async def arena(
    stage: Stage, scale: Scale, line: Line, undisturbed: Callable[..., Any]
) -> AsyncIterator[Scene]:
    """The usual scene, with its output in a folder."""
    line.undisturbed = await undisturbed("local", scale)
    async with stage() as made:
        yield made


@pytest.fixture
async def mortal_server(tmp_path: Path) -> AsyncIterator[MortalServer]:
    """A Temporal server of the scenario's own."""
    server = MortalServer(tmp_path, DELETES_SOON)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def toxiproxy(tmp_path: Path) -> AsyncIterator[Toxiproxy]:
    """A Toxiproxy of the scenario's own."""
    proxy = Toxiproxy(tmp_path / "toxiproxy.log")
    try:
        await proxy.ready()
        yield proxy
    finally:
        proxy.stop()
