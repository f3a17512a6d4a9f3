"""Rows of results and failures as JSON Lines: what anything can read, and what can be appended without parsing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic_core import to_json

from fanout.models import Failure

NO_MATCH = b"null"
"""The output that says that an item is not what a search looks for."""


def result_rows(
    indexes: Sequence[int], outputs: Sequence[bytes | None], key_of: Callable[[int], str] | None
) -> list[bytes]:
    """Return the rows of the items that have an output, in order.

    Args:
        indexes: The index of each item.
        outputs: The output of each item as JSON; None or empty where there is none to write.
        key_of: Returns the key of the item at a position; None where keys are indexes.
    """
    if key_of is None:
        return [
            b'{"index":%d,"key":"%d","output":%b}\n' % (index, index, output)
            for index, output in zip(indexes, outputs, strict=True)
            if output
        ]
    return [
        b'{"index":%d,"key":%b,"output":%b}\n' % (indexes[position], to_json(key_of(position)), output)
        for position, output in enumerate(outputs)
        if output
    ]


def is_match(row: bytes) -> bool:
    """Tell whether the output in a row of results is not null."""
    return not row.endswith((b'"output":null}', b'"output":null}\n'))


def failure_row(failure: Failure) -> bytes:
    """Return the row of one failure."""
    return to_json(failure, serialize_unknown=True) + b"\n"
