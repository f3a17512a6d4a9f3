"""Small parts of the commands that need no server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fanout.cli import outcome, say
from fanout.cli.connection import Connection
from fanout.cli.inspect import counted, status_of
from fanout.cli.output import _opened, limited
from fanout.cli.run import _check_flags, without
from fanout.cli.sources import check_file
from fanout.cli.worker import local_roots, queues_of, worker_command
from fanout.errors import RunFailed, SourceError, UsageError
from fanout.models import RunResult, Status
from fanout.observability.drawing import one_line
from fanout.processors import processor


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("run m:f a.csv --limit 5 --id a", "run m:f a.csv --id a"),
        ("run m:f a.csv --limit=5 --key k", "run m:f a.csv --key k --id made"),
        ("run m:f a.csv --id=a --continue --local", "run m:f a.csv --id=a --local"),
    ],
)
def test_the_next_command_is_the_one_typed_without_some_flags(words: str, kept: str) -> None:
    assert without(words.split(), ("--limit", "--continue"), "made") == kept.split()


LOCAL = Connection(local=True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((Connection(), "m:f", None, True, None, False), "--continue needs --id"),
        ((LOCAL, "fetch", None, False, None, False), "MODULE:NAME"),
        ((LOCAL, "m:f", None, False, None, True), "--detach"),
        ((Connection(), "m:f", None, False, 2, False), "--processes goes with --local"),
    ],
)
def test_flags_of_run_that_contradict_each_other_are_refused(arguments: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        _check_flags(*arguments)


def test_a_local_file_that_is_not_there_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=r"no file 'a\.csv'"):
        check_file("a.csv", "csv")
    for source, kind in (("*.csv", "csv"), ("s3://b/a.csv", "csv"), ("-", "jsonl"), ("1..3", "range")):
        check_file(source, kind)


@pytest.mark.parametrize("text", ["completed_with_failures", "COMPLETED-with-failures"])
def test_a_status_may_be_written_in_any_case(text: str) -> None:
    assert status_of(text) is Status.COMPLETED_WITH_FAILURES
    assert status_of(None) is None


def test_an_unknown_status_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="SUCCEEDED"):
        status_of("done")


def test_counts_have_a_plural() -> None:
    assert counted(1, "worker") == "1 worker"
    assert counted(2000, "worker") == "2,000 workers"


async def test_rows_end_at_the_limit() -> None:
    async def rows() -> AsyncIterator[list[bytes]]:
        yield [b"1", b"2"]
        yield []
        yield [b"3", b"4"]
        raise AssertionError("read on after the limit")

    assert [some async for some in limited(rows(), 3)] == [[b"1", b"2"], [b"3"]]


def test_a_long_message_is_one_short_line() -> None:
    assert one_line("a\n  b") == "a b"
    assert len(one_line("x" * 1000)) == 200


def test_a_file_of_results_is_whole_or_not_there(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    with pytest.raises(ZeroDivisionError), _opened(str(target)) as out:
        out.write(b"half" * (1 // 0))
    assert list(tmp_path.iterdir()) == []
    with _opened(str(target)) as out:
        out.write(b"whole")
    assert target.read_bytes() == b"whole"
    with pytest.raises(UsageError, match="cannot write"), _opened(str(tmp_path / "no" / "out.jsonl")):
        pass


def test_a_worker_polls_the_queues_that_its_processors_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async def one(item: int) -> int:
        return item

    made = [processor(one, name="cli-a"), processor(one, name="cli-b", task_queue="gpu")]
    monkeypatch.delenv("FANOUT_TASK_QUEUE", raising=False)
    assert queues_of(made, None) == ["fanout", "gpu"]
    assert queues_of(made, "mine") == ["mine"]
    monkeypatch.setenv("FANOUT_TASK_QUEUE", "usual")
    assert queues_of(made, None) == ["gpu", "usual"]


def test_a_supervised_worker_gets_all_that_was_said() -> None:
    line = worker_command(
        ["images"],
        Connection(address="a:1"),
        task_queue="q",
        max_batches=3,
        store="s3://b",
        allow_root=["/x"],
    )
    said = " ".join(line)
    assert "worker images --processes 1 --supervised" in said
    assert "--task-queue q --max-batches 3 --store s3://b --allow-root /x --address a:1" in said


def test_given_roots_come_beside_the_working_folder() -> None:
    assert local_roots(None) is None
    assert local_roots(["/x"]) == ["/x", "."]


FAILED = RunResult(
    "urls",
    Status.FAILED,
    items=10,
    succeeded=4,
    failed=2,
    not_run=4,
    error_types={"KeyError": 1, "ValueError": 1},
    seconds=90.0,
    output="file:///out",
)


async def test_a_bad_end_is_told_with_its_numbers_its_reason_and_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def ending() -> RunResult:
        raise RunFailed("run 'urls' failed: disk full", status=Status.FAILED, result=FAILED)

    assert await outcome.settle(ending(), as_json=True, flags=" --local") == 1
    out, err = capsys.readouterr()
    assert '"not_run": 4' in out
    assert "2 (1 KeyError, 1 ValueError)" in err
    assert "error: run 'urls' failed: disk full" in err
    assert "fanout failures urls --local" in err
    assert "0:01:30" in err


async def test_a_bad_end_without_a_result_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    async def ending() -> RunResult:
        raise RunFailed("gone", status=Status.TERMINATED)

    assert await outcome.settle(ending(), as_json=True) == 5
    assert capsys.readouterr().out == '{"status": "TERMINATED", "message": "gone"}\n'


def test_tables_in_a_pipe_have_no_colours_no_wrapping_and_no_trailing_spaces(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say.table(["A", "B"], [["x" * 300, 1], ["y", 2]], right=["B"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("x" * 300)
    assert all(line == line.rstrip() for line in lines)
    assert "\x1b" not in "".join(lines)
