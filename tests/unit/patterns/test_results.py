"""What came of an item: in words, as an error, and as what travels."""

from __future__ import annotations

import pytest
from temporalio.common import RetryPolicy
from temporalio.converter import default
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, RetryState

from fanout import patterns
from fanout.patterns.results import failed, succeeded

THRICE = RetryPolicy(maximum_attempts=3)


def broken(state: RetryState) -> ActivityError:
    error = ActivityError(
        "Activity task failed",
        scheduled_event_id=5,
        started_event_id=6,
        identity="",
        activity_type="fetch",
        activity_id="1",
        retry_state=state,
    )
    error.__cause__ = ApplicationError("no such host", type="OSError")
    return error


def test_a_failure_says_what_is_at_the_bottom_and_unwraps_to_the_whole_error() -> None:
    error = broken(RetryState.MAXIMUM_ATTEMPTS_REACHED)
    result: patterns.ItemResult[str, int] = failed(3, "a", error, THRICE)
    assert (result.index, result.item, result.ok) == (3, "a", False)
    assert (result.error_type, result.message, result.attempts) == ("OSError", "no such host", 3)
    with pytest.raises(ActivityError) as caught:
        result.unwrap()
    assert caught.value is error


def test_attempts_are_told_where_they_are_certain() -> None:
    assert failed(0, "a", broken(RetryState.NON_RETRYABLE_FAILURE), THRICE).attempts is None
    once = RetryPolicy(maximum_attempts=1)
    assert failed(0, "a", broken(RetryState.NON_RETRYABLE_FAILURE), once).attempts == 1
    assert failed(0, "a", broken(RetryState.RETRY_POLICY_NOT_SET), None).attempts == 1
    assert succeeded(0, "a", 1, once).attempts == 1
    assert succeeded(0, "a", 1, None).attempts is None
    assert failed(0, "a", ApplicationError("not begun"), THRICE).attempts is None


def test_an_output_may_be_none() -> None:
    result: patterns.ItemResult[str, None] = succeeded(0, "a", None, None)
    assert result.ok
    assert result.unwrap() is None


def test_a_result_travels_without_its_error_and_can_still_be_raised() -> None:
    converter = default().payload_converter
    result: patterns.ItemResult[str, int] = failed(0, "a", broken(RetryState.TIMEOUT), THRICE)
    payloads = converter.to_payloads([result])
    there: patterns.ItemResult[str, int] = patterns.ItemResult(**converter.from_payloads(payloads)[0])
    assert (there.error_type, there.message) == ("OSError", "no such host")
    with pytest.raises(FailureError, match="no such host"):
        there.unwrap()


async def test_outside_of_a_workflow_a_pattern_says_where_to_go() -> None:
    with pytest.raises(RuntimeError, match=r"is for workflow code; elsewhere, use fanout\.map"):
        await patterns.gather("fetch", [1], result_type=int)


@pytest.mark.parametrize("name", patterns.__all__)
def test_every_exported_name_resolves_and_is_documented(name: str) -> None:
    assert (getattr(patterns, name).__doc__ or "").strip()
    assert sorted(patterns.__all__) == patterns.__all__
