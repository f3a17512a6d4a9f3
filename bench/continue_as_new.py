"""An activity per item in one partition: a chain of executions that continue as new, and lose nothing."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import fanout
from bench.histories import PAYLOAD_LIMIT, executions, largest_payload
from bench.jobs import nap, number
from bench.occupancy import Interval, read
from bench.outputs import outcomes
from bench.report import Figure, Report, Target
from bench.scales import Sizes
from bench.stage import stage
from fanout.wire import PARTITION_WORKFLOW

SECONDS = 0.05

TERMINATED_AT = 51_200
"""Events at which the server ends a workflow."""


async def measure(sizes: Sizes) -> Report:
    """Run one partition with batches of one item."""
    count, window = sizes.chain_items, sizes.chain_window
    async with stage() as here:
        here.forget(await here.run(number, fanout.Range(100), id="warm-up"))
        log = here.folder / "intervals"
        log.mkdir()
        run = await here.run(
            nap,
            fanout.Range(count),
            id="chain",
            batch_size=1,
            max_concurrency=window,
            partition_size=count,
            params={"seconds": SECONDS, "log": str(log)},
        )
        gaps = _gaps(read(log))
        found = await executions(here.client, "chain", at_least=2)
        payload, where = await largest_payload(here.client, found)
        seen = outcomes(run.output, count)
    chain = [one for one in found if one.kind == PARTITION_WORKFLOW]
    return Report(
        title=f"{count:,} items of {1000 * SECONDS:g} ms in one partition, batch_size=1, {window} in flight",
        figures=[
            Figure("fanout, an activity per item", count / run.seconds, "items/s"),
            Figure(
                "longest time in which no item began",
                gaps[0],
                "ms",
                target=Target("≤", 1000 * SECONDS),
                note="at a continue-as-new the window drains",
            ),
            Figure("partitions", run.result.partitions, target=Target("=", 1, must=True)),
            Figure("executions of the partition's chain", len(chain), target=Target("≥", 3)),
            Figure(
                "events of the longest of them",
                max(one.events for one in chain),
                target=Target("≤", TERMINATED_AT - 1, must=True),
            ),
            Figure("bytes of the largest history", max(one.size for one in chain), "bytes"),
            Figure(
                "largest payload in any event",
                payload,
                "bytes",
                target=Target("≤", PAYLOAD_LIMIT),
                note=where,
            ),
            Figure("events per item", sum(one.events for one in chain) / count),
            Figure("lost items", seen.lost, target=Target("=", 0, must=True)),
            Figure("duplicated items", seen.duplicated, target=Target("=", 0, must=True)),
            Figure("failed items", seen.failed, target=Target("=", 0, must=True)),
        ],
        raw={"executions": [vars(one) for one in chain], "cpu_seconds": run.cpu_seconds, "gaps": gaps},
    )


def _gaps(intervals: Iterable[Interval]) -> list[float]:
    """Return the longest times between two beginnings, in milliseconds: some more than there are executions."""
    begins = sorted(begin for begin, _ in intervals)
    return sorted((round((late - early) / 1e6, 1) for early, late in pairwise(begins)), reverse=True)[:20]
