"""Where our errors become Temporal's: what a retry cannot mend fails at once, with the text a person reads."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from temporalio.exceptions import ApplicationError

from fanout.errors import FanoutError, StoreUnavailable

P = ParamSpec("P")
R = TypeVar("R")


def failing(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Make an activity's own errors final, so that no attempt is repeated in vain."""

    @functools.wraps(function)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await function(*args, **kwargs)
        except StoreUnavailable:
            raise
        except FanoutError as error:
            raise ApplicationError(str(error), type=type(error).__name__, non_retryable=True) from None

    return run
