"""The files of an output as a stranger sees them: in a folder, or in a bucket by boto3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit


class Files(Protocol):
    """The files of one output."""

    def names(self, folder: str) -> list[str]:
        """Return the names of all files in a folder (with a slash at its end) and the folders below it."""
        ...

    def read(self, name: str) -> bytes:
        """Return a whole file."""
        ...


class Folder:
    """An output on this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self, folder: str) -> list[str]:
        found = (path for path in (self.folder / folder).rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.folder)) for path in found)

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


class Bucket:
    """An output in a bucket."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self.client = client
        self.bucket = bucket
        self.prefix = prefix.strip("/") + "/"

    def _pages(self, prefix: str) -> Iterator[Any]:
        pages = self.client.get_paginator("list_objects_v2")
        yield from pages.paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)

    def names(self, folder: str) -> list[str]:
        found = (entry["Key"] for page in self._pages(folder) for entry in page.get("Contents", []))
        return sorted(key.removeprefix(self.prefix) for key in found)

    def read(self, name: str) -> bytes:
        body: bytes = self.client.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"].read()
        return body


def at(url: str, s3: Any = None) -> Files:
    """Return the files of the output at a URL.

    Args:
        url: `file://` or `s3://`.
        s3: A client of boto3, for the latter.
    """
    parts = urlsplit(url)
    if parts.scheme == "s3":
        return Bucket(s3, parts.netloc, parts.path)
    return Folder(Path(unquote(parts.path)))
