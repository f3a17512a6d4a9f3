"""The readers that a worker knows, by kind: workflow inputs name these, never import paths."""

from __future__ import annotations

from typing import TypeVar

from fanout.errors import UnknownReader, UsageError
from fanout.pages import Source
from fanout.readers.base import Reader

R = TypeVar("R", bound=type[Reader])

_kinds: dict[str, type[Reader]] = {}


def register(reader: R) -> R:
    """Make a reader's kind known to this process; may decorate the class.

    Client and workers must both import the module that does so.

    Raises:
        UsageError: Another class has that kind already, or the class names none.
    """
    kind = getattr(reader, "kind", "")
    if not isinstance(kind, str) or not kind:
        raise UsageError(f'{reader.__name__} needs a name for workers: kind: ClassVar[str] = "…"')
    known = _kinds.get(kind)
    # A module that is imported twice defines its class anew.
    same = known and (known.__module__, known.__qualname__) == (reader.__module__, reader.__qualname__)
    if known is not None and not same:
        raise UsageError(f"a reader of the kind {kind!r} exists: {known.__module__}.{known.__qualname__}")
    _kinds[kind] = reader
    return reader


def kinds() -> list[str]:
    """Return the kinds of readers that are known here."""
    return sorted(_kinds)


def from_source(source: Source) -> Reader:
    """Return the reader that a source names.

    Raises:
        UnknownReader: No reader of that kind is registered in this process.
    """
    known = _kinds.get(source.kind)
    if known is None:
        raise UnknownReader(f"no reader of the kind {source.kind!r} here; there are {', '.join(kinds())}")
    reader = known.from_args(source.args)
    reader.key = source.key
    reader._skip = source.skip
    reader._limit = source.limit
    return reader
