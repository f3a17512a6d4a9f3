"""One thing that was looked at, and how to look so that nothing hangs or raises."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Literal

from temporalio.service import RPCError, RPCStatusCode

from fanout.errors import FanoutError

Outcome = Literal["ok", "warning", "failed", "skipped"]

PATIENCE = 10.0
"""Seconds for one look."""


@dataclass(frozen=True)
class Check:
    """What came of one look.

    Attributes:
        name: What was looked at.
        outcome: `"warning"` where runs work, but not as well as they might.
        says: What was seen.
        next: The command to type next, or what else to do; empty where nothing is to be done.
    """

    name: str
    outcome: Outcome
    says: str
    next: str = ""


async def look(name: str, looking: Awaitable[Check], *, next: str = "", within: float = PATIENCE) -> Check:
    """Return what came of a look; one that raises, or takes too long, has failed.

    Args:
        name: What is looked at.
        looking: Looks.
        next: What to do where it fails.
        within: Seconds that it may take.
    """
    try:
        async with asyncio.timeout(within):
            return await looking
    except TimeoutError:
        return Check(name, "failed", f"no answer within {within:g} s", next)
    except FanoutError as error:
        return Check(name, "failed", " ".join(str(error).split()), next)
    except RPCError as error:
        if error.status is RPCStatusCode.PERMISSION_DENIED:
            return Check(name, "skipped", f"this client may not ask ({error.message})")
        return Check(name, "failed", f"the server says: {error.message}", next)
