"""JSON to and from the dataclasses that an output holds."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from fanout.errors import StoreError

T = TypeVar("T")

_adapters: dict[type[Any], TypeAdapter[Any]] = {}


def encode(record: object) -> bytes:
    """Return a dataclass as one line of JSON."""
    return adapter_of(type(record)).dump_json(record) + b"\n"


def decode(kind: type[T], data: bytes, name: str) -> T:
    """Return the dataclass that JSON describes; fields of newer versions are passed over.

    Args:
        kind: The dataclass.
        data: JSON.
        name: Of the object, for the error.

    Raises:
        StoreError: The object is corrupt, or not what it should be.
    """
    try:
        record: T = adapter_of(kind).validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise StoreError(
            f"{name} cannot be read as a {kind.__name__}: {where + ': ' if where else ''}{first['msg']}; "
            "it is damaged, or something else wrote it"
        ) from None
    return record


def adapter_of(kind: type[Any]) -> TypeAdapter[Any]:
    """Return what reads and writes a dataclass; made once."""
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]
