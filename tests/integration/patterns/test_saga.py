"""Sagas: all steps, or none."""

from __future__ import annotations

import pytest
from temporalio.client import WorkflowFailureError

from tests.integration.patterns.jobs import Job
from tests.integration.patterns.stage import Stage, ends_canceled
from tests.integration.patterns.workflows import Order, Saga
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="package")


def undone(stage: Stage) -> list[int]:
    """The numbers of the jobs that were compensated, in the order in which that began."""
    return [-number for number in stage.seen().begun if number < 0]


async def test_where_all_steps_succeed_their_outputs_come_in_order(stage: Stage) -> None:
    assert await stage.run(Saga.run, Order([Job(1, after=2), Job(2), Job(3)]), []) == [2, 4, 6]
    assert undone(stage) == []


async def test_where_one_fails_the_others_are_compensated_in_reverse(stage: Stage) -> None:
    jobs = [Job(1), Job(2), Job(3), Job(4, fails=True, after=3), Job(5, holds=True)]
    error = await stage.fail(Saga.run, Order(jobs, 2), [])
    assert error.type == "SagaFailed"
    assert error.message == "work failed: job 4 fails; compensated: work, work, work"
    assert undone(stage) == [3, 2, 1]


async def test_compensations_that_fail_are_collected_and_keep_no_other_from_running(stage: Stage) -> None:
    jobs = [Job(1), Job(2), Job(3), Job(4, fails=True, after=3)]
    error = await stage.fail(Saga.run, Order(jobs, 1), [2])
    assert undone(stage) == [3, 2, 1]
    assert error.message == (
        "work failed: job 4 fails; compensated: work, work; NOT compensated: work (Broken: job -2 fails)"
    )
    assert error.details == ("work (Broken: job -2 fails)",)


async def test_compensations_run_at_the_same_time_where_that_is_allowed(stage: Stage) -> None:
    jobs = [Job(1), Job(2), Job(3, fails=True, after=2)]
    assert (await stage.fail(Saga.run, Order(jobs, 1, flag=True), [])).type == "SagaFailed"
    assert sorted(undone(stage)) == [1, 2]


async def test_what_may_have_had_an_effect_is_compensated_where_that_is_asked_for(stage: Stage) -> None:
    await stage.fail(Saga.run, Order([Job(1), Job(2, fails=True, after=1)], results=True), [])
    assert undone(stage) == [2, 1]


async def test_a_cancelled_saga_compensates_what_had_succeeded(stage: Stage) -> None:
    handle = await stage.start(Saga.run, Order([Job(1), Job(2), Job(3, holds=True)]), [])
    seen = stage.seen()
    await eventually(lambda: {1, 2} <= set(seen.ended) and 3 in seen.begun)
    await handle.cancel()
    assert await ends_canceled(handle)
    assert undone(stage) == [2, 1]
    assert seen.in_flight == 0


async def test_a_cancelled_saga_that_could_not_be_compensated_fails_loudly(stage: Stage) -> None:
    handle = await stage.start(Saga.run, Order([Job(1), Job(2), Job(3, holds=True)]), [1])
    seen = stage.seen()
    await eventually(lambda: {1, 2} <= set(seen.ended) and 3 in seen.begun)
    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()
    assert "the saga was cancelled; compensated: work; NOT compensated: work" in str(caught.value.cause)
