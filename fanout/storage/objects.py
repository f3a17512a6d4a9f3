"""A store in a bucket: S3 and what speaks like it, Google Cloud Storage, Azure; and memory, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    InvalidPathError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, MemoryStore, ObjectStore, S3Store

from fanout.errors import ObjectExists, ObjectMissing, StoreError, StoreUnavailable
from fanout.storage import roots
from fanout.storage.stores import Objects, Store, StoredObject

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

# The client's own default tries for three minutes, longer than most heartbeat timeouts.
_RETRY_TIMEOUT = timedelta(seconds=60)
_REQUEST_TIMEOUT = timedelta(seconds=120)
_LIST_CHUNK = 1000
_READS = 16
_REASON_LENGTH = 300

_BUCKET_MISSING = re.compile(r"NoSuchBucket|ContainerNotFound|bucket does not exist", re.IGNORECASE)
_OUT_OF_RANGE = re.compile(r"\b416\b|Invalid range|InvalidRange")
_SECRET_VARIABLES = re.compile(
    r"(AWS|AZURE|GOOGLE|GCS)_\w*(KEY|SECRET|TOKEN|SAS|PASSWORD|CREDENTIAL)", re.IGNORECASE
)
_PREFIXES = {"s3": "AWS", "gs": "GOOGLE", "az": "AZURE"}
_CLIENT_OPTIONS = (
    "allow_http",
    "allow_invalid_certificates",
    "connect_timeout",
    "proxy_url",
    "proxy_ca_certificate",
    "proxy_excludes",
    "timeout",
)
_ENVIRONMENT = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


class BucketStore(Store):
    """Objects below a prefix of a bucket. Credentials and endpoints come from the environment."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        scheme, _, rest = self.url.partition("://")
        bucket, _, prefix = rest.partition("/")
        self._scheme = scheme
        self._prefix = f"{prefix}/" if prefix else ""
        try:
            self._bucket = _bucket(scheme, bucket)
        except (BaseError, ValueError) as error:
            raise StoreError(
                f"cannot open {self.url}: {_reason(error)}; check "
                f"{_ENVIRONMENT.get(scheme, 'the settings')} in the environment of this process"
            ) from None

    async def create(self, path: str, data: bytes | Sequence[bytes]) -> None:
        """Create an object by one conditional request."""
        name = self._name(path)
        body = data if isinstance(data, bytes) else b"".join(data)
        with self._explained("write", path):
            await obstore.put_async(self._bucket, name, body, mode="create")

    async def read(self, path: str) -> bytes:
        """Return a whole object."""
        name = self._name(path)
        with self._explained("read", path):
            found = await obstore.get_async(self._bucket, name)
            return bytes(await found.bytes_async())

    async def read_range(self, path: str, start: int, end: int) -> bytes:
        """Return the bytes from `start` to below `end`, as far as the object reaches."""
        if start < 0 or end < start:
            raise ValueError(f"{start} to {end} is no range")
        name = self._name(path)
        with self._explained("read", path):
            # An empty range is refused by the client, and must still notice a missing object.
            if start < end:
                try:
                    return bytes(await obstore.get_range_async(self._bucket, name, start=start, end=end))
                except BaseError as error:
                    if not _OUT_OF_RANGE.search(str(error)):
                        raise
            await obstore.head_async(self._bucket, name)
            return b""

    async def list(self, prefix: str = "") -> Objects:
        """Return all objects in a folder and the folders below it, by path."""
        prefix = prefix.strip("/")
        name = self._name(prefix) if prefix else self._prefix.rstrip("/")
        cut = len(self._prefix)
        found: Objects = []
        with self._explained("list", prefix):
            async for chunk in obstore.list(self._bucket, name or None, chunk_size=_LIST_CHUNK):
                found.extend(StoredObject(meta["path"][cut:], meta["size"]) for meta in chunk)
        found.sort(key=lambda stored: stored.path)
        return found

    async def folders(self) -> Sequence[str]:
        """Return the names of the folders directly below the prefix."""
        with self._explained("list", ""):
            found = await obstore.list_with_delimiter_async(self._bucket, self._prefix.rstrip("/") or None)
        cut = len(self._prefix)
        return sorted(name.rstrip("/")[cut:] for name in found["common_prefixes"])

    async def modified(self, path: str) -> float:
        """Return when an object was created."""
        name = self._name(path)
        with self._explained("look at", path):
            return (await obstore.head_async(self._bucket, name))["last_modified"].timestamp()

    async def publish(self, sources: Sequence[str], target: str) -> None:
        """Copy one source within the bucket, or write the concatenation of several."""
        names = [self._name(source) for source in sources]
        if await self._published(sources, target):
            return
        try:
            if len(names) == 1:
                with self._explained("publish", target, sources[0]):
                    await obstore.copy_async(self._bucket, names[0], self._name(target))
            else:
                await self.create(target, await self._read_all(sources))
        except ObjectExists as error:
            # 409 of S3 can mean that nothing stands there after all.
            if not await self._published(sources, target):
                raise StoreUnavailable(f"{error}, and then does not; try again") from error
        except ObjectMissing:
            # A concurrent attempt may have published the target, and deleted the sources too.
            if not await self._published(sources, target):
                raise

    async def delete(self, *paths: str) -> None:
        """Delete objects; those that are missing are passed over."""
        names = [self._name(path) for path in paths]
        if not names:
            return
        try:
            with self._explained("delete", paths[0]):
                await obstore.delete_async(self._bucket, names)
        except ObjectMissing:
            # Some services refuse the whole request for one missing object.
            for path, name in zip(paths, names, strict=True):
                with contextlib.suppress(ObjectMissing), self._explained("delete", path):
                    await obstore.delete_async(self._bucket, name)

    async def exists(self, path: str) -> bool:
        """Say whether an object is there."""
        return await self._size(path) is not None

    async def _size(self, path: str) -> int | None:
        name = self._name(path)
        try:
            with self._explained("look at", path):
                return (await obstore.head_async(self._bucket, name))["size"]
        except ObjectMissing:
            return None

    async def _published(self, sources: Sequence[str], target: str) -> bool:
        found = await self._size(target)
        if found is None:
            return False
        sizes = await asyncio.gather(*(self._size(source) for source in sources))
        expected = sum(size or 0 for size in sizes)
        if None not in sizes and expected != found:
            raise StoreError(
                f"{self.url}/{target} holds {found:,} bytes where {expected:,} were to be published: "
                "something else wrote it; move it away"
            )
        return True

    async def _read_all(self, paths: Sequence[str]) -> Sequence[bytes]:
        gate = asyncio.Semaphore(_READS)

        async def read(path: str) -> bytes:
            async with gate:
                return await self.read(path)

        return await asyncio.gather(*(read(path) for path in paths))

    def _name(self, path: str) -> str:
        return self._prefix + roots.check_name(path)

    @contextlib.contextmanager
    def _explained(self, verb: str, path: str, missing: str | None = None) -> Iterator[None]:
        """Turn the client's errors into ours; theirs are not chained, as they quote whole requests."""
        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            raise self._translated(error, verb, path, missing or path) from None

    def _translated(self, error: Exception, verb: str, path: str, missing: str) -> StoreError:
        where = f"{self.url}/{path}" if path else self.url
        # Of a bucket that is missing, services say "not found" as of an object.
        if _BUCKET_MISSING.search(str(error)):
            return StoreError(f"cannot {verb} {where}: the bucket does not exist; create it first")
        if isinstance(error, FileNotFoundError):
            return ObjectMissing(f"{self.url}/{missing} does not exist")
        if isinstance(error, AlreadyExistsError | PreconditionError):
            return ObjectExists(f"{where} exists already")
        if isinstance(error, PermissionDeniedError | UnauthenticatedError):
            # Credentials expire in long runs, and are renewed: what follows must not be final.
            return StoreUnavailable(
                f"cannot {verb} {where}: access denied ({_reason(error)}); check "
                f"{_ENVIRONMENT.get(self._scheme, 'the credentials')} in the environment of this process"
            )
        final = isinstance(error, InvalidPathError | NotSupportedError | ValueError)
        return (StoreError if final else StoreUnavailable)(f"cannot {verb} {where}: {_reason(error)}")


@functools.lru_cache(maxsize=64)
def _bucket(scheme: str, name: str) -> ObjectStore:
    # One client per bucket, whatever the number of outputs: each has a connection pool of its own.
    if scheme == roots.MEMORY:
        return MemoryStore()
    options = _client_options(scheme)
    retry: RetryConfig = {"max_retries": 8, "retry_timeout": _RETRY_TIMEOUT}
    if scheme == "s3":
        return S3Store(name, client_options=options, retry_config=retry)
    if scheme == "gs":
        return GCSStore(name, client_options=options, retry_config=retry)
    return AzureStore(name, client_options=options, retry_config=retry)


def _client_options(scheme: str) -> ClientConfig:
    # Options given here replace all of those that the client would take from the environment by itself.
    options: dict[str, object] = {"timeout": _REQUEST_TIMEOUT}
    for name in _CLIENT_OPTIONS:
        text = os.environ.get(f"{_PREFIXES[scheme]}_{name}".upper())
        if text:
            options[name] = text
    return cast("ClientConfig", options)


def _reason(error: Exception) -> str:
    """Shorten an error to what helps, without queries, bodies or anything from a secret variable."""
    text = str(error).split("\n\nDebug source", 1)[0]
    head, mark, body = text.partition("<")
    answers = [re.search(rf"<{tag}>(.*?)</{tag}>", body, re.DOTALL) for tag in ("Code", "Message")]
    text = " ".join([head, *(answer[1] for answer in answers if answer)]) if mark else head
    text = re.sub(r"(https?://)[^\s/@]*@", r"\1", re.sub(r"(https?://[^\s?]*)\?\S*", r"\1", text))
    for name, value in os.environ.items():
        if len(value) > 3 and _SECRET_VARIABLES.match(name):
            text = text.replace(value, "***")
    return re.sub(r"\s+", " ", text).strip(" :,.")[:_REASON_LENGTH]
