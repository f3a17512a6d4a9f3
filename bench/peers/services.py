"""Redis and PostgreSQL for peers, who find them by variables."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from tools import services
from tools.services import HOST, free_port, process, program, wait_for

REDIS = "BENCH_REDIS"
POSTGRES = "BENCH_POSTGRES"
"""Variables in which a driver and its workers find them."""


@contextmanager
def redis() -> Iterator[None]:
    """Run a Redis that keeps all in memory."""
    port = str(free_port())
    with tempfile.TemporaryDirectory(prefix="fanout-bench-redis-") as folder:
        command = [program("redis-server"), "--bind", HOST, "--port", port, "--dir", folder]
        with process([*command, "--save", "", "--appendonly", "no"]):
            wait_for(["redis-cli", "-h", HOST, "-p", port, "ping"])
            os.environ[REDIS] = f"redis://{HOST}:{port}/0"
            yield


@contextmanager
def postgres() -> Iterator[None]:
    """Run a PostgreSQL as it comes: what is committed is on disk."""
    with services.postgres("bench") as port:
        os.environ[POSTGRES] = f"postgresql://bench@{HOST}:{port}/bench"
        yield
