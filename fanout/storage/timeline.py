"""What was done when, in few slices of time, however many commits there are. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fanout.storage.records import Commit, Slice

MOST_SLICES = 60
"""Of one partition: enough to draw, and small enough to read a thousand of them at once."""


def of_commits(commits: Iterable[Commit]) -> list[Slice]:
    """Return what some commits have done when; those that say no time are left out."""
    return merge(
        [
            Slice(
                begin=round(commit.written - commit.seconds, 3),
                end=round(commit.written, 3),
                succeeded=commit.succeeded,
                failed=commit.failed,
                busy=commit.effort.busy,
                offered=commit.effort.offered,
            )
            for commit in commits
            if commit.written
        ]
    )


def merge(slices: Sequence[Slice], most: int = MOST_SLICES) -> list[Slice]:
    """Return at most so many slices, by time: those together whose ends are close."""
    if len(slices) <= most:
        return sorted(slices, key=_end)
    first, last = min(map(_end, slices)), max(map(_end, slices))
    width = (last - first) / most or 1.0
    kept: dict[int, Slice] = {}
    for one in slices:
        place = min(int((one.end - first) / width), most - 1)
        kept[place] = kept[place] + one if place in kept else one
    return [kept[place] for place in sorted(kept)]


def _end(one: Slice) -> float:
    return one.end
