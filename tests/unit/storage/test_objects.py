"""What only object stores can do wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import obstore
import pytest
from obstore.exceptions import GenericError, PermissionDeniedError, UnauthenticatedError
from obstore.store import ObjectStore, S3Store

from fanout.errors import ObjectExists, StoreError, StoreUnavailable
from fanout.storage import objects
from fanout.storage.stores import Store, open_store
from tests.unit.storage.conftest import BUCKET, SECRET
from tests.unit.storage.faulty import FaultyStore

if TYPE_CHECKING:
    from obstore import GetResult


async def test_a_bucket_that_does_not_exist_is_not_a_missing_object(s3_server: str) -> None:
    store = open_store("s3://no-such-bucket/x")
    for request in (store.read("a"), store.create("a", b""), store.list("a")):
        with pytest.raises(StoreError, match="the bucket does not exist") as caught:
            await request
        assert type(caught.value) is StoreError


@pytest.mark.parametrize("kind", [GenericError, PermissionDeniedError, UnauthenticatedError])
async def test_no_secret_is_in_an_error(
    s3_server: str, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    text = (
        f"Error performing GET https://user:pw@host/b/x?X-Amz-Signature=ab12&k={SECRET} in 3ms - 403 Forbidden: "
        f"<Error><Code>SignatureDoesNotMatch</Code><Message>bad key {SECRET}</Message>"
        f"<StringToSign>{SECRET}</StringToSign></Error>\n\nDebug source:\n authorization: {SECRET}"
    )

    async def fail(*args: object) -> None:
        raise kind(text)

    monkeypatch.setattr(obstore, "get_async", fail)
    # Credentials that expired are renewed while the run waits.
    with pytest.raises(StoreUnavailable) as caught:
        await open_store(f"s3://{BUCKET}/x").read("a")
    message = str(caught.value)
    assert "SignatureDoesNotMatch bad key ***" in message
    assert f"s3://{BUCKET}/x/a" in message
    for leak in (SECRET, "pw@", "ab12", "StringToSign", "authorization"):
        assert leak not in message
    assert caught.value.__suppress_context__
    assert ("AWS_ACCESS_KEY_ID" in message) == (kind is not GenericError)


async def test_a_service_that_cannot_be_reached_is_an_error_of_the_store(
    s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = objects.BucketStore(f"s3://{BUCKET}/x")
    store._bucket = S3Store(BUCKET, endpoint="http://127.0.0.1:1", retry_config={"max_retries": 0})
    with pytest.raises(StoreUnavailable, match="cannot read"):
        await store.read("a")


def test_a_store_without_its_settings_says_which_url_cannot_be_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_ACCOUNT_NAME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(
        StoreError, match="cannot open az://container/x.*AZURE_STORAGE_ACCOUNT_NAME"
    ) as caught:
        objects.BucketStore("az://container/x")
    assert type(caught.value) is StoreError


async def test_a_conflict_that_leaves_no_object_is_not_taken_for_an_own_one(memory: Store) -> None:
    faulty = FaultyStore(memory)

    def conflict(operation: str, path: str) -> None:
        if operation == "create":
            raise ObjectExists("409 Conflict")

    faulty.before = conflict
    with pytest.raises(StoreUnavailable, match="and then does not"):
        await faulty.create_own("a", b"x")


async def test_names_beyond_the_first_page_of_a_listing_are_found(s3_server: str) -> None:
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    # Straight into the server, which runs in this process: a page of S3 holds 1,000 names.
    for number in range(2_100):
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(BUCKET, f"pages/c/{number:05}", b"x")
    store = open_store(f"s3://{BUCKET}/pages")
    assert [stored.path for stored in await store.list("c")] == [f"c/{number:05}" for number in range(2_100)]
    await store.delete(*[f"c/{number:05}" for number in range(2_100)])
    assert await store.list("c") == []


async def test_a_service_that_minds_missing_objects_still_deletes_the_others(
    memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = obstore.delete_async

    async def strict(bucket: ObjectStore, names: str | list[str]) -> None:
        for name in [names] if isinstance(names, str) else names:
            await obstore.head_async(bucket, name)
            await delete(bucket, name)

    monkeypatch.setattr(obstore, "delete_async", strict)
    await memory.create("a", b"x")
    await memory.create("c", b"x")
    await memory.delete("a", "b", "c")
    assert await memory.list() == []


@pytest.mark.parametrize("sources", [["data/a"], ["data/a", "data/b"]])
async def test_a_rival_that_publishes_and_deletes_in_the_last_moment_is_found(
    memory: Store, monkeypatch: pytest.MonkeyPatch, sources: list[str]
) -> None:
    for path in sources:
        await memory.create(path, b"rows")
    rivals = iter([1])
    copy, read = obstore.copy_async, obstore.get_async

    async def overtake() -> None:
        if next(rivals, None):
            await memory.create("results/x", b"rows" * len(sources))
            await memory.delete(*sources)

    async def late_copy(bucket: ObjectStore, source: str, target: str) -> None:
        await overtake()
        await copy(bucket, source, target)

    async def late_read(bucket: ObjectStore, name: str) -> GetResult:
        await overtake()
        return await read(bucket, name)

    monkeypatch.setattr(obstore, "copy_async", late_copy)
    monkeypatch.setattr(obstore, "get_async", late_read)
    await memory.publish(sources, "results/x")
    assert [stored.path for stored in await memory.list()] == ["results/x"]


async def test_an_error_of_a_ranged_read_is_not_taken_for_the_end(
    memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*args: object, **named: object) -> bytes:
        raise GenericError("connection reset")

    monkeypatch.setattr(obstore, "get_range_async", fail)
    await memory.create("a", b"x")
    with pytest.raises(StoreUnavailable, match="connection reset"):
        await memory.read_range("a", 0, 1)


def test_the_clients_options_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_TIMEOUT", "5s")
    monkeypatch.delenv("GOOGLE_TIMEOUT", raising=False)
    assert str(objects._client_options("s3").get("allow_http")) == "true"
    assert objects._client_options("s3").get("timeout") == "5s"
    assert objects._client_options("gs").get("timeout") == objects._REQUEST_TIMEOUT
    S3Store("bucket", client_options=objects._client_options("s3"))


async def test_a_conflict_that_left_nothing_published_may_be_tried_again(
    memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        await memory.create(name, b"x")

    async def conflict(path: str, data: object) -> None:
        raise ObjectExists("409 Conflict")

    monkeypatch.setattr(memory, "create", conflict)
    with pytest.raises(StoreUnavailable, match="409 Conflict, and then does not"):
        await memory.publish(["a", "b"], "target")
