"""Stores to test against: a local folder, a real S3 server over HTTP, and memory."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from fanout.storage import objects, once, stores
from fanout.storage.stores import Store, open_store

BUCKET = "fanout-tests"
SECRET = "a-very-secret-value"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Moto's S3 server on loopback, with one bucket; the environment points to it."""
    import boto3  # type: ignore[import-untyped]
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT", endpoint)
        patch.setenv("AWS_ALLOW_HTTP", "true")
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=BUCKET)
        objects._bucket.cache_clear()
        stores._open.cache_clear()
        yield endpoint
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
