"""What the items of a compensation had come to in the run that it undoes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fanout.children.loading import Plan
from fanout.compensation import Undone
from fanout.processors import Processor
from fanout.storage import chains, lookup
from fanout.storage.records import RunRecord
from fanout.storage.stores import open_store


def size(record: RunRecord, processor: Processor[..., Any], plan: Plan) -> int:
    """Return about how many bytes the outputs have that a batch reads beside its items."""
    if processor.undoes is None or record.undone is None:
        return 0
    return record.undone.mean * len(plan.indexes)


async def outputs(
    undone: Undone, indexes: Sequence[int], most: int, check: Callable[[str], str] = str
) -> list[bytes]:
    """Return the outputs that items had, as JSON: of all, or of the first so many that hold the bytes allowed.

    Args:
        undone: What is undone.
        indexes: The items, in order.
        most: Bytes to return at most; but at least one output.
        check: Refuses a URL that must not be read, else returns it.

    Raises:
        StoreError: An item has no result there.
    """
    links = await chains.look(open_store(check(undone.output)), check)
    return await lookup.outputs(links, indexes, most)
