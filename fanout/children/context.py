"""The context in which a processor's code runs: one in which Temporal's activity functions work, and do no harm."""

from __future__ import annotations

import contextvars

from temporalio import activity
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment


async def isolated(
    info: activity.Info, *, is_async: bool, client: Client | None = None
) -> contextvars.Context:
    """Return a context in which `activity.info()` works and `activity.heartbeat()` goes nowhere.

    A processor's own heartbeat would replace that of its batch.

    Args:
        info: What `activity.info()` says.
        is_async: Whether the code is an `async def`.
        client: What `activity.client()` says, where there is one.
    """
    environment = ActivityEnvironment(client)
    environment.info = info
    if not is_async:
        return environment.run(contextvars.copy_context)

    async def here() -> contextvars.Context:
        return contextvars.copy_context()

    return await environment.run(here)
