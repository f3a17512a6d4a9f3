"""Stores to test against: a local folder, a real S3 server over HTTP, and memory."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from fanout.storage import objects, once, stores
from fanout.storage.stores import Store, open_store
from tests.s3server import CREDENTIALS, S3Server

BUCKET = "fanout-tests"
SECRET = CREDENTIALS["AWS_SECRET_ACCESS_KEY"]


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """An S3 server with one bucket; the environment points to it."""
    server = S3Server(BUCKET)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT", f"http://{server.address}")
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        objects._bucket.cache_clear()
        stores._open.cache_clear()
        yield f"http://{server.address}"
    objects._bucket.cache_clear()
    stores._open.cache_clear()
    server.stop()


@pytest.fixture(params=["local", "s3", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each sort."""
    if request.param == "local":
        return open_store(str(tmp_path / "out put"))
    if request.param == "s3":
        request.getfixturevalue("s3_server")
        return open_store(f"s3://{BUCKET}/{uuid.uuid4().hex}/out put")
    return memory_store()


@pytest.fixture
def local(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "output"))


@pytest.fixture
def memory() -> Store:
    return memory_store()


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "PAUSES", (0.0, 0.0, 0.0))


def memory_store() -> Store:
    return open_store(f"memory://{uuid.uuid4().hex}/output")
