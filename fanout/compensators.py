"""Processors that undo what another one did: the output that they take after the item, and whether they fit."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError

from fanout.errors import UsageError

if TYPE_CHECKING:
    from fanout.processors import Processor


class Undo(NamedTuple):
    """An item, and the output that it had in the run that is undone."""

    item: Any
    output: Any


def unpacking(function: Callable[..., Any], *, lists: bool) -> Callable[..., Any]:
    """Return a function of items and outputs as one of what a window hands over: an `Undo`, or a list of them."""
    if lists:
        return lambda undos, *rest, **params: function(
            [undo.item for undo in undos], [undo.output for undo in undos], *rest, **params
        )
    return lambda undo, *rest, **params: function(undo.item, undo.output, *rest, **params)


def check_types(compensator: Processor[..., Any], processor: Processor[..., Any]) -> None:
    """Check that a compensator takes the items and the outputs of a processor, as far as annotations tell.

    It may well take less of an output than there is: only what cannot fit at all is refused.

    Raises:
        UsageError: It does not.
    """
    pairs = [("item", compensator.items, processor.items)]
    if compensator.undoes is not None:
        pairs.append(("output", compensator.undoes, processor.outputs))
    for noun, takes, gets in pairs:
        wanted, given = (
            _kind(takes, "validation"),
            _kind(gets, "validation" if noun == "item" else "serialization"),
        )
        if wanted and given and wanted != given:
            raise UsageError(
                f"processor {compensator.name!r} compensates {processor.name!r}, whose {noun} is of JSON's type "
                f"{given!r}, but takes {wanted!r}: annotate it by what {processor.name!r} "
                f"{'takes' if noun == 'item' else 'returns'}"
            )


def check_fits(compensator: Processor[..., Any], names: Collection[str]) -> None:
    """Check that a processor may compensate runs of some processors.

    Args:
        compensator: What is to undo.
        names: The processors, one of which made the outputs.

    Raises:
        UsageError: It is made for another one.
    """
    made_for = compensator.compensates
    if made_for is not None and made_for not in names:
        run_of = " and ".join(repr(name) for name in sorted(names))
        raise UsageError(
            f"processor {compensator.name!r} compensates {made_for!r}; the run is one of {run_of}"
        )


def check_ordinary(processor: Processor[..., Any]) -> None:
    """Check that a processor can run the items of an ordinary run.

    Raises:
        UsageError: It takes an output, which only a compensation has.
    """
    if processor.undoes is not None:
        raise UsageError(
            f"processor {processor.name!r} takes the output of {processor.compensates!r}: it runs as a compensation, "
            "by fanout.start(…, compensate=…), run.compensate(…) or `fanout compensate`"
        )


def _kind(adapter: TypeAdapter[Any], mode: Any) -> str | None:
    """Return the type that JSON has for values; None where there may be several, or nobody knows."""
    try:
        schema = adapter.json_schema(mode=mode)
    except PydanticUserError:
        return None
    if "$ref" in schema:
        schema = schema["$defs"][schema["$ref"].rpartition("/")[2]]
    kind = schema.get("type")
    return "number" if kind == "integer" else kind
