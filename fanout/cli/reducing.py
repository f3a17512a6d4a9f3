"""The flags that name a run's reducer, and how its value is shown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fanout.cli import sources, targets
from fanout.cli.flags import FlagGroup
from fanout.errors import FanoutError, UsageError

if TYPE_CHECKING:
    from fanout.reduction import Reduction
    from fanout.runs.run import Run

LONGEST = 300
"""Letters of a value that are shown to people; as JSON it is whole."""


@dataclass(frozen=True)
class ReduceFlags(FlagGroup):
    """What makes one value of all that a processor returns."""

    reduce: Annotated[
        str | None,
        typer.Option(
            help="Make one value of all outputs: count, sum, counts, top_k, histogram, or a reducer of your own; "
            "NAME alone is one that some worker knows.",
            metavar="[MODULE:]NAME",
        ),
    ] = None
    reduce_arg: Annotated[
        list[str] | None,
        typer.Option(help="Argument of the reducer, such as k=3; may be repeated.", metavar="NAME=VALUE"),
    ] = None

    def make(self) -> Reduction | None:
        """Return what a run is started with.

        Raises:
            UsageError: There is no such reducer, or its arguments do not fit.
        """
        args = sources.parse_params(self.reduce_arg or (), "--reduce-arg")
        if self.reduce is None:
            if args:
                raise UsageError("--reduce-arg goes with --reduce")
            return None
        from fanout.reducing import as_reduction
        from fanout.reduction import Reduction

        return as_reduction(Reduction(targets.load_reducer(self.reduce), args))


def words(value: Any) -> str:
    """Return a value as people see it."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} letters; whole with --json)"


async def read_reduced(run: Run) -> Any:
    """Return what the reducer of a run has made; None where it has none, has not ended, or cannot be read."""
    from pydantic_core import from_json

    from fanout.storage.layout import REDUCED
    from fanout.storage.stores import open_store

    try:
        return from_json(await open_store(await run.output()).read(REDUCED))
    except FanoutError:
        return None
