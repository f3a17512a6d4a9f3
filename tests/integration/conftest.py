"""The engine of one test, and the check that no workflow task of its runs ever failed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import TestServer
from tests.integration.engine import Engine, assert_never_stuck
from tests.integration.workers import Workers


@pytest.fixture
async def engine(dev_server: TestServer, task_queue: str, tmp_path: Path) -> AsyncIterator[Engine]:
    """Workers and runs of one test; at its end the histories of all its runs are looked at."""
    made = Engine(dev_server, task_queue, tmp_path)
    yield made
    for _, run in made.started:
        assert_never_stuck(await made.histories(run))


@pytest.fixture
async def workers(engine: Engine) -> AsyncIterator[Workers]:
    """Worker processes that end with the test."""
    made = Workers(engine)
    yield made
    await made.stop()
