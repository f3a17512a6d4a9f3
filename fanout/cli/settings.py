"""One flag for every field of `Options`, generated from it: a new option needs nothing here."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

import typer

from fanout.cli.flags import FlagGroup
from fanout.cli.sources import parse_duration
from fanout.errors import UsageError
from fanout.options import Options, check

_PANEL = "Options of the run"
_SECONDS = {"batch_seconds", "retry_initial", "retry_maximum", "timeout", "heartbeat_timeout"}


@dataclass(frozen=True)
class Settings(FlagGroup):
    """The options that were said on the command line.

    Attributes:
        given: Checked values by the names of fields of `Options`.
    """

    given: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def flags(cls) -> list[inspect.Parameter]:
        """Return one parameter for each field of `Options`."""
        texts = descriptions(Options.__doc__ or "")
        hints = typing.get_type_hints(Options)
        return [
            _parameter(name, hints[name], field.default, texts.get(name, ""))
            for name, field in Options.__dataclass_fields__.items()
        ]

    @classmethod
    def pack(cls, values: dict[str, Any], typed: Collection[str] = ()) -> Self:
        """Check what was given.

        Raises:
            UsageError: A value is out of range; the text names the flag.
        """
        given: dict[str, Any] = {}
        for name, value in values.items():
            if value is None or value == []:
                continue
            if name in _SECONDS:
                given[name] = None if value.lower() == "none" else parse_duration(value)
            else:
                given[name] = tuple(value) if isinstance(value, list) else value
        try:
            return cls(check(given))
        except UsageError as error:
            text = re.sub(r"^option (\w+)", lambda match: f"--{match[1].replace('_', '-')}", str(error))
            raise UsageError(text) from None


def descriptions(docstring: str) -> dict[str, str]:
    """Return the text that a docstring's `Attributes:` section has for each attribute, in one line."""
    _, _, section = inspect.cleandoc(docstring).partition("Attributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        start = re.match(r" {4}(\w+): (.*)", line)
        if start:
            name = start[1]
            found[name] = start[2]
        elif name and line.strip():
            found[name] += " " + line.strip()
    return {name: text.replace("`", "") for name, text in found.items()}


def _parameter(name: str, annotation: Any, default: Any, text: str) -> inspect.Parameter:
    kind = _plain_type(annotation)
    metavar = None
    if name in _SECONDS:
        kind, metavar = str, "SECONDS"
    elif kind is str:
        metavar = "TEXT"
    shown = (
        ""
        if default is None or default == ()
        else f" Default: {default:,}."
        if kind is int
        else f" Default: {default}."
    )
    option = typer.Option(
        f"--{name.replace('_', '-')}",
        help=_first_sentences(text) + shown,
        metavar=metavar,
        show_default=False,
        rich_help_panel=_PANEL,
    )
    if kind is tuple:
        return _keyword(name, Annotated[list[str], option], default=[])
    return _keyword(name, Annotated[kind | None, option], default=None)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _plain_type(annotation: Any) -> Any:
    """Return `int` of `Annotated[int, …] | None`, and `tuple` of `tuple[str, …]`."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        annotation = next(part for part in typing.get_args(annotation) if part is not type(None))
    return typing.get_origin(annotation) or annotation


def _first_sentences(text: str, longest: int = 150) -> str:
    """Return as many whole sentences as fit; the docs have the rest."""
    kept = ""
    for sentence in re.split(r"(?<=[.:]) (?=[A-Z0-9])", text):
        if kept and len(kept) + len(sentence) > longest:
            break
        kept += (" " if kept else "") + sentence
    return kept
