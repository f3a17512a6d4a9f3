"""How a run names the reducer that sums up what its processor returns."""

from __future__ import annotations

from dataclasses import dataclass, field

from fanout.pages import Json


@dataclass(frozen=True)
class Reduction:
    """A registered reducer, with what it is made of.

    Attributes:
        reducer: Registered name. Never an import path.
        args: The fields of its class, as JSON.
    """

    reducer: str
    args: dict[str, Json] = field(default_factory=dict)
