"""Where our errors become Temporal's: what a retry cannot mend fails at once, with the text a person reads.

What another worker may well do is repeated until one comes that can: a fleet in the middle of a deploy has both sorts.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import ParamSpec, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError, FailureError

from fanout.errors import (
    FanoutError,
    NotAllowed,
    OutputUnseen,
    StoreUnavailable,
    UnknownProcessor,
    UnknownReader,
    UnknownReducer,
    WorkerUnfit,
)

P = ParamSpec("P")
R = TypeVar("R")

PATIENCE = 5
"""Attempts after which an error that nobody foresaw is final: repeated for ever, it would look like work."""

LONGEST_WAIT = 10
"""Seconds from one attempt to the next where workers are unfit: a fit one that comes is found soon."""

UNFIT = (WorkerUnfit, NotAllowed, UnknownProcessor, UnknownReader, UnknownReducer, OutputUnseen)
"""What lies in the worker that tried, not in the run."""


def failing(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Make an activity's own errors final, so that no attempt is repeated in vain; wait for a worker that is fit."""
    return _translating(function, None)


def planning(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Do the same, but wait for a fit worker only for a few attempts: a mistake is told while somebody watches."""
    return _translating(function, PATIENCE)


def _translating(function: Callable[P, Awaitable[R]], patience: int | None) -> Callable[P, Awaitable[R]]:
    @functools.wraps(function)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await function(*args, **kwargs)
        except UNFIT as error:
            raise _unfit(error, patience) from None
        except (StoreUnavailable, FailureError, OSError):
            # Disks, networks and services come back.
            raise
        except FanoutError as error:
            raise ApplicationError(str(error), type=type(error).__name__, non_retryable=True) from None
        except Exception as error:
            if activity.info().attempt < PATIENCE:
                raise
            name = activity.info().activity_type
            text = f"{name} fails again and again on the workers: {type(error).__name__}: {error}"
            raise ApplicationError(text, type=type(error).__name__, non_retryable=True) from error

    return run


def _unfit(error: FanoutError, patience: int | None) -> ApplicationError:
    """Return the failure that names the worker that cannot do it."""
    attempt = activity.info().attempt
    final = patience is not None and attempt >= patience
    between = " " if isinstance(error, WorkerUnfit) else ": "
    return ApplicationError(
        f"worker {activity.client().identity}{between}{error}",
        type=type(error).__name__,
        non_retryable=final,
        # The policy's backoff grows: with one unfit worker among many, each attempt should be soon.
        next_retry_delay=None if final else timedelta(seconds=1 if patience else min(attempt, LONGEST_WAIT)),
    )
