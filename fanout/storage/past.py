"""What became of each partition, and when: from roll-ups where partitions have ended, else from commits."""

from __future__ import annotations

from dataclasses import dataclass

from fanout.models import Totals
from fanout.storage import commits, markers, roll_ups, tiling, timeline, views
from fanout.storage.concurrency import each
from fanout.storage.publishing import sum_up
from fanout.storage.records import Commit, Effort, Slice
from fanout.storage.stores import Store
from fanout.storage.views import View

_READS = 32


@dataclass(frozen=True)
class PastPartition:
    """What a partition has done so far.

    Attributes:
        number: Its number.
        ended: Whether it has ended.
        totals: Of its items with an outcome.
        not_run: Items without one, that never will have one.
        effort: What it took.
        slices: What was done when; empty where nobody knows any more.
    """

    number: int
    ended: bool
    totals: Totals
    not_run: int
    effort: Effort
    slices: list[Slice]


async def read(store: Store) -> list[PastPartition]:
    """Return what became of each partition of an output, by number, without those of a chain.

    Raises:
        StoreError: There is no output, or an object is damaged.
    """
    nonce = (await markers.load_run(store, None)).nonce

    async def one(view: View) -> PastPartition:
        if view.roll_up is None:
            found = commits.of_latest_plan(await commits.load(store, nonce, view.commits))
            return _of_commits(view.partition, found)
        roll_up = await roll_ups.load(store, nonce, view.roll_up)
        effort, slices = roll_up.effort, roll_up.timeline
        if not slices and roll_up.totals.batches:
            # Written by an earlier version: its commits are still there, as a rule.
            found = commits.of_latest_plan(await commits.load_partition(store, nonce, view.partition))
            effort, slices = _effort(found), timeline.of_commits(found)
        return PastPartition(
            number=view.partition,
            ended=True,
            totals=roll_up.totals,
            not_run=tiling.count(tiling.ranges(roll_up.not_run)),
            effort=effort,
            slices=slices,
        )

    return await each(one, await views.look(store), _READS)


def _of_commits(number: int, found: list[Commit]) -> PastPartition:
    return PastPartition(number, False, sum_up(found), 0, _effort(found), timeline.of_commits(found))


def _effort(found: list[Commit]) -> Effort:
    return sum((commit.effort for commit in found), Effort())
