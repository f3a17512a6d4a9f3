"""Whether what succeeded in a run was compensated, as its outputs say: there is one compensation of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fanout.errors import ObjectMissing, StoreError
from fanout.storage import codec, once
from fanout.storage.chains import Link
from fanout.storage.layout import COMPENSATED
from fanout.storage.records import Compensated
from fanout.storage.stores import Store


@dataclass(frozen=True)
class Found:
    """A compensation.

    Attributes:
        link: The newest output that it undoes.
        by: The compensation.
    """

    link: Link
    by: Compensated


async def find(links: Sequence[Link]) -> Found | None:
    """Return the newest compensation of outputs that read as one; None where there is none."""
    for link in reversed(links):
        if (by := await of(link.store)) is not None:
            return Found(link, by)
    return None


async def of(store: Store) -> Compensated | None:
    """Return the compensation of an output; None where there is none."""
    try:
        return codec.decode(Compensated, await store.read(COMPENSATED), f"{store.url}/{COMPENSATED}")
    except ObjectMissing:
        return None


async def settle(store: Store, by: Compensated) -> None:
    """Note who compensates an output, or find that it is noted already.

    Raises:
        StoreError: It is another one: every item would be undone twice.
    """
    name = f"{store.url}/{COMPENSATED}"
    stands = codec.decode(Compensated, await once.settle(store, COMPENSATED, codec.encode(by)), name)
    if stands.nonce != by.nonce:
        raise StoreError(f"{store.url} is compensated already, by run {stands.run_id!r} in {stands.output}")
