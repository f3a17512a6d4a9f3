"""A file of items as it was planned, and what can be wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

from obstore.exceptions import NotSupportedError, PermissionDeniedError, UnauthenticatedError

from fanout.errors import SourceError
from fanout.storage import roots
from fanout.storage.objects import _reason as reason_of


@dataclass(frozen=True)
class SourceFile:
    """A file as it was planned.

    Attributes:
        url: Where it lies.
        size: Its bytes.
        version: Changes when its content does: an entity tag, or the local time of modification with the size.
    """

    url: str
    size: int
    version: str


class Unreachable(SourceError):
    """A file is not for this process to read: permission or credentials are missing here."""


def changed(file: SourceFile) -> SourceError:
    """Return the error for a file that is not the one that was planned."""
    return SourceError(
        f"{roots.display(file.url)} changed since the run was planned; start a new run over the file as it is now"
    )


def folder(url: str) -> SourceError:
    """Return the error for a folder where a file is needed."""
    shown = roots.display(url)
    return SourceError(f"{shown} is a folder; name its files, such as {shown.rstrip('/')}/*.jsonl")


def explain(error: Exception, url: str) -> Exception:
    """Return what to raise: a SourceError for what stays so, else an OSError, which is worth another attempt."""
    shown = roots.display(url)
    if isinstance(error, SourceError):
        return error
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return SourceError(f"no such file: {shown}")
    if isinstance(error, PermissionError | PermissionDeniedError | UnauthenticatedError):
        return Unreachable(f"no permission to read {shown}")
    if isinstance(error, IsADirectoryError):
        return folder(url)
    if isinstance(error, NotSupportedError):
        return SourceError(f"{shown} cannot be read by ranges there")
    # The client's own text may quote whole requests, signatures included.
    return OSError(f"reading {shown} failed: {reason_of(error)}")
