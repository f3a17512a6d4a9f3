"""The account that the attempts of a batch pass on: which of them died, and whether anything got done."""

from __future__ import annotations

from temporalio.testing import ActivityEnvironment

from fanout.children.execution import Waiting
from fanout.children.life import SUSPECT_ANYWAY, Account, Life, heartbeat_pause


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


async def test_batches_that_heartbeat_are_counted_while_they_do() -> None:
    async def run() -> list[int]:
        lives = [Life(Waiting(), str(number)) for number in range(2)]
        before = Life._beating
        seen = []
        async with lives[0].beating(30):
            seen.append(Life._beating - before)
            async with lives[1].beating(30):
                seen.append(Life._beating - before)
        return [*seen, Life._beating - before]

    assert await ActivityEnvironment().run(run) == [1, 2, 0]
