"""What the annotations of a processor say: how an item is validated, how an output is written, the run's parameters."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, create_model

from fanout.errors import UsageError

if TYPE_CHECKING:
    from fanout.processors import Processor


def read_signature(made: Processor[..., Any]) -> tuple[Any, Any, Any, Any]:
    """Return the item's type, that of the output it undoes (None: it takes none), the output's, and the parameters.

    Raises:
        UsageError: The function cannot be a processor.
    """
    function = made.function
    what = f"processor {made.name!r}"
    if made.list_size is not None and made.list_size < 1:
        raise UsageError(f"{what}: list_size must be at least 1, got {made.list_size}")
    try:
        hints = typing.get_type_hints(_plain(function), include_extras=True)
    except NameError as error:
        raise UsageError(f"{what}: its annotations name something unknown: {error}") from None
    parameters = inspect.signature(function).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    undoes = _check_arguments(made, positional)
    item = hints.get(positional[0].name, Any)
    undone = hints.get(positional[1].name, Any) if undoes else None
    output = hints.get("return", Any)
    if made.list_size is not None:
        item, output = _element(item, what, "its argument"), _element_of_output(output)
        undone = _element(undone, what, "the outputs") if undoes else None
    fields: dict[str, Any] = {
        p.name: (hints.get(p.name, Any), ... if p.default is p.empty else p.default)
        for p in parameters
        if p.kind is p.KEYWORD_ONLY
    }
    model = create_model(
        f"{made.name} parameters", __config__=ConfigDict(arbitrary_types_allowed=False), **fields
    )
    return item, undone, output, model


def _check_arguments(made: Processor[..., Any], positional: list[inspect.Parameter]) -> bool:
    """Tell whether a processor takes the output of an item, after the item itself."""
    takes = ["the item", *(["what its lifespan yields"] if made.lifespan else [])]
    needed = [p for p in positional if p.default is p.empty]
    undoes = made.compensates is not None and len(needed) > len(takes)
    if undoes:
        takes.insert(1, "the output that it undoes")
    if len(positional) < len(takes) or len(needed) > len(takes):
        raise UsageError(
            f"processor {made.name!r} must take {', '.join(takes[:-1])}{' and ' if takes[:-1] else ''}{takes[-1]} "
            f"as its positional argument{'s' if len(takes) > 1 else ''}, "
            f"got ({', '.join(p.name for p in positional)}); parameters of a run come after a `*`"
        )
    return undoes


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that carries the annotations: that of a partial, or of an object that can be called."""
    found = inspect.unwrap(function)
    while isinstance(found, functools.partial):
        found = inspect.unwrap(found.func)
    return found if inspect.isroutine(found) or inspect.isclass(found) else type(found).__call__


def _element(annotation: Any, what: str, which: str) -> Any:
    if annotation is Any:
        return Any
    arguments = typing.get_args(annotation)
    if not arguments:
        if annotation is list:
            return Any
        raise UsageError(
            f"{what} has list_size: annotate {which} as a list, such as list[Image], not {annotation!r}"
        )
    return arguments[0]


def _element_of_output(annotation: Any) -> Any:
    arguments = typing.get_args(annotation)
    if not arguments:
        return Any
    # A list processor may return exceptions in place of outputs: they are no part of the output's type.
    kinds = typing.get_args(arguments[0]) or (arguments[0],)
    if any(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        rest = tuple(k for k in kinds if not (isinstance(k, type) and issubclass(k, BaseException)))
        return typing.Union[rest] if rest else Any  # noqa: UP007 - built from a tuple
    return arguments[0]
