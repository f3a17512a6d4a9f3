"""Values of reducers as objects: none that is damaged, or of other items than its commit says, is merged."""

from __future__ import annotations

import pytest

from fanout.errors import ObjectMissing, StoreError
from fanout.storage import values
from fanout.storage.records import Commit, DataObject
from fanout.storage.stores import Store
from tests.unit.storage.outputs import NONCE
from tests.unit.storage.real_executor import IndexFold


def commit(number: int, start: int, succeeded: int, reduced: DataObject | None) -> Commit:
    return Commit(NONCE, f"000000/{number:08}-a", "t", start, 10, succeeded=succeeded, reduced=reduced)


async def test_values_are_merged_in_the_order_of_their_items_and_once_however_often(memory: Store) -> None:
    await memory.create("a", b"[1,2]")
    await memory.create("b", b"[11]")
    found = [
        commit(0, 10, 1, DataObject("b", 1, 4)),
        commit(1, 0, 2, DataObject("a", 2, 5)),
        commit(2, 20, 0, None),
    ]
    first = await values.of_partition(memory, 0, found, IndexFold())
    assert first == DataObject("_reduced/000000.json", 3, 10)
    assert await values.of_partition(memory, 0, found, IndexFold()) == first
    assert await memory.read("_reduced/000000.json") == b"[1, 2, 11]"
    assert await values.of_partition(memory, 1, found[2:], IndexFold()) is None


@pytest.mark.parametrize(
    ("succeeded", "reduced", "kind", "reason"),
    [
        (1, None, StoreError, "counts 1 succeeded, and its reduced value holds 0 of them"),
        (3, DataObject("a", 2, 5), StoreError, "counts 3 succeeded, and its reduced value holds 2 of them"),
        (2, DataObject("a", 2, 6), StoreError, "a holds 5 bytes where 6 are committed; it is damaged"),
        (2, DataObject("gone", 2, 5), ObjectMissing, "gone"),
    ],
)
async def test_a_value_that_cannot_be_trusted_is_told(
    memory: Store, succeeded: int, reduced: DataObject | None, kind: type[Exception], reason: str
) -> None:
    await memory.create("a", b"[1,2]")
    with pytest.raises(kind, match=reason):
        await values.of_partition(memory, 0, [commit(0, 0, succeeded, reduced)], IndexFold())
