"""What was planned is what is run: workflows and activities exactly, events between half and all of the plan."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType

import fanout
from tests.integration.engine import Engine, write_lines

EVENTS_AT_LEAST = 0.5
"""Of those planned: completions that come together share a workflow task."""


@fanout.processor
async def same(number: int) -> int:
    return number


@pytest.mark.parametrize(
    ("items", "options"),
    [
        (30, {}),
        (200, {"batch_size": 1}),
        (1_500, {"partition_size": 300, "batch_size": 20}),
        (60, {"partition_size": 5, "max_children": 3, "max_concurrency": 8, "batch_size": 2}),
        (600, {"batch_size": 5, "history_limit": 100}),
    ],
)
async def test_a_run_is_what_its_plan_said(engine: Engine, items: int, options: dict[str, Any]) -> None:
    source = write_lines(engine.folder / "in.jsonl", range(items))
    reader = fanout.JsonLines(source)
    plan = await fanout.plan(same, reader, **options)
    async with engine.worker(same) as client:
        ended = await engine.run(client, same, reader, **options)
    nodes = list((await engine.histories(ended.run)).walk())
    assert ended.result.items == plan.items
    assert len(nodes) == plan.workflows
    scheduled = sum(node.count(EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED) for node in nodes)
    assert scheduled == plan.activities
    events = sum(len(node.events) for node in nodes)
    assert EVENTS_AT_LEAST * plan.events <= events <= plan.events
    longest = max(len(execution) for node in nodes for execution in node.executions)
    assert EVENTS_AT_LEAST * plan.longest_history <= longest <= plan.longest_history
    continued = sum(len(node.executions) - 1 for node in nodes)
    assert EVENTS_AT_LEAST * plan.continued <= continued <= plan.continued
    partitions = sum(level.count for level in plan.levels if level.kind == "partition")
    assert ended.result.partitions == max(1, partitions)
