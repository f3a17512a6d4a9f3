"""Publications: what counts of a partition, so that all who ever publish it write the same parts.

Without it, a workflow that was reset while it was being published would publish other commits under the same names.
"""

from __future__ import annotations

from fanout.errors import StoreError
from fanout.storage import codec, once
from fanout.storage.layout import publication_path
from fanout.storage.records import Publication
from fanout.storage.stores import Store


async def settle(store: Store, wanted: Publication) -> Publication:
    """Decide what counts of a partition, or learn how it was decided.

    Raises:
        StoreError: The store refused every try, or what stands there is another run's.
    """
    path = publication_path(wanted.partition)
    found = codec.decode(
        Publication, await once.settle(store, path, codec.encode(wanted)), f"{store.url}/{path}"
    )
    if found.nonce != wanted.nonce:
        raise StoreError(
            f"{store.url}/{path} belongs to another start of the run: give the run another id or output"
        )
    return found
