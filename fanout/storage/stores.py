"""A store: a folder or a bucket's prefix in which objects are created whole, once, and never changed."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from fanout.errors import ObjectExists, StoreUnavailable, UsageError
from fanout.storage import roots


@dataclass(frozen=True, order=True)
class StoredObject:
    """An object in a store: its path below the store's URL, and its size in bytes."""

    path: str
    size: int


Objects = list[StoredObject]
"""What a store lists; inside its classes, `list` is a method."""


class Store(ABC):
    """Objects below one URL. Paths are relative, with forward slashes.

    Every method raises `StoreError` with the object's name, the reason and what to do (`StoreUnavailable` where
    another attempt may be luckier), and `UsageError` for a path that leads out of the store. A store belongs to no
    event loop.

    Args:
        url: Of the folder or prefix.
    """

    url: str

    def __init__(self, url: str) -> None:
        self.url = roots.to_url(url)

    @abstractmethod
    async def create(self, path: str, data: bytes | Sequence[bytes]) -> None:
        """Create an object that is not there yet; on return it is durable. It is never visible in part.

        Raises:
            ObjectExists: Something stands there, or an object store says so of its client's own repeated
                request: read the object back to know, as `once.settle` does.
        """

    async def create_own(self, path: str, data: bytes | Sequence[bytes]) -> None:
        """Create an object whose name nobody else uses, so that one that exists is the caller's own."""
        try:
            await self.create(path, data)
        except ObjectExists as error:
            # 409 of S3 can mean that nothing stands there after all.
            if not await self.exists(path):
                raise StoreUnavailable(f"{error}, and then does not; try again") from error

    @abstractmethod
    async def read(self, path: str) -> bytes:
        """Return a whole object.

        Raises:
            ObjectMissing: There is none.
        """

    @abstractmethod
    async def read_range(self, path: str, start: int, end: int) -> bytes:
        """Return the bytes from `start` to below `end`, as far as the object reaches.

        Raises:
            ObjectMissing: There is none.
        """

    @abstractmethod
    async def list(self, prefix: str = "") -> Objects:
        """Return all objects in a folder and the folders below it, by path.

        Args:
            prefix: A folder, such as `_commits/000012`; empty for the whole store.
        """

    @abstractmethod
    async def folders(self) -> Sequence[str]:
        """Return the names of the folders directly below the store's URL, in order, however much is in them."""

    @abstractmethod
    async def modified(self, path: str) -> float:
        """Return when an object was created, in seconds since the epoch.

        Raises:
            ObjectMissing: There is none.
        """

    @abstractmethod
    async def publish(self, sources: Sequence[str], target: str) -> None:
        """Make `target` hold the concatenation of the sources.

        Atomic and idempotent: the same sources may be published to the same target again, after a crash in
        the middle as well, and also once they have been deleted.

        Raises:
            ObjectMissing: A source is gone, and there is no target.
            StoreError: The target holds something of another size.
        """

    @abstractmethod
    async def delete(self, *paths: str) -> None:
        """Delete objects; those that are missing are passed over."""

    @abstractmethod
    async def exists(self, path: str) -> bool:
        """Say whether an object is there."""

    async def tidy(self) -> None:  # noqa: B027
        """Remove what processes that were killed have left behind."""

    async def prune(self) -> None:  # noqa: B027
        """Remove what is left of a store whose objects are deleted: empty folders, temporary files."""


def open_store(url: str) -> Store:
    """Return the store at a path or URL; the same one for the same URL.

    Args:
        url: A path, or a `file://`, `s3://`, `gs://` or `az://` URL, checked against the allowed roots.

    Raises:
        UsageError: The URL cannot be written to.
    """
    return _open(roots.to_url(url))


@functools.lru_cache(maxsize=1024)
def _open(url: str) -> Store:
    scheme = url.split("://", 1)[0]
    if scheme == "file":
        from fanout.storage.local import LocalStore

        return LocalStore(url)
    if scheme in roots.WEB:
        raise UsageError(f"{roots.display(url)} cannot hold an output: use a path, s3://, gs:// or az://")
    from fanout.storage.objects import BucketStore

    return BucketStore(url)
