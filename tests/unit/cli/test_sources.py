from __future__ import annotations

from pathlib import Path

import pytest

from fanout.cli import sources
from fanout.errors import UsageError
from fanout.readers import Csv, Items, JsonLines, Range


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("urls.csv", "csv"),
        ("data/URLS.CSV", "csv"),
        ("urls.tsv", "csv"),
        ("s3://bucket/day=*/part-*.csv.gz", "csv"),
        ("items.jsonl", "jsonl"),
        ("items.ndjson", "jsonl"),
        ("https://host/items.jsonl?version=3", "jsonl"),
        ("-", "jsonl"),
        ("1..1000", "range"),
        ("1_000", "range"),
        ("-5..5", "range"),
    ],
)
def test_the_kind_of_a_source_is_guessed_from_its_name(source: str, kind: str) -> None:
    assert sources.guess_kind(source) == kind


@pytest.mark.parametrize("source", ["items.parquet", "items", "http://host/", "1..", "..5"])
def test_a_source_that_says_nothing_of_its_kind_is_refused_with_what_to_say(source: str) -> None:
    with pytest.raises(UsageError, match="--reader"):
        sources.guess_kind(source)


@pytest.mark.parametrize(
    ("text", "bounds"), [("1..3", (1, 4)), ("3", (0, 3)), ("-2..2", (-2, 3)), ("7..7", (7, 8))]
)
def test_a_range_holds_both_of_its_bounds_and_a_number_counts_from_zero(
    text: str, bounds: tuple[int, int]
) -> None:
    assert sources.range_of(text) == bounds


@pytest.mark.parametrize("text", ["5..4", "0", "-3"])
def test_an_empty_range_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no items"):
        sources.range_of(text)


def test_what_is_no_range_is_refused_with_how_to_write_one() -> None:
    with pytest.raises(UsageError, match=r"1\.\.1000"):
        sources.range_of("many")


def test_readers_are_made_with_their_flags() -> None:
    assert isinstance(sources.make_reader("1..10"), Range)
    assert isinstance(sources.make_reader("a.jsonl", key="id"), JsonLines)
    assert isinstance(sources.make_reader("data.txt", kind="jsonl"), JsonLines)
    table = sources.make_reader("a.csv", key="id", columns=["id", "url"], null_values=["NA"], limit=7)
    assert isinstance(table, Csv)
    assert table.key == "id"
    assert table.to_source().limit == 7
    assert table.args()["columns"] == ["id", "url"]
    assert table.args()["null_values"] == ["NA"]


def test_stdin_is_read_as_json_lines() -> None:
    assert isinstance(sources.make_reader("-", key="id"), Items)


@pytest.mark.parametrize(
    ("source", "flags", "says"),
    [
        ("1..3", {"key": "id"}, "--key"),
        ("a.jsonl", {"columns": ["id"]}, "--column"),
        ("-", {"kind": "csv"}, "stdin"),
        ("a.csv", {"kind": "parquet"}, "csv, jsonl, range"),
    ],
)
def test_flags_that_do_not_go_with_a_source_are_refused(
    source: str, flags: dict[str, object], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        sources.make_reader(source, **flags)  # type: ignore[arg-type]


def test_lines_of_stdin_are_parsed_and_blank_ones_skipped() -> None:
    assert list(sources.read_json_lines([b'{"id": 1}\n', b"\n", b"2"])) == [{"id": 1}, 2]


def test_a_line_of_stdin_that_is_not_json_is_named() -> None:
    with pytest.raises(UsageError, match="line 3 of stdin"):
        list(sources.read_json_lines([b"1\n", b"\n", b"{oops\n"]))


def test_the_folder_of_a_local_source_is_what_workers_must_be_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sources.source_folder("urls.csv", "csv") == str(tmp_path)
    assert sources.source_folder("/data/in/urls.csv", "csv") == "/data/in"
    assert sources.source_folder("/data/day=*/part-*.csv", "csv") == "/data"
    assert sources.source_folder("file:///data/urls.csv", "csv") == "/data"
    assert sources.source_folder("s3://bucket/urls.csv", "csv") is None
    assert sources.source_folder("1..3", "range") is None
    assert sources.source_folder("-", "jsonl") is None


def test_params_are_json_where_they_can_be_and_text_elsewhere() -> None:
    given = ["px=512", "ratio=0.5", "deep=true", "sizes=[1, 2]", "name=Ada", "empty=", "sum=a=b"]
    assert sources.parse_params(given) == {
        "px": 512,
        "ratio": 0.5,
        "deep": True,
        "sizes": [1, 2],
        "name": "Ada",
        "empty": "",
        "sum": "a=b",
    }


@pytest.mark.parametrize("given", [["px"], ["=5"], ["px=1", "px=2"]])
def test_params_without_a_name_or_given_twice_are_refused(given: list[str]) -> None:
    with pytest.raises(UsageError, match="--param"):
        sources.parse_params(given)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("500ms", 0.5), ("1.5m", 90), ("2 h", 7200), ("1d", 86_400)],
)
def test_durations_have_units(text: str, seconds: float) -> None:
    assert sources.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5", "5 weeks"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="duration"):
        sources.parse_duration(text)
