from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.errors import UsageError
from fanout.storage import layout

NUMBERS = st.integers(0, 10**10) | st.sampled_from([999_999, 1_000_000, 9_999_999, 10_000_000, 99_999_999])


def test_names_are_those_that_the_protocol_shows() -> None:
    assert layout.batch_key(12, 34) == "000012/00000034"
    assert layout.commit_path("000012/00000034") == "_commits/000012/00000034.json"
    assert layout.part_path("results", 12, 0) == "results/part-000012-00000.jsonl"
    key = layout.batch_key(12, 34, "1a2b3c4d")
    assert key == "000012/00000034-1a2b3c4d"
    assert layout.commit_path(key) == "_commits/000012/00000034-1a2b3c4d.json"
    assert (
        layout.data_path("results", key, "t0", 7) == "_data/000012/00000034-1a2b3c4d.t0.00007.results.jsonl"
    )
    assert layout.checkpoint_path(key, "t0", 7) == "_checkpoints/000012/00000034-1a2b3c4d/t0.00007.json"
    assert layout.checkpoints_folder(key) == "_checkpoints/000012/00000034-1a2b3c4d"
    assert layout.roll_up_path(12) == "_rollups/000012.json"
    assert layout.publication_path(12) == "_publications/000012.json"
    assert layout.commits_folder(12) == "_commits/000012"
    assert layout.data_folder(12) == "_data/000012"
    assert layout.index_path("p0") == "_index/p0"
    assert layout.staged_path("urls", "n0") == "urls/_items/n0"
    assert layout.output_url("s3://bucket/x", "urls", "exec") == "s3://bucket/x/urls/exec"


@given(NUMBERS, NUMBERS)
def test_names_sort_as_their_numbers_do(one: int, other: int) -> None:
    for name in (
        layout.roll_up_path,
        lambda n: layout.part_path("results", n, 7),
        lambda n: layout.part_path("results", 7, n),
        lambda n: layout.commit_path(layout.batch_key(n, 7)),
        lambda n: layout.commit_path(layout.batch_key(7, n)),
        lambda n: layout.commit_path(layout.batch_key(7, n, "1a2b3c4d")),
        lambda n: layout.data_path("results", layout.batch_key(n, 7), "t"),
        lambda n: layout.data_path("results", layout.batch_key(7, 7), "t", n),
        lambda n: layout.checkpoint_path(layout.batch_key(7, 7), "t", n),
    ):
        assert (name(one) < name(other)) == (one < other)


@given(NUMBERS, NUMBERS)
def test_the_partition_can_be_read_from_every_name(partition: int, other: int) -> None:
    key = layout.batch_key(partition, other)
    for path in (
        layout.roll_up_path(partition),
        layout.publication_path(partition),
        layout.part_path("failures", partition, other),
        layout.commit_path(key),
        layout.data_path("failures", key, "t"),
        layout.checkpoint_path(key, "t", 0),
    ):
        assert layout.partition_of(path) == partition


@given(NUMBERS, NUMBERS, st.sampled_from(["", "1a2b3c4d", "ffffffff"]))
def test_who_planned_a_batch_can_be_read_from_its_key(partition: int, sequence: int, planner: str) -> None:
    assert layout.planned(layout.batch_key(partition, sequence, planner)) == (planner, sequence)


def test_a_foreign_name_belongs_to_no_partition() -> None:
    for path in ("manifest.json", "_data/x", "_RUN"):
        with pytest.raises(ValueError, match="no partition"):
            layout.partition_of(path)


@pytest.mark.parametrize("run_id", ["a", "0", "Urls-2026.01_x~a@b+c=d:e", "x" * 200])
def test_good_run_ids_pass(run_id: str) -> None:
    assert layout.check_run_id(run_id) == run_id


@pytest.mark.parametrize("run_id", ["", ".", "..", "-x", "_x", "a/b", "a b", "é", "x" * 201, "a\n", "a%2f"])
def test_bad_run_ids_are_refused_with_what_is_allowed(run_id: str) -> None:
    with pytest.raises(UsageError, match="letters, digits"):
        layout.check_run_id(run_id)


def test_names_cannot_lead_elsewhere() -> None:
    with pytest.raises(UsageError):
        layout.commit_path("../x")
    with pytest.raises(UsageError):
        layout.data_path("results", "000001/00000001", "a/b")
    with pytest.raises(UsageError):
        layout.checkpoint_path("000001/00000001", "../b", 0)
    with pytest.raises(ValueError, match="begin at 0"):
        layout.roll_up_path(-1)
