"""How large arguments are once they are encoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from temporalio import workflow

from fanout.patterns.limits import limits
from fanout.patterns.refusal import refusal


def encoded_size(index: int, args: Sequence[Any]) -> int:
    """Return the bytes that arguments have as payloads, before a codec has seen them.

    Raises:
        ApplicationError: They cannot be encoded, or are too large: Temporal would retry the workflow task for ever.
    """
    try:
        payloads = workflow.payload_converter().to_payloads(args)
    except Exception as error:
        raise refusal(f"item {index} cannot be encoded: {error}") from error
    size, largest = sum(payload.ByteSize() for payload in payloads), limits().item_bytes
    if size > largest:
        raise refusal(
            f"item {index} has {size:,} bytes encoded, and Temporal takes {largest:,}: "
            "put it into storage, and go over where it is"
        )
    return size
