"""Reading from JSON and writing to JSON what an annotation says."""

from __future__ import annotations

import sys
import typing
from typing import Any

import typing_extensions
from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter

from fanout.errors import UsageError


def adapter(annotation: Any, what: str) -> TypeAdapter[Any]:
    """Return what reads and writes values of an annotation.

    Args:
        annotation: Of the values.
        what: Is annotated so, for the error.

    Raises:
        UsageError: JSON cannot express such values.
    """
    try:
        return TypeAdapter(_readable(annotation))
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"{what} is annotated {annotation!r}, which cannot be read from or written to JSON: {reason}"
        ) from None


def _readable(annotation: Any) -> Any:
    """Return an annotation that pydantic reads: before Python 3.12 it refuses `typing`'s own TypedDict."""
    if sys.version_info >= (3, 12) or not typing.is_typeddict(annotation):
        return annotation
    hints = typing.get_type_hints(annotation, include_extras=True)
    wrap = {True: typing.Required, False: typing.NotRequired}
    fields = {
        name: wrap[name in annotation.__required_keys__][_readable(hint)] for name, hint in hints.items()
    }
    return typing_extensions.TypedDict(annotation.__name__, fields)  # type: ignore[operator]
