"""The judge itself: fed with outputs that are wrong, it complains of each."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.faults.files import Folder
from tests.faults.items import Item, expect, fingerprint, make
from tests.faults.oracle import Verdict, judge
from tests.faults.report import Line, table
from tests.faults.scale import SHORT

Rows = dict[str, list[dict[str, Any]]]
ITEMS = make(replace(SHORT, items=100), random.Random(7))
FAILING = next(index for index, item in enumerate(ITEMS) if item["do"] == "fail")
FINE = next(index for index, item in enumerate(ITEMS) if not item["do"])


def right(items: list[Item]) -> Rows:
    """Return the rows that a run over these items must publish."""
    rows: Rows = {"results": [], "failures": []}
    for index, wanted in expect(items).items():
        row: dict[str, Any] = {"index": index, "key": wanted.key}
        if wanted.kind == "results":
            row["output"] = {"checksum": wanted.checksum}
        else:
            row |= {"input": wanted.input, "error_type": wanted.reasons[0], "message": wanted.message}
        rows[wanted.kind].append(row)
    return rows


def publish(folder: Path, rows: Rows, **totals: Any) -> Folder:
    """Write an output."""
    for kind, found in rows.items():
        (folder / kind).mkdir(parents=True)
        (folder / kind / "part-000000-00000.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in found)
        )
    reduced = fingerprint(row["output"]["checksum"] for row in rows["results"] if "output" in row)
    said = {"items": 100, "succeeded": 99, "failed": 1, "not_run": 0, "reduced": reduced, **totals}
    (folder / "manifest.json").write_text(json.dumps({"result": said}))
    return Folder(folder)


def row_of(rows: Rows, index: int) -> dict[str, Any]:
    """Return the row of an item."""
    return next(row for found in rows.values() for row in found if row["index"] == index)


def judged(folder: Path, rows: Rows, **totals: Any) -> Verdict:
    """Publish rows, and judge them."""
    return judge(expect(ITEMS), publish(folder, rows, **totals))


def test_an_output_with_one_right_row_for_each_item_is_right(tmp_path: Path) -> None:
    verdict = judged(tmp_path, right(ITEMS))
    verdict.check()
    assert (len(verdict.rows["results"]), len(verdict.rows["failures"])) == (99, 1)


def test_a_lost_row_is_noticed(tmp_path: Path) -> None:
    rows = right(ITEMS)
    rows["results"].remove(row_of(rows, FINE))
    verdict = judged(tmp_path, rows, succeeded=98, not_run=1)
    assert (verdict.lost, verdict.duplicated, verdict.wrong) == ([FINE], [], [])
    with pytest.raises(AssertionError, match=rf"1 items are lost: \[{FINE}\]"):
        verdict.check()


def test_a_row_that_is_there_twice_is_noticed_within_a_folder_and_across(tmp_path: Path) -> None:
    for number, kind in enumerate(("results", "failures")):
        rows = right(ITEMS)
        rows[kind].append(row_of(rows, FINE))
        verdict = judged(tmp_path / str(number), rows)
        assert (verdict.lost, verdict.duplicated) == ([], [FINE])
        with pytest.raises(AssertionError, match="are there twice"):
            verdict.check()


def test_an_output_that_is_reduced_twice_is_noticed(tmp_path: Path) -> None:
    rows = right(ITEMS)
    once = [row["output"]["checksum"] for row in rows["results"]]
    verdict = judged(tmp_path, rows, reduced=fingerprint([*once, once[0]]))
    assert [complaint[:20] for complaint in verdict.wrong] == ["the reduced value is"]
    with pytest.raises(AssertionError, match="the reduced value is"):
        verdict.check()


def move(rows: Rows) -> None:
    """Put a result among the failures."""
    row = row_of(rows, FINE)
    rows["results"].remove(row)
    rows["failures"].append(row)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda rows: row_of(rows, FINE)["output"].update(checksum="0"), "another input's checksum"),
        (lambda rows: row_of(rows, FINE).update(key="k"), "has the key k"),
        (lambda rows: row_of(rows, FAILING).update(error_type="WorkerDied"), "another reason: WorkerDied"),
        (lambda rows: row_of(rows, FAILING).update(message=""), "another reason: ValueError"),
        (lambda rows: row_of(rows, FAILING).update(input=1), "another input"),
        (
            lambda rows: rows["results"].append({**row_of(rows, FINE), "index": 100}),
            "item 100, which is none",
        ),
        (move, "belongs into results"),
        (lambda rows: rows["results"].remove(row_of(rows, FINE)), "the manifest says"),
    ],
)
def test_a_wrong_row_is_noticed(tmp_path: Path, change: Callable[[Rows], object], complaint: str) -> None:
    rows = right(ITEMS)
    change(rows)
    assert complaint in " ".join(judged(tmp_path, rows).wrong)


def test_what_is_left_behind_is_noticed(tmp_path: Path) -> None:
    files = publish(tmp_path, right(ITEMS))
    (tmp_path / "_data" / "000000").mkdir(parents=True)
    (tmp_path / "_data" / "000000" / "a.results.jsonl").write_text("")
    assert judge(expect(ITEMS), files).wrong == ["_data/000000/a.results.jsonl was left behind"]


def test_an_output_cut_short_is_right_when_its_manifest_counts_what_was_not_run(tmp_path: Path) -> None:
    rows = right(ITEMS)
    rows["results"].remove(row_of(rows, FINE))
    files = publish(tmp_path, rows, succeeded=98, not_run=1)
    judge(expect(ITEMS), files, complete=False).check()


def test_the_report_says_what_failed(tmp_path: Path) -> None:
    lines = table(
        [
            Line("all is well", 2_000, 3, 17, seconds=1.25, undisturbed=1.0, looks="9/2/1", passed=True),
            Line("all is lost"),
        ]
    )
    assert lines[2].split("|")[1:-1] == [
        *(" all is well ", " 2,000 ", "      3 ", "             17 ", "    0 ", "          0 "),
        *("     1.2 ", "         1.0 ", "              9/2/1 ", "        "),
    ]
    assert lines[3].endswith("– |                    | FAILED |")
