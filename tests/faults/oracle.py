"""Judges an output by its files alone: nothing of the library reads for it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.files import Files
from tests.faults.items import Expected, fingerprint

KINDS = ("results", "failures")
LEFT_EMPTY = ("_data/", "_checkpoints/")
SHOWN = 5


@dataclass
class Verdict:
    """What is wrong with an output; everything is empty where nothing is.

    Attributes:
        lost: Items without a row, of a run that has completed.
        duplicated: Items with several rows.
        wrong: Anything else, in words.
        rows: Parsed rows of each kind, by index.
    """

    lost: list[int] = field(default_factory=list)
    duplicated: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    rows: dict[str, dict[int, dict[str, Any]]] = field(default_factory=lambda: {kind: {} for kind in KINDS})

    def check(self) -> None:
        """Fail with all that is wrong, each with a few examples."""
        complaints = [
            *(f"{len(self.lost)} items are lost: {self.lost[:SHOWN]}" for _ in self.lost[:1]),
            *(
                f"{len(self.duplicated)} items are there twice: {self.duplicated[:SHOWN]}"
                for _ in self.duplicated[:1]
            ),
            *self.wrong[:SHOWN],
        ]
        assert not complaints, "\n".join(complaints)


def judge(
    expected: Mapping[int, Expected], files: Files, *, complete: bool = True, before: Verdict | None = None
) -> Verdict:
    """Compare an output with what must be in it.

    Args:
        expected: What must come of each item of the run, by its index.
        files: The files of the output, by their names in it.
        complete: Whether all items must have a row; else the manifest must say how many have none.
        before: What was found in the output that the run continues.
    """
    verdict = Verdict()
    seen: Counter[int] = Counter()
    for kind in KINDS:
        for name in files.names(f"{kind}/"):
            for line in files.read(name).splitlines():
                row = json.loads(line)
                seen[row["index"]] += 1
                verdict.rows[kind][row["index"]] = row
                _judge_row(verdict, expected, kind, name, row)
    verdict.duplicated = sorted(index for index, count in seen.items() if count > 1)
    missing = [index for index in expected if index not in seen]
    if complete:
        verdict.lost = missing
    result = json.loads(files.read("manifest.json"))["result"]
    _judge_manifest(verdict, result, len(expected), len(missing))
    _judge_reduced(verdict, result, [verdict, before] if before else [verdict])
    for folder in LEFT_EMPTY:
        verdict.wrong += [f"{name} was left behind" for name in files.names(folder)]
    return verdict


def _judge_row(
    verdict: Verdict, expected: Mapping[int, Expected], kind: str, name: str, row: Mapping[str, Any]
) -> None:
    index = row["index"]
    if index not in expected:
        verdict.wrong.append(f"{name} has item {index}, which is none of the run's")
        return
    wanted, where = expected[index], f"item {index} in {name}"
    if row["key"] != wanted.key:
        verdict.wrong.append(f"{where} has the key {row['key']}, not {wanted.key}")
    if kind != wanted.kind:
        verdict.wrong.append(f"{where}: it belongs into {wanted.kind}: {row}")
    elif kind == "results" and row["output"]["checksum"] != wanted.checksum:
        verdict.wrong.append(f"{where} has another input's checksum")
    elif kind == "failures":
        _judge_failure(verdict, wanted, where, row)


def _judge_failure(verdict: Verdict, wanted: Expected, where: str, row: Mapping[str, Any]) -> None:
    if row["input"] != wanted.input:
        verdict.wrong.append(f"{where} has another input")
    if row["error_type"] not in wanted.reasons or wanted.message not in row["message"]:
        verdict.wrong.append(f"{where} failed for another reason: {row['error_type']}: {row['message']}")


def _judge_manifest(verdict: Verdict, result: Mapping[str, Any], items: int, missing: int) -> None:
    counted = {
        "items": items,
        "succeeded": len(verdict.rows["results"]),
        "failed": len(verdict.rows["failures"]),
        "not_run": missing,
    }
    said = {name: result[name] for name in counted}
    if said != counted:
        verdict.wrong.append(f"the manifest says {said}, the rows say {counted}")


def _judge_reduced(verdict: Verdict, result: Mapping[str, Any], found: Iterable[Verdict]) -> None:
    """The value of the reducer is made of all rows, each once; these were compared with what must be in them."""
    rows = [row for one in found for row in one.rows["results"].values()]
    right = fingerprint(row["output"]["checksum"] for row in rows)
    if result["reduced"] != right:
        verdict.wrong.append(f"the reduced value is {result['reduced']}, the rows give {right}")
