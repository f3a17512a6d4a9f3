"""One scene and one browser for all tests of a module: each takes some seconds to set up."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.browser.chromium import browsing
from tests.browser.scene import Scene, scene
from tests.browser.temporal_web import TemporalWeb


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shown(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """Runs that stand still, on a server of their own."""
    async with scene(tmp_path_factory.mktemp("images")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web(shown: Scene) -> AsyncIterator[TemporalWeb]:
    """Temporal Web of that server, in a browser."""
    async with browsing() as browser:
        yield TemporalWeb(shown.ui_url, browser)
