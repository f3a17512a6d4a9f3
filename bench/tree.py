"""More partitions than one node may have children: groups in between."""

from __future__ import annotations

from collections import Counter

import fanout
from bench.histories import EVENTS_LIMIT, executions
from bench.jobs import number
from bench.outputs import outcomes
from bench.report import Figure, Report, Target
from bench.scales import Sizes
from bench.stage import stage
from fanout.wire import GROUP_WORKFLOW, PARTITION_WORKFLOW

ITEMS_EACH = 10


async def measure(sizes: Sizes) -> Report:
    """Run many tiny partitions."""
    partitions = sizes.partitions
    count = ITEMS_EACH * partitions
    async with stage() as here:
        here.forget(await here.run(number, fanout.Range(100), id="warm-up"))
        run = await here.run(
            number, fanout.Range(count), id="tree", partition_size=ITEMS_EACH, max_children=sizes.max_children
        )
        found = await executions(here.client, "tree", at_least=partitions + 1)
        seen = outcomes(run.output, count)
    kinds = Counter(one.kind for one in found)
    children = Counter(one.parent for one in found if one.parent is not None)
    return Report(
        title=f"{partitions:,} partitions of {ITEMS_EACH} items",
        figures=[
            Figure("whole run", run.seconds, "s"),
            Figure("time per partition", 1000 * run.seconds / partitions, "ms"),
            Figure("partitions", kinds[PARTITION_WORKFLOW], target=Target("=", partitions, must=True)),
            Figure("groups", kinds[GROUP_WORKFLOW], target=Target("≥", 2, must=True)),
            Figure(
                "most children under any node",
                max(children.values()),
                target=Target("≤", sizes.max_children, must=True),
            ),
            Figure(
                "events of the largest history",
                max(one.events for one in found),
                target=Target("≤", EVENTS_LIMIT, must=True),
            ),
            Figure("lost items", seen.lost, target=Target("=", 0, must=True)),
            Figure("duplicated items", seen.duplicated, target=Target("=", 0, must=True)),
            Figure("failed items", seen.failed, target=Target("=", 0, must=True)),
        ],
        raw={"children": dict(children), "kinds": dict(kinds), "cpu_seconds": run.cpu_seconds},
    )
