from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from fanout.boundary import PATIENCE, failing
from fanout.errors import SourceError, StoreUnavailable


def raising(error: BaseException) -> Callable[[], Awaitable[None]]:
    @activity.defn(name="work")
    @failing
    async def work() -> None:
        raise error

    return work


async def attempt(error: BaseException, number: int) -> None:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, attempt=number, activity_type="work")
    await environment.run(raising(error))


async def test_what_a_retry_cannot_mend_is_final_at_once() -> None:
    with pytest.raises(ApplicationError, match=r"^SourceError: no such file: x$") as raised:
        await attempt(SourceError("no such file: x"), 1)
    assert raised.value.non_retryable


@pytest.mark.parametrize("error", [StoreUnavailable("the disk is full"), OSError("reset by peer")])
async def test_what_may_pass_is_tried_again_for_ever(error: Exception) -> None:
    with pytest.raises(type(error)):
        await attempt(error, 1000)


async def test_an_error_that_nobody_foresaw_is_tried_again_only_so_often() -> None:
    with pytest.raises(KeyError):
        await attempt(KeyError("x"), PATIENCE - 1)
    with pytest.raises(
        ApplicationError, match="work fails again and again on the workers: KeyError: 'x'"
    ) as raised:
        await attempt(KeyError("x"), PATIENCE)
    assert raised.value.non_retryable
