from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.common import RetryPolicy

from fanout import options
from fanout.errors import UsageError
from fanout.options import Options, check, from_environment, from_retry_policy, resolve
from fanout.rates import per_second


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_concurency": 3}, "unknown option 'max_concurency'; did you mean 'max_concurrency'?"),
        ({"zzz": 3}, "unknown option 'zzz'; there are batch_concurrency, "),
        ({"max_concurrency": 0}, "option max_concurrency: input should be greater than or equal to 1, got 0"),
        ({"batch_size": "many"}, "option batch_size: input should be a valid integer, unable to parse "),
        ({"timeout": timedelta(0)}, "option timeout: input should be greater than 0, got 0"),
        ({"rate_limit": "200"}, "option rate_limit: say items per second or minute, such as 200/s or "),
        ({"rate_limit": "x/s"}, "option rate_limit: say items per second or minute, such as 200/s or "),
        ({"rate_limit": "5/h"}, "option rate_limit: say items per second or minute, such as 200/s or "),
        ({"rate_limit": 200}, "option rate_limit: say items per second or minute, such as 200/s or "),
        ({"rate_limit": "0/s"}, "option rate_limit: a rate is above 0; to stop a run for a while, pause it"),
        ({"rate_limit": "0.5/min"}, "option rate_limit: a rate is at least 1/min and at most 10000000/s"),
        ({"rate_limit": "10000001/s"}, "option rate_limit: a rate is at least 1/min and at most 10000000/s"),
    ],
)
def test_an_option_that_does_not_fit_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        check(settings)
    assert str(raised.value).startswith(message)


def test_a_timedelta_stands_for_its_seconds() -> None:
    assert check({"timeout": timedelta(minutes=2)}) == {"timeout": 120.0}


def test_what_is_not_said_is_not_settled() -> None:
    assert check({"retries": "5"}) == {"retries": 5}


def test_start_wins_over_the_processor_and_that_over_the_environment() -> None:
    found = resolve(
        {"retries": 1}, {"retries": 2, "timeout": 2}, {"retries": 3, "timeout": 3, "batch_size": 3}
    )
    assert (found.retries, found.timeout, found.batch_size) == (1, 2.0, 3)
    assert found.max_concurrency == Options().max_concurrency


def test_options_are_read_from_the_environment() -> None:
    found = from_environment(
        {"FANOUT_MAX_CONCURRENCY": "7", "FANOUT_NON_RETRYABLE": "A, B", "FANOUT_STORE": "x", "HOME": "y"}
    )
    assert found == {"max_concurrency": 7, "non_retryable": ("A", "B")}


def test_a_retry_policy_of_temporal_says_the_same_of_an_item() -> None:
    policy = RetryPolicy(
        initial_interval=timedelta(seconds=2),
        backoff_coefficient=3,
        maximum_attempts=4,
        non_retryable_error_types=["ValueError"],
    )
    assert from_retry_policy(policy) == {
        "retries": 3,
        "retry_initial": 2.0,
        "retry_coefficient": 3.0,
        "retry_maximum": 200.0,
        "non_retryable": ("ValueError",),
    }


def test_a_retry_policy_without_an_end_is_refused() -> None:
    with pytest.raises(UsageError, match="unlimited attempts"):
        from_retry_policy(RetryPolicy())


@given(
    attempt=st.integers(1, 1001),
    initial=st.floats(0, 86_400),
    coefficient=st.floats(1, 100),
    longest=st.floats(0, 86_400),
)
def test_backoffs_grow_up_to_their_maximum(
    attempt: int, initial: float, coefficient: float, longest: float
) -> None:
    options = Options(retry_initial=initial, retry_coefficient=coefficient, retry_maximum=longest)
    now, later = options.backoff(attempt), options.backoff(attempt + 1)
    assert 0 <= now <= later <= longest


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("200/s", 200.0),
        (" 12000 / min", 200.0),
        ("2.5/s", 2.5),
        ("1/min", 1 / 60),
        ("none", 0.0),
        (None, 0.0),
    ],
)
def test_a_rate_says_items_per_second_or_minute(text: str | None, items: float) -> None:
    assert per_second(text) == pytest.approx(items)
    assert per_second(check({"rate_limit": text})["rate_limit"]) == pytest.approx(items)


def test_a_limit_of_the_processor_is_lifted_by_none() -> None:
    assert resolve({"rate_limit": "none"}, {"rate_limit": "5/s"}).rate_limit is None
    assert resolve({}, {"rate_limit": "5/s"}, {"rate_limit": "6/s"}).rate_limit == "5/s"
    assert from_environment({"FANOUT_RATE_LIMIT": "7/s"}) == {"rate_limit": "7/s"}


def test_an_option_that_came_later_goes_along_only_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(options, "KNOWN_TO_ALL", options.KNOWN_TO_ALL - {"retries"})
    assert "retries" not in options.carried(Options())
    assert options.carried(Options())["timeout"] == Options().timeout
    assert options.carried(Options(retries=9))["retries"] == 9


def test_what_is_carried_arrives_also_from_a_later_release() -> None:
    asked = Options(retries=9, tolerated_failures="2%", non_retryable=("ValueError",))
    assert options.from_carried({**options.carried(asked), "of_tomorrow": 1}) == asked
