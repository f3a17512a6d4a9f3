"""What a benchmark hands back: figures, some of them with a target, and the raw numbers behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal, Self

Sign = Literal["≥", "≤", "="]


@dataclass(frozen=True)
class Target:
    """What a figure should be.

    Attributes:
        sign: How to compare.
        value: With what.
        must: Whether a miss is an error of fanout, such as a lost item, and not only slow.
    """

    sign: Sign
    value: float
    must: bool = False

    def met(self, figure: float) -> bool:
        """Tell whether a figure reaches the target."""
        if self.sign == "≥":
            return figure >= self.value
        return figure <= self.value if self.sign == "≤" else figure == self.value


@dataclass(frozen=True)
class Figure:
    """One line of a benchmark's table.

    Attributes:
        name: What was measured.
        value: The figure: of several samples their median, or whatever the benchmark says.
        unit: Its unit; `x` for a ratio.
        samples: All values behind it.
        target: What it should be.
        note: A few words more.
    """

    name: str
    value: float
    unit: str = ""
    samples: Sequence[float] = ()
    target: Target | None = None
    note: str = ""

    @classmethod
    def median_of(
        cls,
        name: str,
        samples: Sequence[float],
        unit: str = "",
        *,
        target: Target | None = None,
        note: str = "",
    ) -> Self:
        """Return the median of some samples as a figure."""
        return cls(name, median(samples), unit, list(samples), target, note)

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        return None if self.target is None else self.target.met(self.value)


@dataclass(frozen=True)
class Part:
    """What came of one of several things that a benchmark measures in the same way.

    Attributes:
        name: Which.
        figures: Its lines of the table.
        raw: The numbers behind them.
    """

    name: str
    figures: list[Figure]
    raw: dict[str, Any]


@dataclass(frozen=True)
class Report:
    """What one benchmark measured.

    Attributes:
        title: One line for people.
        figures: The table.
        raw: Further numbers, for the JSON only.
    """

    title: str
    figures: list[Figure]
    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def wrong(self) -> list[Figure]:
        """Figures that show an error of fanout."""
        return [f for f in self.figures if f.target is not None and f.target.must and not f.met]
