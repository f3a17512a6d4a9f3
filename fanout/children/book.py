"""The items of one batch: what was read, and what came of each."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json
from temporalio.exceptions import ApplicationError

from fanout.errors import ItemError
from fanout.iteminfo import Info
from fanout.models import Failure, Json, Totals
from fanout.options import Options
from fanout.processors import Processor
from fanout.readers.base import Records, Unreadable
from fanout.writers.jsonl import failure_row, result_rows

MAX_INPUT = 8192
MAX_MESSAGE = 2000
MAX_TRACEBACK = 4000
MAX_SAMPLES = 3

_OURS = str(Path(__file__).parent.parent)


class WrongOutputs(Exception):
    """A list processor returned another number of outputs than it got items."""


class Unserializable(Exception):
    """What the processor returned cannot be written as JSON."""


@dataclass
class Book:
    """What a batch knows of its items, by their position in the batch.

    Attributes:
        run_id: The run's id.
        processor: The processor.
        options: The run's options.
        key: The field that names an item, if any.
        start: Index of the first item.
        parts: The records, in order.
        worker: Identity of this worker.
        inline: Whether the records hold JSON values that travelled with the order.
    """

    run_id: str
    processor: Processor[..., Any]
    options: Options
    key: str | None
    start: int
    parts: Sequence[Records]
    worker: str
    inline: bool = False
    values: list[Any] = field(default_factory=list)
    indexes: Sequence[int] = ()
    outputs: list[bytes | None] = field(default_factory=list)
    failures: dict[int, bytes] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)
    due: dict[int, float] = field(default_factory=dict)
    error_types: dict[str, int] = field(default_factory=dict)
    samples: list[str] = field(default_factory=list)
    held: int = 0

    def __post_init__(self) -> None:
        for part in self.parts:
            self.values.extend(part.values)
        self.outputs = [None] * len(self.values)
        self.indexes = range(self.start, self.start + len(self.values))
        self.json = all(part.json for part in self.parts)
        if self.inline and not self.json:
            # They are few; as text they are validated like any JSON, and no attempt can change them for the next.
            self.values, self.json = [to_json(value) for value in self.values], True
        # The adapter's own methods are Python functions around these: twice the cost of a small item.
        validator = self.processor.items.validator
        self.validate: Callable[[Any], Any] = (
            validator.validate_json if self.json else validator.validate_python
        )
        # An output that does not fit its annotation is written as it is.
        self.dump: Callable[[Any], bytes] = partial(self.processor.outputs.serializer.to_json, warnings=False)
        self.unusable = self._settle_unusable()

    def __len__(self) -> int:
        return len(self.values)

    def key_of(self, position: int) -> str:
        """Return the key of an item: the named field where it has one, else the index."""
        if self.key is not None:
            value = self.values[position]
            try:
                value = from_json(value) if isinstance(value, bytes) else value
            except ValueError:
                value = None
            if isinstance(value, dict) and value.get(self.key) is not None:
                return str(value[self.key])
        return str(self.indexes[position])

    def info(self, position: int) -> Info:
        """Return what a processor may ask about the item."""
        index = self.indexes[position]
        return Info(
            run_id=self.run_id,
            index=index,
            key=self.key_of(position),
            attempt=self.attempts.get(position, 0) + 1,
            idempotency_key=f"{self.run_id}/{index}",
            processor=self.processor.name,
        )

    def succeed(self, position: int, row: bytes) -> None:
        """Record the output of an item."""
        self.outputs[position] = row

    def reject(self, position: int, error: Exception) -> None:
        """Record an item that does not fit the processor's annotation, or breaks a validator there."""
        if isinstance(error, ValidationError):
            self.settle(position, "InvalidItem", _describe(error), "")
        else:
            kind, message, trace = _account_of(error)
            self.settle(position, "InvalidItem", f"{kind}: {message}", trace)

    def fail(self, position: int, error: BaseException) -> float | None:
        """Count a failed attempt.

        Returns:
            Seconds until the next attempt; None where the failure is final and recorded.
        """
        attempts = self.attempts[position] = self.attempts.get(position, 0) + 1
        delay = self._next_attempt(error, attempts)
        if delay is None:
            self.settle(position, *_account_of(error))
        else:
            self.due[position] = time.time() + delay
        return delay

    def settled(self, position: int) -> bool:
        """Tell whether the item has an outcome."""
        return self.outputs[position] is not None or position in self.failures

    def unsettled(self) -> list[int]:
        """Return the positions of the items without an outcome, in order."""
        failures = self.failures
        return [p for p, output in enumerate(self.outputs) if output is None and p not in failures]

    def more(self) -> list[list[int]]:
        """Return the ranges `[start, count]` of items without an outcome, in order."""
        ranges: list[list[int]] = []
        for position, output in enumerate(self.outputs):
            if output is None and position not in self.failures:
                index = self.start + position
                if ranges and sum(ranges[-1]) == index:
                    ranges[-1][1] += 1
                else:
                    ranges.append([index, 1])
        return ranges

    def result_rows(self) -> list[bytes]:
        """Return the rows of the items that succeeded, in order."""
        return result_rows(self.start, self.outputs, None if self.key is None else self.key_of)

    def failure_rows(self) -> list[bytes]:
        """Return the rows of the items that failed, in order."""
        return [row for _, row in sorted(self.failures.items())]

    def totals(self, result_bytes: int) -> Totals:
        """Return the counts of the items that have an outcome."""
        failed = len(self.failures)
        succeeded = len(self.outputs) - self.outputs.count(None)
        return Totals(succeeded, failed, dict(self.error_types), batches=1, result_bytes=result_bytes)

    # ---- private

    def _settle_unusable(self) -> set[int]:
        most = self.options.max_item_bytes
        unusable = {
            position
            for position, value in enumerate(self.values)
            if value.__class__ is Unreadable or (value.__class__ is bytes and len(value) > most)
        }
        for position in unusable:
            value = self.values[position]
            if isinstance(value, Unreadable):
                self.settle(position, value.error_type, value.reason, "")
            else:
                reason = f"the item has {len(value):,} bytes, max_item_bytes is {most:,}"
                self.settle(position, "ItemTooLarge", reason, "")
        return unusable

    def _next_attempt(self, error: BaseException, attempts: int) -> float | None:
        if attempts > self.options.retries:
            return None
        names = {kind.__name__ for kind in type(error).__mro__}
        if isinstance(error, ItemError):
            if not error.retryable:
                return None
            if error.retry_after is not None:
                return error.retry_after
        if isinstance(error, ApplicationError):
            if error.non_retryable:
                return None
            if error.type:
                names.add(error.type)
            if error.next_retry_delay is not None:
                return error.next_retry_delay.total_seconds()
        if isinstance(error, WrongOutputs | Unserializable) or names & set(self.options.non_retryable):
            return None
        return self.options.backoff(attempts)

    def settle(self, position: int, error_type: str, message: str, trace: str) -> None:
        """Record the final failure of an item."""
        where = self._source(position)
        self.error_types[error_type] = self.error_types.get(error_type, 0) + 1
        if len(self.samples) < MAX_SAMPLES:
            self.samples.append(_encodable(f"{where}: {error_type}: {message[:200]}"))
        self.failures[position] = failure_row(
            Failure(
                index=self.start + position,
                key=self.key_of(position),
                source=where,
                input=_preview(self.values[position]),
                error_type=error_type,
                message=_encodable(message[:MAX_MESSAGE]),
                traceback=_encodable(trace[-MAX_TRACEBACK:]),
                attempts=self.attempts.get(position, 0),
                worker=self.worker,
                version=self.processor.version,
            )
        )

    def _source(self, position: int) -> str:
        for part in self.parts:
            if position < len(part.values):
                return part.source(position)
            position -= len(part.values)
        raise IndexError(position)


def _account_of(error: BaseException) -> tuple[str, str, str]:
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


def _encodable(text: str) -> str:
    """Return a text that UTF-8 can express: names of files may hold what it cannot."""
    return text.encode("utf-8", "backslashreplace").decode()


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


def _preview(value: Any) -> Json:
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
