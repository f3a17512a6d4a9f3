"""Reducers of the tests; worker processes import them, too."""

from __future__ import annotations

from typing import Any

import fanout


@fanout.reducer(name="tests.items")
class Items:
    """Which items there were: whatever is lost, or counts twice, is seen."""

    def zero(self) -> dict[int, int]:
        return {}

    def add(self, total: dict[int, int], output: int, *, index: int) -> dict[int, int]:
        if output == -1:
            total.clear()
            raise ValueError("minus one is no output")
        return self.merge(total, {index: 1})

    def merge(self, total: dict[int, int], other: dict[int, int]) -> dict[int, int]:
        for index, count in other.items():
            total[index] = total.get(index, 0) + count
        return total

    def finish(self, total: dict[int, int]) -> dict[str, Any]:
        return {
            "once": sorted(i for i, n in total.items() if n == 1),
            "more": [i for i, n in total.items() if n > 1],
        }


def once(items: Any) -> dict[str, Any]:
    """Return what `Items` makes of some items, each once."""
    return {"once": sorted(items), "more": []}
