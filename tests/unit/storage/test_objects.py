"""What only object stores can do wrong."""

from __future__ import annotations

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError, UnauthenticatedError

from fanout.errors import ObjectExists, StoreError
from fanout.storage import objects
from fanout.storage.stores import Store, open_store
from tests.unit.storage.conftest import BUCKET, SECRET
from tests.unit.storage.faulty import FaultyStore


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

    monkeypatch.setattr(objects.obstore, "get_async", fail)
    with pytest.raises(StoreError) as caught:
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
    from obstore.store import S3Store

    store = objects.BucketStore(f"s3://{BUCKET}/x")
    store._bucket = S3Store(BUCKET, endpoint="http://127.0.0.1:1", retry_config={"max_retries": 0})
    with pytest.raises(StoreError, match="cannot read"):
        await store.read("a")


def test_a_store_without_its_settings_says_which_url_cannot_be_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_ACCOUNT_NAME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StoreError, match="cannot open az://container/x"):
        objects.BucketStore("az://container/x")


async def test_a_conflict_that_leaves_no_object_is_not_taken_for_an_own_one(memory: Store) -> None:
    faulty = FaultyStore(memory)

    def conflict(operation: str, path: str) -> None:
        if operation == "create":
            raise ObjectExists("409 Conflict")

    faulty.before = conflict
    with pytest.raises(ObjectExists):
        await faulty.create_own("a", b"x")


async def test_names_beyond_the_first_page_of_a_listing_are_found(s3_server: str) -> None:
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    # Straight into the server, which runs in this process: a page of S3 holds 1,000 names.
    for number in range(2_100):
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(BUCKET, f"pages/c/{number:05}", b"x")
    store = open_store(f"s3://{BUCKET}/pages")
    assert [stored.path for stored in await store.list("c")] == [f"c/{number:05}" for number in range(2_100)]
    await store.delete(*[f"c/{number:05}" for number in range(2_100)])
    assert await store.list("c") == []
