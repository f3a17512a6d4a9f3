"""What is said of items in failure records: bounded, readable, and free of our own frames."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, from_json
from temporalio.exceptions import ApplicationError

from fanout.pages import Json
from fanout.readers.base import Unreadable

MAX_INPUT = 8192
MAX_MESSAGE = 2000
MAX_TRACEBACK = 4000

_OURS = str(Path(__file__).parent.parent)


class WrongOutputs(Exception):
    """A list processor returned another number of outputs than it got items."""


class Unserializable(Exception):
    """What the processor returned cannot be written as JSON."""


class UnfitOutput(Exception):
    """The output that an item had does not fit what its compensator takes.

    Args:
        cause: What does not fit.
    """

    def __init__(self, cause: Exception) -> None:
        super().__init__(account_of_invalid(cause)[1])


def account_of(error: BaseException) -> tuple[str, str, str]:
    """Return type, message and the user's part of the traceback."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OURS):
        frames = frames.tb_next
    trace = "".join(traceback.format_exception(type(error), error, frames)) if frames is not None else ""
    kind = type(error).__name__
    try:
        message = str(error)
    except Exception:  # an exception's own text may break, too
        message = ""
    if isinstance(error, ApplicationError):
        kind, message = error.type or kind, error.message
    if isinstance(error, SystemExit):
        message = f"the processor called sys.exit({error.code!r})"
    return kind, message or kind, trace


def account_of_invalid(error: Exception) -> tuple[str, str, str]:
    """Return the same of an item that does not fit the processor's annotation, or breaks a validator there."""
    if isinstance(error, ValidationError):
        return "InvalidItem", _describe(error), ""
    if isinstance(error, UnfitOutput):
        return "UnfitOutput", f"the output that the item had does not fit: {error}", ""
    kind, message, trace = account_of(error)
    return "InvalidItem", f"{kind}: {message}", trace


def account_of_refused(reducer: str, error: Exception) -> tuple[str, str, str]:
    """Return the same of an item whose output the reducer of its run could not take."""
    if isinstance(error, ValidationError):
        return "Unreducible", f"reducer {reducer!r} does not take such an output: {_describe(error)}", ""
    kind, message, trace = account_of(error)
    return "Unreducible", f"reducer {reducer!r} could not add the output: {kind}: {message}", trace


def encodable(text: str) -> str:
    """Return a text that UTF-8 can express: names of files may hold what it cannot."""
    return text.encode("utf-8", "backslashreplace").decode()


def preview(value: Any) -> Json:
    """Return an item as a failure record shows it: whole where it is small and readable, else its beginning."""
    if isinstance(value, Unreadable):
        return value.excerpt
    if isinstance(value, bytes):
        if len(value) <= MAX_INPUT:
            try:
                return from_json(value)
            except ValueError:
                pass
        return value[:MAX_INPUT].decode("utf-8", "replace") + ("…" if len(value) > MAX_INPUT else "")
    return value


def unserializable(output: Any, error: PydanticSerializationError) -> Unserializable:
    """Return the error of an output that JSON cannot express."""
    reason = str(error).removeprefix("Error serializing to JSON: ")
    return Unserializable(
        f"the processor returned {type(output).__name__}, which JSON cannot express: {reason}"
    )


def timed_out(timeout: float | None) -> TimeoutError:
    """Return the error of an item that took longer than it may, in seconds."""
    return TimeoutError(f"the item took longer than its timeout of {timeout:g} s; the option timeout sets it")


def _describe(error: ValidationError) -> str:
    """Return the first few problems of an item, one line for a person."""
    problems = error.errors(include_url=False, include_context=False)
    lines = []
    for problem in problems[:3]:
        where = ".".join(str(part) for part in problem["loc"])
        given = problem["input"]
        if problem["type"] == "json_invalid":
            lines.append(f"not valid JSON: {problem['msg'].removeprefix('Invalid JSON: ')}")
            continue
        got = "null" if given is None else repr(str(given)[:100])
        shown = "" if isinstance(given, dict | list) else f" (got {got})"
        lines.append(f"{where}: {problem['msg']}{shown}" if where else f"{problem['msg']}{shown}")
    if len(problems) > 3:
        lines.append(f"and {len(problems) - 3} more")
    return "; ".join(lines)
