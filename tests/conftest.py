"""What all tests share: one real Temporal server, clients of it, and a task queue of each test's own."""

from __future__ import annotations

import asyncio
import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from temporalio.client import Client

from fanout.devserver import ADDRESS_VARIABLE, start_dev_server

# They need tools that not everybody has: `make deploy` runs them.
collect_ignore = ["deploy"]

# On a machine that is busy with a Temporal server single examples are slow at random: no news of the code.
settings.register_profile("ci", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", parent=settings.get_profile("ci"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

DELETES_SOON: Final = {
    f"history.{queue}ProcessorUpdateAckInterval": "1s" for queue in ("transfer", "visibility")
}
"""Settings of a server. By default it deletes what it is told to half a minute later."""


@dataclass(frozen=True)
class TestServer:
    """The server that this test run uses.

    Attributes:
        address: Host and port for clients.
        ui_url: Where Temporal Web is; None for a server that `TEMPORAL_ADDRESS` names.
        namespace: The namespace to use.
    """

    __test__ = False

    address: str
    ui_url: str | None
    namespace: str = "default"


@pytest.fixture(scope="session")
def dev_server() -> Iterator[TestServer]:
    """One real server for the whole test run. Where none can be had the tests fail, not skip."""
    if address := os.environ.get(ADDRESS_VARIABLE):
        yield TestServer(address, ui_url=None, namespace=os.environ.get("TEMPORAL_NAMESPACE", "default"))
        return
    server = asyncio.run(start_dev_server(dynamic_config=DELETES_SOON))
    yield TestServer(server.address, ui_url=server.ui_url)
    assert server.running, f"the server died during the tests:\n{server.log_tail(50)}"
    asyncio.run(server.stop())


@pytest.fixture
async def client(dev_server: TestServer) -> Client:
    """A plain client of the server, without fanout's plugin; one per test, for the test's own event loop."""
    return await Client.connect(dev_server.address, namespace=dev_server.namespace)


@pytest.fixture
def task_queue(request: pytest.FixtureRequest) -> str:
    """A task queue that no other test uses, named after its test so that Temporal Web shows whose it is."""
    name = re.sub(r"\W+", "-", request.node.name)[:60]
    return f"{name}-{uuid.uuid4().hex[:8]}"
