"""Failures counted by kind."""

from __future__ import annotations

from typing import Any

import pytest

from fanout.errors import UsageError
from fanout.failurekinds import (
    MAX_KINDS,
    MAX_SAMPLES,
    MAX_TYPES,
    OTHER_MESSAGES,
    OTHER_TYPE,
    FailureKinds,
    group_of,
    is_of_group,
    parse_group,
)
from fanout.models import FailureKind, FailureSample


def row(
    index: int, error_type: str = "ValueError", message: str = "{} is round", **more: Any
) -> dict[str, Any]:
    said = message.replace("{}", str(index))
    return {
        "index": index,
        "key": f"k{index}",
        "source": f"a.csv:{index}",
        "error_type": error_type,
        "message": said,
    } | more


def kinds(*rows: dict[str, Any]) -> list[FailureKind]:
    found = FailureKinds()
    for one in rows:
        found.add(one)
    return found.most_common()


def test_failures_whose_messages_differ_in_a_number_are_of_one_kind_with_its_first_items() -> None:
    found = kinds(row(1, "KeyError"), *(row(n, at=100.0 - n) for n in range(10, 15)))
    samples = [FailureSample(n, f"k{n}", f"a.csv:{n}") for n in range(10, 10 + MAX_SAMPLES)]
    groups = [group_of("ValueError", "7 is round"), group_of("KeyError", "<n> is round")]
    assert groups[0] != groups[1]
    assert found == [
        FailureKind("ValueError", "<n> is round", 5, 86.0, 90.0, samples, groups[0]),
        FailureKind(
            "KeyError", "<n> is round", 1, None, None, [FailureSample(1, "k1", "a.csv:1")], groups[1]
        ),
    ]


def test_a_group_is_named_by_its_short_name_or_by_type_and_message() -> None:
    [kind] = kinds(row(1), row(2))
    for name in (kind.group, "ValueError: <n> is round", "ValueError: 17 is round"):
        assert parse_group(name) == kind.group
    assert is_of_group(row(3), kind.group)
    assert not is_of_group(row(3, "KeyError"), kind.group)
    assert not is_of_group(row(3, message="{} is square"), kind.group)
    long = row(1, "E" * 500)
    assert is_of_group(long, kinds(long)[0].group)
    with pytest.raises(UsageError, match="names no group of failures"):
        parse_group("ValueError")


def test_rows_without_a_time_do_not_count_as_the_first() -> None:
    assert [(kind.first, kind.last) for kind in kinds(row(1), row(2, at=7.0), row(3, at=0.0))] == [(7.0, 7.0)]


def letters(number: int) -> str:
    return "".join(chr(ord("g") + int(digit)) for digit in str(number))


def test_kinds_are_bounded_and_no_failure_is_lost() -> None:
    many = [row(n, f"Error{letters(n % 300)}", letters(n)) for n in range(5000)]
    found = kinds(*many)
    assert sum(kind.count for kind in found) == 5000
    assert len(found) == MAX_KINDS + MAX_TYPES + 1
    assert (
        sum(kind.message == OTHER_MESSAGES and kind.error_type != OTHER_TYPE for kind in found) == MAX_TYPES
    )
    assert all(bool(kind.group) == (kind.message != OTHER_MESSAGES) for kind in found)
    others = {(kind.error_type, kind.message) for kind in found if kind.error_type == OTHER_TYPE}
    assert others == {(OTHER_TYPE, OTHER_MESSAGES)}
