"""Rows of results and failures as JSON Lines: what anything can read, and what can be appended without parsing."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic_core import to_json

from fanout.models import Failure


def result_rows(indexes: Sequence[int], outputs: Sequence[bytes], keys: Sequence[str] | None) -> list[bytes]:
    """Return the rows of items that succeeded.

    Args:
        indexes: The index of each item.
        outputs: Its output as JSON.
        keys: Its key; None where keys are indexes.
    """
    if keys is None:
        return [
            b'{"index":%d,"key":"%d","output":%b}\n' % (index, index, output)
            for index, output in zip(indexes, outputs, strict=True)
        ]
    return [
        b'{"index":%d,"key":%b,"output":%b}\n' % (index, to_json(key), output)
        for index, key, output in zip(indexes, keys, outputs, strict=True)
    ]


def failure_row(failure: Failure) -> bytes:
    """Return the row of one failure."""
    return to_json(failure, serialize_unknown=True) + b"\n"
