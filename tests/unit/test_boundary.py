from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from fanout.boundary import LONGEST_WAIT, PATIENCE, failing, planning
from fanout.errors import (
    NotAllowed,
    OutputUnseen,
    SourceError,
    StoreUnavailable,
    UnknownProcessor,
    WorkerUnfit,
)

Boundary = Callable[[Callable[[], Awaitable[None]]], Callable[[], Awaitable[None]]]


def raising(error: BaseException, boundary: Boundary = failing) -> Callable[[], Awaitable[None]]:
    @activity.defn(name="work")
    @boundary
    async def work() -> None:
        raise error

    return work


async def attempt(error: BaseException, number: int, boundary: Boundary = failing) -> None:
    environment = ActivityEnvironment(cast("Client", SimpleNamespace(identity="7@host")))
    environment.info = replace(environment.info, attempt=number, activity_type="work")
    await environment.run(raising(error, boundary))


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


UNFIT = [NotAllowed("it"), UnknownProcessor("it"), OutputUnseen("it")]


@pytest.mark.parametrize("error", UNFIT)
async def test_what_another_worker_may_do_is_tried_again_for_ever_and_names_the_worker(
    error: Exception,
) -> None:
    with pytest.raises(ApplicationError) as raised:
        await attempt(error, 1000)
    assert raised.value.message == "worker 7@host: it"
    assert raised.value.type == type(error).__name__
    assert not raised.value.non_retryable
    assert raised.value.next_retry_delay == timedelta(seconds=LONGEST_WAIT)


async def test_a_worker_that_is_unfit_is_the_subject_of_the_text() -> None:
    with pytest.raises(ApplicationError) as raised:
        await attempt(WorkerUnfit("has version 1"), 1)
    assert raised.value.message == "worker 7@host has version 1"
    assert not raised.value.non_retryable


@pytest.mark.parametrize("error", UNFIT)
async def test_planning_waits_for_another_worker_only_for_a_few_attempts(error: Exception) -> None:
    for number in range(1, PATIENCE + 1):
        with pytest.raises(ApplicationError) as raised:
            await attempt(error, number, planning)
        assert raised.value.message == "worker 7@host: it"
        assert raised.value.non_retryable is (number == PATIENCE)
