"""Histories of real runs, also of past versions, replayed by today's workflows: whoever upgrades has runs in flight."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

import fanout
from tests.replay.above import Above

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))
KINDS = {
    "canceled-partition",
    "canceled-run",
    "canceled_alone-run",
    "canceled_compensated-run",
    "compensated-run",
    "compensation-partition",
    "compensation-run",
    "continued-partition",
    "empty-run",
    "enough-group",
    "enough-partition",
    "enough-run",
    "exceeded-group",
    "exceeded-partition",
    "exceeded-run",
    "failed-partition",
    "failed-run",
    "flat-run",
    "found-group",
    "found-partition",
    "found-run",
    "groups-group",
    "groups-partition",
    "groups-run",
    "inside-Above",
    "inside-run",
    "limited-partition",
    "limited-run",
    "ordered-group",
    "ordered-partition",
    "ordered-run",
    "ordered_alone-run",
    "pages-partition",
    "pages-run",
    "refused-run",
    "rerun-partition",
    "rerun-run",
    "uneven-partition",
    "uneven-run",
}


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_recorded_history_replays(path: Path) -> None:
    replayer = Replayer(workflows=[Above], plugins=[fanout.Plugin([])])
    text = path.read_text()
    started = json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]
    await replayer.replay_workflow(WorkflowHistory.from_json(started["workflowId"], text))


def test_there_are_histories_of_every_kind_of_workflow_and_end() -> None:
    found = {path.stem.rpartition("-")[0].partition("-")[2] for path in HISTORIES}
    assert found >= KINDS
    assert max(path.stat().st_size for path in HISTORIES) < 200 * 1024
