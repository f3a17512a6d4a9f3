from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.versions import is_older


@pytest.mark.parametrize(
    ("version", "than", "older"),
    [
        ("1", "2", True),
        ("2", "1", False),
        ("2", "2", False),
        ("9", "10", True),
        ("1.9", "1.10", True),
        ("1.2", "1.2.1", True),
        ("2", "2.0", False),
        ("2.0", "2", False),
        ("02", "2", False),
    ],
)
def test_numbers_with_dots_are_compared_number_by_number(version: str, than: str, older: bool) -> None:
    assert is_older(version, than) is older


@pytest.mark.parametrize("other", ["", "v1", "1.", ".1", "1..2", "abc123", "2-rc1", "1\n", "٣", "-1"])
def test_what_cannot_be_compared_is_not_older(other: str) -> None:
    assert not is_older(other, "2")
    assert not is_older("1", other)


VERSIONS = st.lists(st.integers(0, 20), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))


@given(VERSIONS, VERSIONS, VERSIONS)
def test_the_order_of_versions_is_one(a: str, b: str, c: str) -> None:
    assert not (is_older(a, b) and is_older(b, a))
    assert not is_older(a, a)
    if is_older(a, b) and is_older(b, c):
        assert is_older(a, c)
