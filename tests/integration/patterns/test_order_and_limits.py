"""What patterns return, in which order, and how much they have in flight."""

from __future__ import annotations

import json
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from tests.integration.patterns.jobs import Job
from tests.integration.patterns.stage import Stage
from tests.integration.patterns.workflows import (
    AsCompleted,
    Attempts,
    Chunked,
    Endless,
    Forms,
    Gather,
    GatherChildren,
    Order,
    Pages,
    Several,
    Sliding,
    SlidingChildren,
)
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="package")

FIRST_ENDS_LAST = [Job(0, after=5), *(Job(number) for number in range(1, 10))]


async def has_in_flight(handle: WorkflowHandle[Any, Any], count: int) -> bool:
    return await handle.query(Sliding.in_flight) == count


async def scheduled(handle: WorkflowHandle[Any, Any]) -> list[int]:
    """Return the numbers of the jobs in the order in which the workflow has begun them."""
    return [
        json.loads(event.activity_task_scheduled_event_attributes.input.payloads[0].data)["number"]
        for event in (await handle.fetch_history()).events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]


async def test_gather_returns_outputs_in_order_and_holds_its_limit(stage: Stage) -> None:
    assert await stage.run(Gather.run, Order(FIRST_ENDS_LAST, 3)) == [2 * number for number in range(10)]
    seen = stage.seen()
    assert seen.ended.index(0) > seen.ended.index(5)
    assert seen.most <= 3


async def test_gathering_nothing_is_an_empty_list(stage: Stage) -> None:
    assert await stage.run(Gather.run, Order([])) == []


async def test_gather_runs_child_workflows_in_order_and_holds_its_limit(stage: Stage) -> None:
    assert await stage.run(GatherChildren.run, Order(FIRST_ENDS_LAST, 3)) == [2 * n for n in range(10)]
    assert stage.seen().most <= 3


async def test_chunks_are_in_order_and_none_begins_before_the_one_before_has_ended(stage: Stage) -> None:
    jobs = [Job(0, after=2), *(Job(number) for number in range(1, 7))]
    assert await stage.run(Chunked.run, Order(jobs, 3)) == [[0, 2, 4], [6, 8, 10], [12]]
    seen = stage.seen()
    assert set(seen.begun[:3]) == set(seen.ended[:3]) == {0, 1, 2}
    assert set(seen.begun[3:6]) == set(seen.ended[3:6]) == {3, 4, 5}


async def test_a_sliding_window_goes_on_behind_a_slow_item(stage: Stage) -> None:
    found = await stage.run(Sliding.run, Order(FIRST_ENDS_LAST, 3))
    assert sorted(found) == [[number, 2 * number] for number in range(10)]
    # The fifth begins when three of those before it have been reported.
    assert found.index([0, 0]) >= 3
    assert stage.seen().most <= 3


async def test_an_ordered_window_hands_out_results_in_order(stage: Stage) -> None:
    jobs = [Job(0, after=2), *(Job(number) for number in range(1, 10))]
    assert await stage.run(Sliding.run, Order(jobs, 3, flag=True)) == [[n, 2 * n] for n in range(10)]


async def test_results_that_wait_for_their_turn_do_not_pile_up(stage: Stage) -> None:
    handle = await stage.start(
        Sliding.run, Order([Job(0, holds=True), *map(Job, range(1, 20))], 3, flag=True)
    )
    seen = stage.seen()
    await eventually(lambda: has_in_flight(handle, 1))
    assert sorted(seen.begun) == [0, 1, 2, 3, 4, 5]
    seen.released.set()
    assert await handle.result() == [[n, 2 * n] for n in range(20)]


async def test_a_window_over_child_workflows_holds_its_limit(stage: Stage) -> None:
    found = await stage.run(SlidingChildren.run, Order([Job(number) for number in range(6)], 2))
    assert sorted(found) == [[number, 2 * number] for number in range(6)]
    assert stage.seen().most <= 2


async def test_as_completed_hands_out_results_as_they_come(stage: Stage) -> None:
    jobs = [Job(0, after=3), Job(1), Job(2), Job(3)]
    found = await stage.run(AsCompleted.run, Order(jobs, 2))
    # The third begins when those before it, but for the first one, have been reported.
    assert sorted(found) == [[number, 2 * number] for number in range(4)]
    assert found.index([0, 0]) >= 2


async def test_the_limit_changes_while_a_window_runs(stage: Stage) -> None:
    handle = await stage.start(Sliding.run, Order([Job(number, holds=True) for number in range(12)], 2))
    seen = stage.seen()
    await eventually(lambda: seen.in_flight == 2)
    await handle.signal(Sliding.at_most, 5)
    await eventually(lambda: seen.in_flight == 5)
    await handle.signal(Sliding.at_most, -1)
    seen.released.set()
    await eventually(lambda: has_in_flight(handle, 0))
    assert len(seen.begun) == 5
    await handle.signal(Sliding.at_most, 1)
    assert sorted(await handle.result()) == [[number, 2 * number] for number in range(12)]
    assert seen.most == 5


async def test_items_are_taken_from_their_source_as_they_begin(stage: Stage) -> None:
    handle = await stage.start(Pages.run, Order([]))
    seen = stage.seen()
    await eventually(lambda: seen.in_flight == 2)
    assert await handle.query(Pages.progress) == 2
    seen.released.set()
    assert sorted(await handle.result()) == [2 * number for number in range(9)]
    assert seen.most == 2


async def test_several_calls_together_hold_the_limit_of_the_workflow_and_take_turns(stage: Stage) -> None:
    jobs = [Job(number) for number in range(6)]
    assert await stage.run(Several.run, Order(jobs, 4)) == [[0, 2, 4, 6, 8, 10]] * 3
    seen = stage.seen()
    assert seen.most <= 4
    # The first call has taken all places at first; then each call has its turn.
    begun = await scheduled(stage.started[-1])
    assert begun[:4] == [0, 1, 2, 3]
    assert begun[4:10].count(0) == 2


async def test_activities_and_workflows_are_given_in_every_form(stage: Stage) -> None:
    assert await stage.run(Forms.run, Order([Job(4), Job(5)])) == [
        [0.5, 1.0, 1.5],
        [11, 12, 13],
        [],
        [0.5, 1.0, 1.5],
        [8, 10],
        [8, 10],
        [8, 10],
    ]


async def test_ids_of_children_are_readable_and_no_two_are_the_same(stage: Stage) -> None:
    handle = await stage.start(Forms.run, Order([Job(4), Job(5)]))
    await handle.result()
    ids = [
        event.start_child_workflow_execution_initiated_event_attributes.workflow_id
        for event in (await handle.fetch_history()).events
        if event.HasField("start_child_workflow_execution_initiated_event_attributes")
    ]
    assert ids == [
        f"{handle.id}/{rest}"
        for rest in ("own-4", "own-5", "Child/000000", "Child/000001", "Child-2/000000", "Child-2/000001")
    ]


async def test_a_result_says_how_often_an_item_was_tried_where_temporal_tells(stage: Stage) -> None:
    found = await stage.run(Attempts.run, 3)
    assert [result["attempts"] for result in found] == [None, None, 3]
    assert [result["error_type"] for result in found] == ["", "", "ValueError"]
    assert found[2]["message"] == "attempt 3"
    assert [result["attempts"] for result in await stage.run(Attempts.run, 1)] == [1, 1, 1]


async def test_a_long_loop_continues_as_new_and_loses_nothing(stage: Stage) -> None:
    total, executions = await stage.run(Endless.run, 0, 40, 0, 1)
    assert total == 2 * sum(range(40))
    assert executions >= 3
    assert sorted(stage.seen().begun) == list(range(40))
