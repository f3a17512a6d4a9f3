"""What counts as the death of an attempt, by what the server keeps of its heartbeats."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import fanout
from fanout.children.batch import BatchActivity
from fanout.children.life import Account
from tests.integration.engine import Engine


@fanout.processor(name="plain")
async def plain(number: int) -> int:
    return number


async def test_attempts_that_fail_in_order_are_no_deaths(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store or a network that fails for a while makes nobody a suspect."""
    accounts: list[Account] = []
    run_as_usual = BatchActivity._run_items

    async def fail_thrice(self: BatchActivity, job: Any, left: Any) -> Any:
        accounts.append(job.life.account)
        if len(accounts) <= 3:
            raise OSError("the network is away")
        return await run_as_usual(self, job, left)

    monkeypatch.setattr(BatchActivity, "_run_items", fail_thrice)

    async with engine.worker(plain) as client:
        ended = await engine.run(client, plain, fanout.Range(3))
    assert len(ended.results) == 3
    assert [account.deaths for account in accounts] == [0, 0, 0, 0]


async def test_attempts_that_fall_silent_are_deaths(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts: list[Account] = []
    run_as_usual = BatchActivity._run_items

    async def hang_twice(self: BatchActivity, job: Any, left: Any) -> Any:
        accounts.append(job.life.account)
        if len(accounts) <= 2:
            await asyncio.sleep(3)  # without a heartbeat
            raise OSError("the server has given it away since")
        return await run_as_usual(self, job, left)

    monkeypatch.setattr(BatchActivity, "_run_items", hang_twice)

    async with engine.worker(plain) as client:
        run = await engine.start(client, plain, fanout.Range(3), heartbeat_timeout=1)
        assert (await asyncio.wait_for(run.result(), 30)).succeeded == 3
    assert [account.deaths for account in accounts] == [0, 1, 2]
