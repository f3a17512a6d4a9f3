"""The items of one batch: what was read, and what came of each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, Protocol

from pydantic import TypeAdapter
from pydantic_core import from_json, to_json
from temporalio.exceptions import ApplicationError

from fanout.children.accounts import (
    MAX_MESSAGE,
    MAX_TRACEBACK,
    UnfitOutput,
    Unserializable,
    WrongOutputs,
    account_of,
    account_of_invalid,
    encodable,
    preview,
)
from fanout.compensators import Undo
from fanout.counting import Tally
from fanout.errors import CountError, ItemError
from fanout.iteminfo import Info
from fanout.models import Failure
from fanout.options import Options
from fanout.processors import Processor
from fanout.readers.base import Records, Unreadable
from fanout.storage.rests import Items
from fanout.storage.rows import index_of
from fanout.writers.jsonl import NO_MATCH, failure_row, result_rows

MAX_SAMPLES = 3

HOLD_SECONDS = 5.0
"""An item whose next attempt is further away does not hold its batch open: it is handed back."""

WRITTEN = b""
"""Stands for an outcome whose row is in the store already; no row is empty."""


class Dump(Protocol):
    """What serializes outputs."""

    def __call__(self, output: Any, /, *, warnings: Literal[False]) -> bytes:
        """Return an output as JSON; one that does not fit its annotation is written as it is, without a warning."""


@dataclass
class Rows:
    """Rows that are to be written, in index order, and what they add to the totals.

    Attributes:
        outputs: Of a run with a reducer, what `results` holds, by position.
    """

    results: list[bytes]
    failures: list[bytes]
    error_types: dict[str, int]
    first: int
    counters: dict[str, float] = field(default_factory=dict)
    matched: int = 0
    outputs: dict[int, bytes] = field(default_factory=dict)


@dataclass
class Book:
    """What a batch knows of its items, by their position in the batch.

    Attributes:
        run_id: The run's id.
        processor: The processor.
        options: The run's options.
        key: The field that names an item, if any.
        items: Which items these are, in order, as their batch counts them; and how often they failed before.
        parts: The records, in order.
        worker: Identity of this worker.
        inline: Whether the records hold JSON values that travelled with the order.
        reduces: Whether the run has a reducer, which takes the outputs that are written.
        indexes: The index of each item in the source; by default as the batch counts them.
        undone: Of a compensation, the output that each item had, as JSON; empty where the processor takes none.
        given: What `validate` takes, of each item.
        outputs: The output of each item as JSON; `WRITTEN` once it is in the store, None while there is none.
        failures: The failure row of each item that failed, likewise.
        attempts: How often an item failed, where it did.
        due: When an item that failed may run again, in seconds since the epoch.
        held: Bytes of large outputs, and of failures, that are not written yet.
        tally: What was counted, and is not written yet.
    """

    run_id: str
    processor: Processor[..., Any]
    options: Options
    key: str | None
    items: Sequence[Items]
    parts: Sequence[Records]
    worker: str
    inline: bool = False
    reduces: bool = False
    indexes: Sequence[int] = field(default_factory=list)
    undone: Sequence[bytes] = ()
    values: list[Any] = field(default_factory=list)
    outputs: list[bytes | None] = field(default_factory=list)
    failures: dict[int, bytes] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)
    due: dict[int, float] = field(default_factory=dict)
    error_types: dict[str, int] = field(default_factory=dict)
    samples: list[str] = field(default_factory=list)
    held: int = 0
    _before: dict[int, int] = field(default_factory=dict)
    _numbers: Sequence[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        for part in self.parts:
            self.values.extend(part.values)
        self.outputs = [None] * len(self.values)
        # Not by a method of the book: in a cycle, it would stay in memory until the collector comes.
        self.tally = Tally(partial(_settled, self.outputs, self.failures))
        self._numbers = _indexes(self.items)
        self.indexes = self.indexes or self._numbers
        self._take_over_attempts()
        self._before = dict(self.attempts)
        self.json = all(part.json for part in self.parts)
        if self.inline and not self.json:
            # They are few; as text they are validated like any JSON, and no attempt can change them for the next.
            self.values, self.json = [to_json(value) for value in self.values], True
        # The adapter's own methods are Python functions around these: twice the cost of a small item.
        validator = self.processor.items.validator
        self.validate: Callable[[Any], Any] = (
            validator.validate_json if self.json else validator.validate_python
        )
        # No partial of it either: that takes longer than the call.
        self.dump: Dump = self.processor.outputs.serializer.to_json
        self.given: Sequence[Any] = self.values
        if self.processor.undoes is not None and self.undone:
            self.given = list(zip(self.values, self.undone, strict=True))
            self.validate = partial(_validate_undo, self.validate, self.processor.undoes)
        self._settle_unusable()

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

    # ---- outcomes

    def succeed(self, position: int, row: bytes) -> None:
        """Record the output of an item that ran elsewhere."""
        self.outputs[position] = row
        self.held += len(row)

    def reject(self, position: int, error: Exception) -> None:
        """Record an item that does not fit the processor's annotation, or breaks a validator there."""
        self.settle(position, *account_of_invalid(error))

    def fail(self, position: int, error: BaseException) -> float | None:
        """Count a failed attempt.

        Returns:
            Seconds until the next attempt; None where the failure is final and recorded.
        """
        attempts = self.attempts[position] = self.attempts.get(position, 0) + 1
        delay = self._next_attempt(error, attempts)
        if delay is None:
            self.settle(position, *account_of(error))
        else:
            self.due[position] = time.time() + delay
            # The attempt that settles the item counts.
            self.tally.take(position)
        return delay

    def settle(self, position: int, error_type: str, message: str, trace: str) -> None:
        """Record the final failure of an item."""
        self.error_types[error_type] = self.error_types.get(error_type, 0) + 1
        self.failures[position] = row = self._failure(position, error_type, message, trace)
        self.held += len(row)

    @property
    def retries(self) -> int:
        """Attempts that have failed since the book was made, and that another one follows."""
        before = self._before
        new = {p: n - before.get(p, 0) for p, n in self.attempts.items() if n > before.get(p, 0)}
        return sum(new.values()) - sum(p in self.failures for p in new)

    def settled(self, position: int) -> bool:
        """Tell whether the item has an outcome."""
        return _settled(self.outputs, self.failures, position)

    def unsettled(self) -> Sequence[int]:
        """Return the positions of the items without an outcome, in order."""
        outputs, failures = self.outputs, self.failures
        without = outputs.count(None)
        if not without:
            return []
        if not failures and without == len(outputs):
            return range(len(outputs))
        return [p for p, output in enumerate(outputs) if output is None and p not in failures]

    def remaining(self) -> list[Items]:
        """Return the items without an outcome, in order."""
        found: list[Items] = []
        for position in self.unsettled():
            index = self._numbers[position]
            attempts, due = self.attempts.get(position, 0), self.due.get(position, 0.0)
            last = found[-1] if found else None
            if last and (last.start + last.count, last.attempts, last.due) == (index, attempts, due):
                found[-1] = Items(last.start, last.count + 1, attempts, due)
            else:
                found.append(Items(index, 1, attempts, due))
        return found

    # ---- rows

    def take_rows(self) -> Rows:
        """Return the rows that are not written yet, and take them for written."""
        outputs, failures = self.outputs, self.failures
        failed = sorted(position for position, row in failures.items() if row)
        first = next((position for position, output in enumerate(outputs) if output), None)
        error_types, self.error_types = self.error_types, {}
        results = result_rows(self.indexes, outputs, None if self.key is None else self.key_of)
        rows = Rows(
            results=results,
            failures=[failures[position] for position in failed],
            error_types=error_types,
            first=min((self.indexes[p] for p in (first, *failed[:1]) if p is not None), default=0),
            counters=self.tally.collect(),
            matched=len(results) - outputs.count(NO_MATCH),
            outputs={p: output for p, output in enumerate(outputs) if output} if self.reduces else {},
        )
        # In place: slots hold this very list.
        outputs[:] = [WRITTEN if output else output for output in outputs]
        for position in failed:
            failures[position] = WRITTEN
        self.held = 0
        return rows

    def refuse(self, rows: Rows, reasons: Mapping[int, tuple[str, str, str]]) -> Rows:
        """Make failures of some results that are taken already: the run's reducer has refused them.

        Args:
            rows: What was taken.
            reasons: By position, error type, message and traceback.
        """
        error_types = Counter(rows.error_types)
        refused: list[bytes] = []
        for position, (error_type, message, trace) in sorted(reasons.items()):
            self.attempts[position] = self.attempts.get(position, 0) + 1
            refused.append(self._failure(position, error_type, message, trace))
            self.failures[position] = WRITTEN
            self.outputs[position] = None
            error_types[error_type] += 1
        kept = [
            row for position, row in zip(rows.outputs, rows.results, strict=True) if position not in reasons
        ]
        failures = sorted([*rows.failures, *refused], key=lambda row: index_of(row, "a failure"))
        matched = rows.matched - sum(rows.outputs[position] != NO_MATCH for position in reasons)
        return replace(rows, results=kept, failures=failures, error_types=dict(error_types), matched=matched)

    # ---- private

    def _failure(self, position: int, error_type: str, message: str, trace: str) -> bytes:
        where = self._source(position)
        if len(self.samples) < MAX_SAMPLES:
            self.samples.append(encodable(f"{where}: {error_type}: {message[:200]}"))
        return failure_row(
            Failure(
                index=self.indexes[position],
                key=self.key_of(position),
                source=where,
                input=preview(self.values[position]),
                error_type=error_type,
                message=encodable(message[:MAX_MESSAGE]),
                traceback=encodable(trace[-MAX_TRACEBACK:]),
                attempts=self.attempts.get(position, 0),
                worker=self.worker,
                version=self.processor.version,
                at=round(time.time(), 3),
            )
        )

    def _take_over_attempts(self) -> None:
        position = 0
        for one in self.items:
            if one.attempts:
                for at in range(position, position + one.count):
                    self.attempts[at], self.due[at] = one.attempts, one.due
            position += one.count

    def _settle_unusable(self) -> None:
        most = self.options.max_item_bytes
        odd = [p for p, value in enumerate(self.values) if value.__class__ is not bytes or len(value) > most]
        for position in odd:
            value = self.values[position]
            if value.__class__ is Unreadable:
                self.settle(position, value.error_type, value.reason, "")
            elif value.__class__ is bytes:
                reason = f"the item has {len(value):,} bytes, max_item_bytes is {most:,}"
                self.settle(position, "ItemTooLarge", reason, "")

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
        if isinstance(error, WrongOutputs | Unserializable | CountError) or names & set(
            self.options.non_retryable
        ):
            return None
        if isinstance(error, ApplicationError) and error.next_retry_delay is not None:
            return error.next_retry_delay.total_seconds()
        return self.options.backoff(attempts)

    def _source(self, position: int) -> str:
        for part in self.parts:
            if position < len(part.values):
                return part.source(position)
            position -= len(part.values)
        raise IndexError(position)


def _settled(outputs: Sequence[bytes | None], failures: Mapping[int, bytes], position: int) -> bool:
    return outputs[position] is not None or position in failures


def _validate_undo(validate: Callable[[Any], Any], undoes: TypeAdapter[Any], pair: tuple[Any, bytes]) -> Undo:
    """Return an item with the output that it had.

    Raises:
        ValidationError: The item does not fit its annotation.
        UnfitOutput: The output does not.
    """
    item = validate(pair[0])
    try:
        return Undo(item, undoes.validate_json(pair[1]))
    except Exception as error:
        raise UnfitOutput(error) from None


def _indexes(items: Sequence[Items]) -> Sequence[int]:
    if len(items) == 1:
        return range(items[0].start, items[0].start + items[0].count)
    return [index for one in items for index in range(one.start, one.start + one.count)]
