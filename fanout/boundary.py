"""Where our errors become Temporal's: what a retry cannot mend fails at once, with the text a person reads."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError, FailureError

from fanout.errors import FanoutError, StoreUnavailable

P = ParamSpec("P")
R = TypeVar("R")

PATIENCE = 5
"""Attempts after which an error that nobody foresaw is final: repeated for ever, it would look like work."""


def failing(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Make an activity's own errors final, so that no attempt is repeated in vain."""

    @functools.wraps(function)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await function(*args, **kwargs)
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
