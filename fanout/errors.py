"""Every error that fanout raises to a person.

    FanoutError
    ├── UsageError            what was asked for cannot be done: fix the call
    │   ├── UnknownProcessor
    │   ├── UnknownReader
    │   ├── UnknownReducer
    │   ├── CountError        `fanout.count()` was given what cannot be counted
    │   └── NotAllowed        a path outside the worker's allowed roots
    ├── WorkerUnfit           this worker cannot do it; another may
    ├── SourceError           the items cannot be read: missing, empty, changed under the run
    ├── StoreError            the output cannot be trusted: another run's marker, items lost or twice
    │   ├── ObjectExists
    │   ├── ObjectMissing
    │   ├── OutputUnseen      this process sees no output of the run where it should be
    │   └── StoreUnavailable  may pass: the disk is full, the service does not answer
    ├── ReducerFailed         a reducer raised, or its value is none that can be kept; fails the run
    ├── Unisolable            items that kill their process cannot be run in one of their own
    ├── WorkerExhausted       the worker process is used up by threads that hang: start another
    ├── RunExists             the id is taken
    ├── RunNotFound
    ├── NoServer              no Temporal server answers
    │   └── ServerRefuses     one does, and wants another certificate or API key
    ├── NoWorker              nobody polls the run's task queue
    └── RunFailed             the run ended, and not well (carries its result)

`ItemError` is none of them: a processor raises it, to say how its item failed.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fanout.models import RunResult


class FanoutError(Exception):
    """The root of everything that fanout raises on purpose."""


class UsageError(FanoutError):
    """What was asked for cannot be done; the text says what to change."""


class UnknownProcessor(UsageError):
    """No processor of that name is registered here."""


class UnknownReader(UsageError):
    """No reader of that kind is registered here."""


class UnknownReducer(UsageError):
    """No reducer of that name is registered here."""


class CountError(UsageError):
    """A processor counts what cannot be counted; its item fails at once."""


class NotAllowed(UsageError):
    """A URL lies outside the allowed roots."""


class WorkerUnfit(FanoutError):
    """This worker cannot do it; another one may. The text goes on after the worker's name: `has version 1 of …`."""


class SourceError(FanoutError):
    """The items cannot be read: missing, not matching, or changed under the run."""


class StoreError(FanoutError):
    """The output cannot be written or trusted."""


class ObjectExists(StoreError):
    """An object of that name is there already."""


class ObjectMissing(StoreError):
    """No object has that name."""


class OutputUnseen(StoreError):
    """This process sees no output of the run where it should be; others may."""


class StoreUnavailable(StoreError):
    """The store cannot be used now; trying again may help."""


class ReducerFailed(FanoutError):
    """A reducer raised, took too long, or made what cannot be kept; the text names it. The run fails."""


class Unisolable(FanoutError):
    """After a crash, the processor cannot be run in a process of its own; the text says why."""


class WorkerExhausted(FanoutError):
    """So many threads of a worker process hang that it is of no use any more; another process should take over."""


class RunExists(FanoutError):
    """A run with that id exists."""


class RunNotFound(FanoutError):
    """No run has that id."""


class NoServer(FanoutError):
    """No Temporal server answers at the address."""


class ServerRefuses(NoServer):
    """A Temporal server is there, and its certificate, or this client's, or the API key, keeps the two apart."""


class NoWorker(FanoutError):
    """No worker polls the task queue."""


class RunFailed(FanoutError):
    """A run ended in another status than the one asked for.

    Attributes:
        result: What the run did before it ended, where that is known.
        status: The status it ended in.
    """

    def __init__(self, message: str, *, status: str, result: RunResult | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.result = result


class ItemError(Exception):
    """Raise this in a processor to say how its item failed.

    Args:
        message: What went wrong, for a person.
        retryable: False records the failure at once, without further attempts.
        retry_after: Seconds to wait before the next attempt, instead of the policy's backoff.

    Raises:
        ValueError: `retry_after` is no finite number, such as a header that was not converted.
    """

    # Of classes below that do not call this `__init__`, too.
    retryable: bool = True
    retry_after: float | None = None

    def __init__(
        self, message: str = "", *, retryable: bool = True, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        if retry_after is not None and not _is_finite(retry_after):
            raise ValueError(f"retry_after is a number of seconds, not {retry_after!r}")
        self.retryable = retryable
        self.retry_after = retry_after


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
