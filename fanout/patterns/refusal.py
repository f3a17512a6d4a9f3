"""How patterns say no."""

from __future__ import annotations

from temporalio.exceptions import ApplicationError


def refusal(message: str) -> ApplicationError:
    """Return the error for what cannot be done as asked.

    Of any other kind it would not fail the workflow: Temporal would retry its workflow task for ever.
    """
    return ApplicationError(message, type="UsageError", non_retryable=True)
