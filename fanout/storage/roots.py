"""URLs of files and buckets, and the roots that a worker may touch."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, unquote, unquote_to_bytes, urlsplit, urlunsplit

from fanout.errors import NotAllowed, UsageError

BUCKETS = ("s3", "gs", "az")
WEB = ("http", "https")
ALLOWED = "a path, file://, s3://, gs://, az://, http:// or https://"

# Not in ALLOWED: an object in memory is seen by one process only: good for tests, and for what is not kept.
MEMORY = "memory"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
# `*` and brackets stay readable in globs; `?` would begin a query, so it is percent-encoded.
_FILE_SAFE = "/*[]~!$&'()+,;=:@"
_WEB_SAFE = _FILE_SAFE + "%"
_PORTS = {"http": 80, "https": 443}
_SECRETS = re.compile(
    # Those of a listing's pages are no secrets.
    r"(?!(?:page|next|continuation)[-_]?token).*(?:token|secret|passw(?:or)?d|signature|credential)"
    r"|.*(?:api|access|auth|private)[-_]?key(?:[-_]?id)?|sig|auth(?:orization)?",
    re.IGNORECASE,
)


def to_url(path_or_url: str | os.PathLike[str]) -> str:
    """Return the URL of a path, or the normalized form of a URL.

    Args:
        path_or_url: A path, relative to the current folder or absolute, or a URL. In `s3://`, `gs://` and `az://`
            everything after the bucket is the object's name as it is, without percent-encoding.

    Raises:
        UsageError: The scheme is unknown, the URL carries credentials, or it names no bucket or host.
    """
    text = os.fspath(path_or_url)
    match = _SCHEME.fullmatch(text)
    if match is None or isinstance(path_or_url, os.PathLike):
        return _file_url(text)
    scheme, rest = match[1].lower(), match[2]
    if scheme == "file":
        return _file_url(_file_path(rest))
    if scheme in WEB:
        return _web_url(f"{scheme}://{rest}")
    if scheme in BUCKETS or scheme == MEMORY:
        return _bucket_url(scheme, rest)
    raise UsageError(f"unknown scheme {scheme!r}: use {ALLOWED}")


def to_path(url: str) -> pathlib.Path:
    """Return the local path of a file URL.

    Raises:
        UsageError: It is the URL of something else.
    """
    normal = to_url(url)
    if not normal.startswith("file://"):
        raise UsageError(f"{display(normal)} is not a local file")
    return pathlib.Path(os.fsdecode(unquote_to_bytes(normal.removeprefix("file://"))))


def display(url: str) -> str:
    """Return a URL as people write it: a path where it is local, and never a query.

    Raises:
        UsageError: The URL carries credentials.
    """
    normal = to_url(url)
    if normal.startswith("file://"):
        path = to_path(normal)
        here = pathlib.Path.cwd()
        return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
    if normal.startswith(("http://", "https://")):
        return normal.split("?", 1)[0]
    return normal


def join(url: str, *names: str) -> str:
    """Return the URL of something below another one.

    Args:
        url: Of a folder or prefix.
        *names: Names below it; each may hold slashes.

    Raises:
        UsageError: A name is empty, absolute, or leads upwards.
    """
    base = to_url(url)
    if base.startswith(("http://", "https://")) and "?" in base:
        raise UsageError(f"nothing can lie below {display(base)}: it has a query")
    encode = base.startswith(("file://", "http://", "https://"))
    for name in names:
        check_name(name)
        step = quote(os.fsencode(name), safe=_FILE_SAFE) if encode else name
        base = f"{base.rstrip('/')}/{step}" if base != "file:///" else f"file:///{step}"
    return base


def check_name(name: str) -> str:
    """Return a relative name with forward slashes, when it leads nowhere else.

    Raises:
        UsageError: It is empty, absolute, holds a control character, or has `.` or `..` as a segment.
    """
    if any(segment in ("", ".", "..") for segment in name.split("/")) or re.search(r"[\x00-\x1f\x7f]", name):
        raise UsageError(
            f"{name!r} is not a name inside a store: no empty segment, '.', '..' or leading slash"
        )
    return name


class Roots:
    """The folders and prefixes that a worker may read and write.

    Local paths are compared after every symbolic link is resolved. Whoever may write inside a root can still
    exchange a file for a link between the check and its use: let only trusted users write there.

    Args:
        roots: Paths or URLs.
    """

    urls: tuple[str, ...]

    def __init__(self, roots: Iterable[str]) -> None:
        self.urls = tuple(dict.fromkeys(canonical(root) for root in roots))

    def check(self, url: str) -> str:
        """Return the canonical form of a path or URL that lies at or below a root.

        Raises:
            NotAllowed: It lies elsewhere.
            UsageError: It is not a URL that fanout knows.
        """
        return self._check(url, levels=1)

    def check_output(self, url: str) -> str:
        """Do the same for the output of a run, which lies two folders below its store: what is to be allowed."""
        return self._check(url, levels=2)

    def _check(self, url: str, levels: int) -> str:
        real = canonical(url)
        if any(_below(real, root) for root in self.urls):
            return real
        shown, target = display(url), display(real)
        links = f" (it leads to {target})" if target != shown else ""
        known = ", ".join(display(root) for root in self.urls) or "none"
        raise NotAllowed(
            f"{shown}{links} is outside the allowed roots ({known}); start the worker with "
            f"`--allow-root {_suggestion(real, levels)}`, or add it to FANOUT_ALLOWED_ROOTS"
        )


def canonical(path_or_url: str | os.PathLike[str]) -> str:
    """Return the one URL of a thing: symbolic links and `..` are resolved in local paths."""
    url = to_url(path_or_url)
    return _file_url(os.path.realpath(to_path(url))) if url.startswith("file://") else url


def _below(url: str, root: str) -> bool:
    return url == root or url.startswith(root if root.endswith("/") else root + "/")


def _suggestion(url: str, levels: int) -> str:
    if url.startswith("file://"):
        path = to_path(url)
        for _ in range(levels):
            path = path.parent
        return str(path)
    scheme, rest = url.split("://", 1)
    return f"{scheme}://{rest.split('/', 1)[0]}"


def _file_url(path: str) -> str:
    if "\0" in path:
        raise UsageError("a path cannot hold a NUL character")
    if not path:
        raise UsageError("a path is empty")
    # Unlike Path.resolve, this leaves symbolic links to `canonical`.
    whole = os.path.abspath(path)  # noqa: PTH100
    # Two leading slashes are kept by POSIX's rules, and would read as a host.
    whole = "/" + whole.lstrip("/")
    return "file://" + quote(os.fsencode(whole), safe=_FILE_SAFE)


def _file_path(rest: str) -> str:
    host, slash, path = rest.partition("/")
    if host not in ("", "localhost") or not slash:
        raise UsageError(f"file://{host}… names a host: a file URL is file:///absolute/path")
    return "/" + os.fsdecode(unquote_to_bytes(path))


def _bucket_url(scheme: str, rest: str) -> str:
    bucket, _, name = rest.partition("/")
    if "@" in bucket:
        raise UsageError(f"a {scheme}:// URL carries credentials: leave them to the worker's environment")
    if not bucket:
        raise UsageError(f"{scheme}:// names no bucket: write {scheme}://bucket/prefix")
    name = name.rstrip("/")
    if name:
        check_name(name)
    return f"{scheme}://{bucket}/{name}" if name else f"{scheme}://{bucket}"


def _web_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError("a web address cannot be read: its host or port is not valid") from None
    if "@" in parts.netloc:
        raise UsageError("a web address carries credentials: leave them to the worker's environment")
    if not parts.hostname:
        raise UsageError(f"{parts.scheme}:// names no host")
    if any(_SECRETS.fullmatch(name) for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise UsageError(
            f"the address at {parts.hostname} carries a signature or token in its query: it would be "
            "stored with the run; leave credentials to the worker's environment, or use s3://, gs:// or az://"
        )
    # A server may decode %2e%2e%2f, and some take a backslash for a slash.
    if any(segment in (".", "..") for segment in re.split(r"[/\\]", unquote(parts.path))):
        raise UsageError(f"the address at {parts.hostname} has '.' or '..' in its path")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    netloc = host if port in (None, _PORTS[parts.scheme]) else f"{host}:{port}"
    path = quote(parts.path, safe=_WEB_SAFE).rstrip("/")
    return urlunsplit((parts.scheme, netloc, path, parts.query, ""))
