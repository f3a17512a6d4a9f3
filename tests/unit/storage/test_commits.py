from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from fanout.errors import ObjectExists, StoreError, StoreUnavailable, UsageError
from fanout.storage import commits, once
from fanout.storage.layout import batch_key, commit_path
from fanout.storage.records import Commit, DataObject, Rest
from fanout.storage.stores import Store
from tests.unit.storage.faulty import Died, FaultyStore, dies_at

KEY = batch_key(12, 34)
COMMIT = Commit("n", KEY, "t0", 0, 10, results=[DataObject("_data/t0", 10, 99)], succeeded=10)


async def test_a_key_is_undecided_until_its_commit_is_created(store: Store) -> None:
    assert await commits.find(store, "n", KEY) is None
    assert await commits.create(store, COMMIT) == (COMMIT, True)
    assert await commits.find(store, "n", KEY) == COMMIT
    assert await commits.find(store, "n", KEY, expected=[(0, 10)]) == COMMIT


async def test_the_second_to_decide_a_key_adopts_the_first(store: Store) -> None:
    await commits.create(store, COMMIT)
    assert await commits.create(store, replace(COMMIT, token="t1")) == (COMMIT, False)
    assert await commits.create(store, COMMIT) == (COMMIT, True)


async def test_of_twenty_that_decide_a_key_at_once_one_wins_and_all_agree(store: Store) -> None:
    outcomes = await asyncio.gather(
        *(commits.create(store, replace(COMMIT, token=f"t{number}")) for number in range(20))
    )
    assert len({commit.token for commit, _ in outcomes}) == 1
    assert sum(won for _, won in outcomes) == 1


async def test_another_runs_commit_under_the_same_key_is_refused(store: Store) -> None:
    await commits.create(store, COMMIT)
    for request in (
        commits.find(store, "other", KEY),
        commits.create(store, replace(COMMIT, nonce="other")),
        commits.load_partition(store, "other", 12),
    ):
        with pytest.raises(StoreError, match="another start of the run"):
            await request


async def test_a_commit_of_another_range_is_refused(memory: Store) -> None:
    await commits.create(memory, COMMIT)
    for request in (
        commits.find(memory, "n", KEY, expected=[(0, 11)]),
        commits.find(memory, "n", KEY, expected=[(1, 10)]),
        commits.create(memory, replace(COMMIT, token="t1", count=9)),
    ):
        with pytest.raises(StoreError, match="one set for ever"):
            await request


async def test_a_commit_that_lies_under_another_key_is_refused(memory: Store) -> None:
    await commits.create(memory, COMMIT)
    await memory.publish([commit_path(KEY)], commit_path(batch_key(12, 35)))
    for request in (commits.find(memory, "n", batch_key(12, 35)), commits.load_partition(memory, "n", 12)):
        with pytest.raises(StoreError, match="says that it is the commit of"):
            await request


@pytest.mark.parametrize("data", [b"", b"{}", b"\0" * 200])
async def test_a_damaged_commit_is_named_and_not_overwritten(memory: Store, data: bytes) -> None:
    await memory.create(commit_path(KEY), data)
    for request in (commits.find(memory, "n", KEY), commits.create(memory, COMMIT)):
        with pytest.raises(StoreError, match=f"{commit_path(KEY)} cannot be read as a Commit"):
            await request


async def test_a_create_whose_answer_was_lost_is_won(memory: Store, no_pauses: None) -> None:
    faulty = FaultyStore(memory)

    def lose(operation: str, path: str) -> None:
        if operation == "create":
            raise TimeoutError

    faulty.after = lose
    assert await commits.create(faulty, COMMIT) == (COMMIT, True)


async def test_a_create_that_says_exists_of_its_own_write_is_won(memory: Store, no_pauses: None) -> None:
    faulty = FaultyStore(memory)

    def exists(operation: str, path: str) -> None:
        if operation == "create":
            raise ObjectExists(path)

    faulty.after = exists
    assert await commits.create(faulty, COMMIT) == (COMMIT, True)


async def test_a_conflict_that_left_nothing_is_tried_again(memory: Store, no_pauses: None) -> None:
    faulty = FaultyStore(memory)
    conflicts = iter([ObjectExists("409"), StoreError("503")])

    def conflict(operation: str, path: str) -> None:
        if operation == "create" and (error := next(conflicts, None)):
            raise error

    faulty.before = conflict
    assert await commits.create(faulty, COMMIT) == (COMMIT, True)
    assert [operation for operation, _ in faulty.operations] == ["create", "read", "create", "read", "create"]


async def test_a_failed_read_back_says_nothing_either(memory: Store, no_pauses: None) -> None:
    faulty = FaultyStore(memory)
    faults = iter([ConnectionError("create"), ConnectionError("read back"), ConnectionError("create again")])

    async def lose(operation: str, path: str) -> None:
        if error := next(faults, None):
            raise error

    faulty.after = lose
    assert await commits.create(faulty, COMMIT) == (COMMIT, True)


async def test_a_rival_that_commits_while_the_answer_is_lost_is_adopted(
    memory: Store, no_pauses: None
) -> None:
    faulty = FaultyStore(memory)
    rival = replace(COMMIT, token="rival")

    async def overtake(operation: str, path: str) -> None:
        if operation == "create":
            await commits.create(memory, rival)
            raise StoreError("connection reset")

    faulty.before = overtake
    assert await commits.create(faulty, COMMIT) == (rival, False)


async def test_a_store_that_refuses_every_try_is_the_error_in_the_end(memory: Store, no_pauses: None) -> None:
    faulty = FaultyStore(memory)

    def refuse(operation: str, path: str) -> None:
        if operation == "create":
            raise StoreError("no space left")

    faulty.before = refuse
    with pytest.raises(StoreError, match="no space left"):
        await commits.create(faulty, COMMIT)
    assert len(faulty.operations) == 2 * (len(once.PAUSES) + 1)


async def test_the_last_try_counts_too(memory: Store, no_pauses: None) -> None:
    faulty = FaultyStore(memory)
    left = iter(once.PAUSES)

    def refuse(operation: str, path: str) -> None:
        if operation == "create" and next(left, None) is not None:
            raise StoreError("busy")

    faulty.before = refuse
    assert await commits.create(faulty, COMMIT) == (COMMIT, True)


async def test_a_conflict_that_never_ends_may_be_tried_again_later(memory: Store, no_pauses: None) -> None:
    faulty = FaultyStore(memory)

    def conflict(operation: str, path: str) -> None:
        if operation == "create":
            raise ObjectExists("409 Conflict")

    faulty.before = conflict
    with pytest.raises(StoreUnavailable, match="409 Conflict, and cannot be read"):
        await commits.create(faulty, COMMIT)


async def test_what_cannot_be_right_is_not_tried_again(memory: Store) -> None:
    faulty = FaultyStore(memory)
    with pytest.raises(UsageError):
        await once.settle(faulty, "../x", b"")
    assert len(faulty.operations) == 1


@pytest.mark.parametrize("side", ["before", "after"])
async def test_who_comes_after_a_death_finds_a_whole_commit_or_none(memory: Store, side: str) -> None:
    faulty = FaultyStore(memory)
    setattr(faulty, side, dies_at(0))
    with pytest.raises(Died):
        await commits.create(faulty, COMMIT)
    successor = replace(COMMIT, token="t1")
    standing, won = await commits.create(memory, successor)
    assert (standing, won) == ((successor, True) if side == "before" else (COMMIT, False))


async def test_the_loser_keeps_what_the_winner_inherited(memory: Store) -> None:
    own = [DataObject(f"_data/{name}", 1, 1) for name in "abc"]
    for data in own:
        await memory.create(data.path, b"x")
    winner = replace(COMMIT, results=[own[0]], failures=[own[2]])
    await commits.discard(memory, own, winner)
    await commits.discard(memory, own, winner)
    assert [stored.path for stored in await memory.list("_data")] == ["_data/a", "_data/c"]


async def test_a_partitions_commits_are_its_own(memory: Store) -> None:
    for partition, sequence in ((12, 34), (12, 2), (13, 0), (120, 0)):
        await commits.create(memory, replace(COMMIT, key=batch_key(partition, sequence)))
    found = await commits.load_partition(memory, "n", 12)
    assert [commit.key for commit in found] == [batch_key(12, 2), KEY]


def test_outcomes_are_what_a_commit_does_not_hand_back() -> None:
    commit = replace(COMMIT, more=[[2, 3], [9, 1]], succeeded=6, results=[DataObject("x", 6, 9)])
    assert commits.outcomes(commit) == [(0, 2), (5, 4)]


def test_items_that_touch_may_be_handed_back_as_one_range() -> None:
    # Sets of several commits that follow each other, and have failed differently often.
    commit = replace(
        COMMIT,
        count=9,
        items=[[0, 2], [2, 5], [8, 2]],
        more=[[1, 4]],
        rests=[Rest([[6, 1, 2], [8, 1, 1]])],
        succeeded=3,
        results=[DataObject("x", 2, 9), DataObject("y", 1, 9)],
    )
    assert commits.outcomes(commit) == [(0, 1), (5, 1), (9, 1)]
    assert commits.remaining(commit) == [(1, 4), (6, 1), (8, 1)]


@pytest.mark.parametrize(
    "changes",
    [
        {"succeeded": 9},
        {"failed": 1},
        {"results": []},
        {"failures": [DataObject("x", 1, 1)]},
        {"results": [DataObject("x", 9, 1)]},
        {"results": [DataObject("x", 10, 1), DataObject("y", 1, 1)]},
        {"more": [[2, 3]]},
        {"more": [[8, 3]]},
        {"more": [[2, 2], [3, 2]]},
        {"more": [[2]]},
    ],
)
def test_a_commit_at_odds_with_itself_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(StoreError):
        commits.outcomes(replace(COMMIT, **changes))  # type: ignore[arg-type]
