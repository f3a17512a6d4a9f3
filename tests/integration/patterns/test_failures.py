"""What patterns do when items fail, and how they refuse what cannot be done."""

from __future__ import annotations

import pytest

from tests.integration.patterns.jobs import Job
from tests.integration.patterns.misuse import Misuse
from tests.integration.patterns.stage import Stage
from tests.integration.patterns.workflows import (
    Chunked,
    FirstChild,
    FirstCompleted,
    FirstSuccess,
    Gather,
    GatherChildren,
    Order,
    Sliding,
)

pytestmark = pytest.mark.asyncio(loop_scope="package")

# The second one fails once the first is there to be cancelled; behind a limit of two, the others never begin.
ONE_FAILS = [Job(0, holds=True), Job(1, fails=True), Job(2), Job(3)]


@pytest.mark.parametrize("run", [Gather.run, GatherChildren.run, Chunked.run, Sliding.run])
async def test_an_item_that_fails_cancels_the_others_and_waits_for_them(stage: Stage, run: object) -> None:
    error = await stage.fail(
        run, Order([Job(0, holds=True), Job(1, fails=True, after=None), *ONE_FAILS[2:]], 2)
    )
    assert error.type == "Broken"
    assert error.message == "job 1 fails"
    seen = stage.seen()
    assert seen.in_flight == 0
    assert seen.begun.count(0) == len(seen.cancelled)
    assert not {2, 3} & set(seen.begun)


async def test_an_ordered_window_does_not_wait_for_the_turn_of_what_has_failed(stage: Stage) -> None:
    assert (await stage.fail(Sliding.run, Order(ONE_FAILS, 2, flag=True))).message == "job 1 fails"


@pytest.mark.parametrize("run", [Gather.run, GatherChildren.run, Chunked.run, Sliding.run])
async def test_errors_are_results_where_that_is_asked_for(stage: Stage, run: object) -> None:
    found = await stage.run(run, Order([Job(0), Job(1, fails=True), Job(2)], 3, results=True))
    if run is Chunked.run:
        (found,) = found
    found.sort(key=lambda result: result["index"])
    assert [result["output"] for result in found] == [0, None, 4]
    assert [result["error_type"] for result in found] == ["", "Broken", ""]
    assert found[1]["item"]["number"] == 1
    assert found[1]["message"] == "job 1 fails"


async def test_the_first_to_complete_is_returned_and_the_others_have_ended(stage: Stage) -> None:
    assert await stage.run(FirstCompleted.run, Order([Job(1, holds=True), Job(2), Job(3, holds=True)])) == 4
    seen = stage.seen()
    assert seen.in_flight == 0
    assert set(seen.begun) - {2} == set(seen.cancelled)


async def test_the_first_to_complete_may_have_failed(stage: Stage) -> None:
    jobs = [Job(1, holds=True), Job(2, fails=True)]
    assert (await stage.fail(FirstCompleted.run, Order(jobs))).message == "job 2 fails"
    result = await stage.run(FirstCompleted.run, Order(jobs, results=True))
    assert (result["index"], result["error_type"]) == (1, "Broken")


async def test_the_first_success_passes_over_failures(stage: Stage) -> None:
    jobs = [Job(1, fails=True), Job(2, holds=True), Job(3, after=1), Job(4, fails=True)]
    assert await stage.run(FirstSuccess.run, Order(jobs)) == 6
    assert stage.seen().in_flight == 0


async def test_the_first_child_workflow_to_succeed_leaves_none_running(stage: Stage) -> None:
    # That no child is terminated or left open is looked at for every test.
    assert await stage.run(FirstChild.run, Order([Job(1, holds=True), Job(2), Job(3, holds=True)])) == 4
    assert stage.seen().in_flight == 0


async def test_where_none_succeeds_the_error_counts_the_reasons(stage: Stage) -> None:
    jobs = [Job(1, fails=True), Job(2, fails=True)]
    error = await stage.fail(FirstSuccess.run, Order(jobs))
    assert error.type == "NoSuccess"
    assert error.message.startswith("none of 2 items succeeded (2 Broken); the last one: job ")
    result = await stage.run(FirstSuccess.run, Order(jobs, results=True))
    assert result["error_type"] == "Broken"


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("no timeout", "the activity half needs a start_to_close_timeout or a schedule_to_close_timeout"),
        ("no activity", "<built-in function print> is neither an activity"),
        ("class", "Child is a class: give its run method, Child.run"),
        ("option of children", "id: no option of the activity half; there are "),
        ("option of activities", "start_to_close_timeout: no option of the child workflow Child; there are "),
        (
            "options twice",
            "summary: give it to patterns.activity() or patterns.child(), where the call is made",
        ),
        ("no concurrency", "max_concurrency is 0: nothing would ever begin"),
        ("no items", "items are something to go over, such as a list, not int"),
        ("no items of a loop", "items are something to go over, such as a list, not int"),
        ("no chunk", "chunk_size is 0: a chunk has at least one item"),
        ("nothing first", "there are no items to take the first of"),
        ("not entered", "a window is entered first: async with patterns.sliding_window"),
        ("not encodable", "item 1 cannot be encoded: "),
        ("two compensations", "a step has one compensation: compensate or compensate_output"),
        ("always of output", "always=True needs compensate=: "),
        ("too large an item", "item 1 has 1,0"),
        ("broken source", "the source is broken"),
        ("too long", "this workflow has 6"),
        ("too large", "this workflow has "),
        ("in flight", "1 activities or child workflows are in flight and would be lost"),
    ],
)
async def test_what_cannot_be_done_fails_the_workflow_at_once_and_says_why(
    stage: Stage, what: str, said: str
) -> None:
    error = await stage.fail(Misuse.run, what)
    assert error.message.startswith(said)
    assert error.non_retryable
