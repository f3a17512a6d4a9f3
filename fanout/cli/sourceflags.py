"""The flags that say where items come from and how they are read: the same for a run and for its plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fanout.cli import sources
from fanout.cli.flags import FlagGroup

if TYPE_CHECKING:
    from fanout.readers.base import Reader

ProcessorName = Annotated[
    str,
    typer.Argument(metavar="MODULE:NAME", help="The processor; NAME alone is one that some worker knows."),
]
SourceName = Annotated[
    str,
    typer.Argument(metavar="SOURCE", help="A file, glob or URL; 1..1000 or 1000; - for JSON Lines on stdin."),
]
Params = Annotated[
    list[str] | None,
    typer.Option(help="Parameter of the processor; may be repeated.", metavar="NAME=VALUE"),
]
StopWhen = Annotated[
    str | None,
    typer.Option(
        help="End the run early: 'usd > 200' once a counter is above a value, first-success (or first-success=3) once "
        "so many items have an output that is not null.",
        metavar="CONDITION",
    ),
]


def _flag(text: str, **more: Any) -> Any:
    return typer.Option(help=text, rich_help_panel="Source", **more)


@dataclass(frozen=True)
class SourceFlags(FlagGroup):
    """How a source is read, and how much of it."""

    reader: Annotated[
        Literal["csv", "jsonl", "range"] | None, _flag("How to read it; default: by its name.")
    ] = None
    key: Annotated[str | None, _flag("The field of an item by which people search for it.")] = None
    limit: Annotated[int | None, _flag("Run only the first N items.", min=1)] = None
    column: Annotated[
        list[str] | None, _flag("CSV: read only this column; may be repeated.", metavar="NAME")
    ] = None
    null_value: Annotated[
        list[str] | None, _flag("CSV: a text that stands for no value; may be repeated.", metavar="TEXT")
    ] = None

    def kind(self, source: str) -> str:
        """Return the kind of reader for a source.

        Raises:
            UsageError: Nothing says it.
        """
        return self.reader or sources.guess_kind(source)

    def make(self, source: str) -> Reader:
        """Make the reader for a source.

        Raises:
            UsageError: A flag does not go with the kind of the source.
        """
        return sources.make_reader(
            source,
            kind=self.reader,
            key=self.key,
            columns=self.column or (),
            null_values=self.null_value,
            limit=self.limit,
        )
