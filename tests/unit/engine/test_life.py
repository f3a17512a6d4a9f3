"""The account that the attempts of a batch pass on: which of them died, and whether anything got done."""

from __future__ import annotations

import pytest
from temporalio.testing import ActivityEnvironment

from fanout.children import life
from fanout.children.execution import Waiting
from fanout.children.life import SUSPECT_ANYWAY, Account, Life, heartbeat_pause
from tests.waiting import eventually


def test_an_attempt_that_died_and_did_nothing_is_a_death() -> None:
    once = Account().after(0)
    assert (once.deaths, once.suspect) == (1, False)
    twice = once.after(0)
    assert (twice.deaths, twice.suspect) == (2, True)


def test_an_attempt_that_ended_by_itself_is_none() -> None:
    account = Account()
    for _ in range(20):
        account = Account(account.deaths, account.all_deaths, account.began_with, account.settled, clean=True)
        account = account.after(0)
    assert (account.deaths, account.all_deaths, account.suspect) == (0, 0, False)


def test_what_gets_something_done_each_time_is_no_suspect_for_a_while() -> None:
    account, settled = Account(), 0
    for death in range(1, SUSPECT_ANYWAY + 1):
        settled += 10
        account = account.after(settled)
        assert account.deaths == 1
        assert account.suspect == (death == SUSPECT_ANYWAY), "but not for ever"


def test_a_death_after_progress_and_one_without_are_two() -> None:
    account = Account().after(50).after(50)
    assert account.suspect


def test_a_batch_in_quarantine_stays_there_whatever_it_gets_done() -> None:
    """Another batch may kill the worker meanwhile: back in the open, this one would kill two more."""
    account = Account().after(0).after(0)
    assert account.suspect
    assert account.after(10).suspect


def test_a_process_with_many_batches_sends_no_more_heartbeats_than_one_with_a_hundred() -> None:
    assert [heartbeat_pause(batches, 30) for batches in (1, 100, 250, 100_000)] == [1, 1, 2.5, 7.5]
    assert heartbeat_pause(1, 2) == 0.5


async def test_a_batch_waits_by_how_many_heartbeat_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, float]] = []

    def pause(batches: int, heartbeat_timeout: float) -> float:
        asked.append((batches, heartbeat_timeout))
        return 0.001

    async def run() -> None:
        one, other = (Life(Waiting(), key) for key in ("one", "other"))
        async with one.beating(30):
            await eventually(lambda: (1, 30) in asked)
            async with other.beating(20):
                await eventually(lambda: {(2, 30), (2, 20)} <= set(asked))
            asked.clear()
            await eventually(lambda: set(asked) == {(1, 30)})

    monkeypatch.setattr(life, "heartbeat_pause", pause)
    heartbeats: list[object] = []
    environment = ActivityEnvironment()
    environment.on_heartbeat = heartbeats.append
    await environment.run(run)
    # No pause but that one lies between two of them.
    assert len(heartbeats) > 3
