"""What came of one item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    FailureError,
    RetryState,
)

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class ItemResult(Generic[T, R]):
    """What came of one item: its output, or the error that it failed with.

    A workflow may return it: `error` itself does not travel, its type and text do.

    Attributes:
        index: Position of the item, from 0.
        item: The item as it was given.
        output: What the activity or child workflow returned; None where it failed.
        error_type: Name of the exception's class in the activity or child workflow, or the type of its
            `ApplicationError`; empty where it succeeded.
        message: What went wrong; empty where it succeeded.
        attempts: How often it was tried. Temporal tells a workflow only where the attempts of the retry policy are
            used up, or where it allows a single one; else None.
    """

    index: int
    item: T
    output: R | None = None
    error_type: str = ""
    message: str = ""
    attempts: int | None = None

    @property
    def ok(self) -> bool:
        """Whether the item succeeded."""
        return not self.error_type

    @property
    def error(self) -> FailureError | None:
        """The error that the item failed with, as Temporal raised it; None where it succeeded."""
        if self.ok:
            return None
        raised: FailureError | None = self.__dict__.get("_raised")
        return raised or ApplicationError(self.message, type=self.error_type)

    def unwrap(self) -> R:
        """Return the output.

        Raises:
            FailureError: The item failed: usually an `ActivityError` or a `ChildWorkflowError`.
        """
        if (error := self.error) is not None:
            raise error
        return self.output  # type: ignore[return-value] # an output may well be None: then R says so


def succeeded(index: int, item: T, output: R, policy: RetryPolicy | None) -> ItemResult[T, R]:
    """Return the result of an item with an output."""
    single = policy is not None and policy.maximum_attempts == 1
    return ItemResult(index, item, output, attempts=1 if single else None)


def failed(index: int, item: T, error: FailureError, policy: RetryPolicy | None) -> ItemResult[T, R]:
    """Return the result of an item that failed."""
    error_type, message = in_words(error)
    result: ItemResult[T, R] = ItemResult(
        index, item, error_type=error_type, message=message, attempts=_attempts(error, policy)
    )
    # Not a field: fields travel, exceptions cannot.
    result.__dict__["_raised"] = error
    return result


def in_words(error: BaseException) -> tuple[str, str]:
    """Return type and text of the error at the bottom of Temporal's wrappers: those are for people."""
    while isinstance(error, ActivityError | ChildWorkflowError) and error.cause is not None:
        error = error.cause
    kind = type(error).__name__
    if isinstance(error, ApplicationError):
        return error.type or kind, error.message
    return kind, str(error)


def _attempts(error: FailureError, policy: RetryPolicy | None) -> int | None:
    if not isinstance(error, ActivityError | ChildWorkflowError):
        return None
    allowed = policy.maximum_attempts if policy is not None else 0
    if error.retry_state is RetryState.MAXIMUM_ATTEMPTS_REACHED or allowed == 1:
        return allowed or None
    return 1 if error.retry_state is RetryState.RETRY_POLICY_NOT_SET else None
