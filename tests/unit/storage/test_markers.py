from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from fanout.errors import StoreError
from fanout.storage import markers
from fanout.storage.layout import RUN
from fanout.storage.stores import Store
from tests.unit.storage.faulty import FaultyStore
from tests.unit.storage.outputs import record


async def test_an_output_is_claimed_once_and_by_its_own_run_again(store: Store) -> None:
    assert await markers.claim(store, record()) == record()
    later = replace(record(), version="2")
    assert await markers.claim(store, later) == record()
    assert await markers.load_run(store, record().nonce) == record()
    assert await markers.load_run(store, None) == record()


async def test_another_run_is_refused_by_name(store: Store) -> None:
    await markers.claim(store, record())
    for request in (markers.claim(store, record("other")), markers.load_run(store, "other")):
        with pytest.raises(StoreError, match="another start of run 'urls' \\(execution 0198-exec\\)"):
            await request


async def test_of_many_claims_at_once_one_run_wins(memory: Store) -> None:
    found = await asyncio.gather(
        *(markers.claim(memory, record(f"n{number}")) for number in range(20)), return_exceptions=True
    )
    assert sum(not isinstance(one, StoreError) for one in found) == 1


async def test_a_claim_whose_answer_was_lost_succeeds(memory: Store, no_pauses: None) -> None:
    faulty = FaultyStore(memory)

    def lose(operation: str, path: str) -> None:
        if operation == "create":
            raise StoreError("connection reset")

    faulty.after = lose
    assert await markers.claim(faulty, record()) == record()


async def test_a_worker_that_cannot_see_a_local_output_is_told_why(local: Store, memory: Store) -> None:
    with pytest.raises(
        StoreError, match=r"cannot see the run's output.*local folder is not shared between hosts"
    ):
        await markers.load_run(local, "n")
    with pytest.raises(StoreError, match=r"cannot see the run's output.*credentials"):
        await markers.load_run(memory, "n")
    # An output that appears later is seen.
    await markers.claim(local, record())
    assert await markers.load_run(local, record().nonce) == record()


async def test_a_marker_is_read_once_per_process(local: Store, tmp_path: Path) -> None:
    faulty = FaultyStore(local)
    await markers.claim(local, record())
    for _ in range(3):
        await markers.load_run(faulty, record().nonce)
    assert faulty.operations == [("read", RUN)]
    # And the nonce is checked each time.
    with pytest.raises(StoreError):
        await markers.load_run(faulty, "other")


async def test_a_damaged_marker_is_named(memory: Store) -> None:
    await memory.create(RUN, b"")
    with pytest.raises(StoreError, match="_RUN cannot be read"):
        await markers.load_run(memory, None)
    with pytest.raises(StoreError, match="_RUN cannot be read"):
        await markers.claim(memory, record())
