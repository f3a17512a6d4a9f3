"""Source files in buckets and on web servers."""

from __future__ import annotations

import functools
import heapq
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote

import obstore
from obstore.exceptions import BaseError
from obstore.store import HTTPStore

from fanout.errors import SourceError
from fanout.storage import objects, roots
from fanout.storage.globs import Glob
from fanout.storage.sourcefile import SourceFile, changed, explain, folder

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

_LIST_CHUNK = 1000


async def find(url: str, after: str | None, limit: int) -> list[SourceFile]:
    """Return the files that a checked URL or glob names; see `Files.list`.

    Raises:
        SourceError: There is no such file, it is a folder, or nothing matches.
    """
    base, key = split(url)
    if base.startswith(roots.WEB) and "?" in url:
        raise SourceError(f"{roots.display(url)} is asked for with a query, which has no ranges to read")
    glob = glob_of(url)
    try:
        if glob is None:
            return [] if after is not None else [await _head(base, key)]
        floor = split(after)[1] if after is not None else None
        found = await _matches(_client(base), glob, floor, limit)
    except (BaseError, OSError) as error:
        raise explain(error, url) from None
    if not found and after is None:
        raise SourceError(f"no file matches {roots.display(url)}")
    return [_file(base, meta) for meta in found]


async def read(file: SourceFile, url: str, start: int, end: int) -> bytes:
    """Return a range of a file.

    Args:
        file: As it was planned.
        url: Where it lies, checked.
        start: First byte.
        end: The byte after the last one.

    Raises:
        SourceError: The file is gone, or another one.
    """
    base, key = split(url)
    try:
        if end <= start:
            # Stores refuse an empty range; whether the file is the same is still worth a request.
            found = await _head(base, key)
            same, data = (found.version, found.size) == (file.version, file.size), b""
        else:
            result = await obstore.get_async(_client(base), key, options={"range": (start, end)})
            same = (_version(result.meta), result.meta["size"]) == (file.version, file.size)
            # An answer of another version is not worth its bytes.
            data = bytes(await result.bytes_async()) if same else b""
    except (BaseError, OSError) as error:
        raise explain(error, file.url) from None
    if not same or len(data) < end - start:
        raise changed(file)
    return data


def split(url: str) -> tuple[str, str]:
    """Split a remote URL into its bucket (for web servers its folder) and the name therein."""
    scheme, rest = url.split("://", 1)
    if scheme in roots.WEB:
        parent, _, name = url.rpartition("/")
        return parent, unquote(name)
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}", key


def glob_of(url: str) -> Glob | None:
    """Return the glob of a remote URL; None where it names one file. Web servers list nothing."""
    return None if url.startswith(roots.WEB) else Glob.parse(split(url)[1])


def _client(base: str) -> ObjectStore:
    scheme, name = base.split("://", 1)
    # The clients of outputs serve sources as well: one connection pool per bucket.
    return _web_client(base) if scheme in roots.WEB else objects._bucket(scheme, name)


@functools.lru_cache(maxsize=64)
def _web_client(folder_url: str) -> ObjectStore:
    return HTTPStore(
        folder_url,
        client_options={"timeout": timedelta(seconds=120), "allow_http": True},
        retry_config={"max_retries": 8, "retry_timeout": timedelta(seconds=60)},
    )


async def _matches(store: ObjectStore, glob: Glob, floor: str | None, limit: int) -> Sequence[ObjectMeta]:
    found: list[ObjectMeta] = []
    last, ordered = "", True
    skip = len(glob.folder) + 1 if glob.folder else 0
    async for chunk in obstore.list(store, glob.folder or None, offset=floor, chunk_size=_LIST_CHUNK):
        for meta in chunk:
            path = meta["path"]
            ordered = ordered and path > last
            last = path
            if glob.matches(path[skip:]) and (floor is None or path > floor):
                found.append(meta)
        # Most stores list by name; where one does not, all has to be seen before the first is known.
        if ordered and len(found) >= limit:
            break
    return heapq.nsmallest(limit, found, key=lambda meta: meta["path"])


async def _head(base: str, key: str) -> SourceFile:
    if not key:
        raise folder(base)
    client = _client(base)
    try:
        meta = await obstore.head_async(client, key)
    except FileNotFoundError:
        if not base.startswith(roots.WEB):
            async for chunk in obstore.list(client, key, chunk_size=1):
                if chunk:
                    raise folder(f"{base}/{key}") from None
        raise
    return _file(base, meta)


def _file(base: str, meta: ObjectMeta) -> SourceFile:
    return SourceFile(roots.to_url(f"{base}/{meta['path']}"), meta["size"], _version(meta))


def _version(meta: ObjectMeta) -> str:
    # Azure lists entity tags without their quotes and answers requests with them.
    tag = (meta["e_tag"] or "").removeprefix("W/").strip('"')
    return tag or meta["last_modified"].isoformat()
