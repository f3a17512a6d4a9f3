"""Signs of life of a batch to the server, and what they tell the next attempt if it dies.

Temporal counts attempts whatever ended them: a deployment, a lost connection, an item that kills its process. So a
batch keeps an account of its own in its heartbeats: an attempt that began, did not end by itself, and got nothing
done is a death. After two of them its items are suspects.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from temporalio import activity
from temporalio.client import AsyncActivityCancelledError, WorkflowHandle, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from fanout.beside import beside
from fanout.children.execution import Waiting
from fanout.messages import Spare
from fanout.stickiness import QUESTION
from fanout.wire import HASTE_QUERY, SPARE_SIGNAL, WAITING

HEARTBEAT_SECONDS = 1.0
"""Between two heartbeats of a batch, where few others are in its process."""

HEARTBEATS_PER_SECOND = 100
"""Of a process: with more batches each reports less often. A server on two cores takes some 500 in all."""

FRESH = 1 / 4
"""Of the heartbeat timeout: an attempt that the server has given out no longer ago than this is no zombie's."""

SUSPECT_AFTER = 2
"""Deaths without progress after which the rest of a batch is quarantined."""

SUSPECT_ANYWAY = 5
"""Deaths after which it is, however much was done in between."""

MOST_UNANSWERED = 10
"""Questions in a row, of some seconds each, after which a batch that is told to end takes silence for haste."""

_RPC_TIMEOUT = timedelta(seconds=5)
_GIVEN_UP = "given_up"
_BEGUN = "begun"


def heartbeat_pause(batches: int, heartbeat_timeout: float) -> float:
    """Return the seconds until a batch reports again.

    Args:
        batches: How many are in this process.
        heartbeat_timeout: Seconds after which the server gives a silent one away.
    """
    return min(max(HEARTBEAT_SECONDS, batches / HEARTBEATS_PER_SECOND), heartbeat_timeout / 4)


class Superseded(Exception):
    """The server has given the batch to somebody else, or takes no answer for it any more."""


@dataclass(frozen=True)
class Account:
    """What an attempt passes on to the next one.

    Attributes:
        deaths: Attempts in a row that died and got nothing done.
        all_deaths: Attempts that died.
        began_with: Items that were done when the attempt began.
        settled: Items that are done.
        clean: Whether it ended by itself.
    """

    deaths: int = 0
    all_deaths: int = 0
    began_with: int = 0
    settled: int = 0
    clean: bool = False

    @property
    def suspect(self) -> bool:
        """Whether an item of the batch is likely to kill its process."""
        return self.deaths >= SUSPECT_AFTER or self.all_deaths >= SUSPECT_ANYWAY

    def after(self, settled: int) -> Account:
        """Return the account of the attempt that follows this one, and finds so many items done."""
        if self.clean:
            return Account(self.deaths, self.all_deaths, settled, settled)
        # What quarantine gets done clears nobody: the guilty one is still among the rest.
        progress = settled > self.began_with and not self.suspect
        deaths = 1 if progress else self.deaths + 1
        return Account(deaths, self.all_deaths + 1, settled, settled)


class Life:
    """Heartbeats of one attempt.

    Args:
        waiting: What the batch waits for.
        key: The batch's key.

    Attributes:
        account: What the next attempt is to know.
        given_up: Items in flight that other batches have since, from this attempt and earlier ones.
        in_flight: Returns how many items run now.
        begun: Returns how many items this attempt has begun.
        after_death: Whether the last attempt died.
        repeated: Items that a dead attempt had begun, by its last heartbeat, and this one has to run again.
        waiting: What the batch waits for.
    """

    _beating: ClassVar[int] = 0
    """Batches of this process that heartbeat now."""

    def __init__(self, waiting: Waiting, key: str) -> None:
        self._info = activity.info()
        self._key = key
        self._told = _told(self._info.heartbeat_details)
        self.given_up = _given_up(self._info.heartbeat_details)
        # What the last attempt has got done is known once its checkpoint is found.
        self.account = self._told.after(self._told.settled) if self._info.attempt > 1 else Account()
        self.in_flight: Callable[[], int] = lambda: 0
        self.begun: Callable[[], int] = lambda: 0
        self.after_death = self._info.attempt > 1 and not self._told.clean
        self.repeated = 0
        self._checkpoint = ""
        self._unanswered = 0
        self.waiting = waiting

    async def begin(self, settled: int) -> None:
        """Make the account of earlier attempts durable, and learn whether this one is still wanted.

        Args:
            settled: Items that a checkpoint says are done.

        Raises:
            Superseded: It is not: this process was stopped for a while, and does not know it.
        """
        info = self._info
        if info.attempt > 1:
            self.account = self._told.after(settled)
            if self.after_death:
                begun = int(_fields(info.heartbeat_details).get(_BEGUN, 0))
                self.repeated = max(0, begun - (settled - self._told.began_with))
        elif (
            info.heartbeat_timeout and datetime.now(UTC) - info.started_time < FRESH * info.heartbeat_timeout
        ):
            return
        await self.acknowledged()

    async def acknowledged(self) -> bool:
        """Send a heartbeat, and wait for the server's answer; returns whether there was one.

        Raises:
            Superseded: The server wants nothing more of this attempt.
        """
        handle = activity.client().get_async_activity_handle(task_token=self._info.task_token)
        try:
            await handle.heartbeat(self._details(), rpc_timeout=_RPC_TIMEOUT)
        except AsyncActivityCancelledError:
            # Of a cancellation the activity hears in the ordinary way.
            return False
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise Superseded("the server has given this batch to another worker") from None
            return False
        return True

    async def give_up(self, count: int) -> None:
        """Let other batches of the workflow have so many items in flight."""
        self.given_up += count
        with contextlib.suppress(Superseded, RPCError):
            # First for the next attempt to know of, or both it and those others would use them.
            if await self.acknowledged():
                await self._workflow().signal(SPARE_SIGNAL, Spare(self._key, count), rpc_timeout=_RPC_TIMEOUT)

    async def hasty(self) -> bool:
        """Return whether the workflow, which has told the batch to end, wants what is in flight cut off."""
        try:
            answer = bool(await self._workflow().query(HASTE_QUERY, rpc_timeout=QUESTION))
        except WorkflowQueryFailedError:
            # It is a workflow of an earlier version.
            return True
        except RPCError as error:
            self._unanswered += 1
            return error.status is RPCStatusCode.NOT_FOUND or self._unanswered >= MOST_UNANSWERED
        self._unanswered = 0
        return answer

    @contextlib.asynccontextmanager
    async def beating(self, heartbeat_timeout: float) -> AsyncIterator[None]:
        """Heartbeat as long as the block lasts; a block that a gap has made a zombie is cancelled.

        Args:
            heartbeat_timeout: Seconds after which the server gives the batch away.
        """
        owner = asyncio.current_task()

        async def beat() -> None:
            while True:
                before = time.monotonic()
                # A batch that is shorter pays for none.
                await asyncio.sleep(heartbeat_pause(Life._beating, heartbeat_timeout))
                activity.heartbeat(self._details())
                if time.monotonic() - before > heartbeat_timeout:
                    try:
                        await self.acknowledged()
                    except Superseded:
                        if owner is not None:
                            owner.cancel()
                        return

        Life._beating += 1
        try:
            async with beside(beat()):
                yield
        finally:
            Life._beating -= 1

    async def end_by_itself(self) -> None:
        """Tell the next attempt that this one fails in order, and not by an item that kills its process."""
        self.account = replace(self.account, clean=True)
        activity.heartbeat(self._details())
        with contextlib.suppress(Superseded, RPCError):
            await self.acknowledged()

    def progress(self, checkpoint: str, settled: int) -> None:
        """Note a checkpoint, and how many items are done by it."""
        self._checkpoint = checkpoint
        self.account = replace(self.account, settled=settled)

    def _workflow(self) -> WorkflowHandle[Any, Any]:
        info = self._info
        return activity.client().get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)

    def _details(self) -> dict[str, Any]:
        details = {**asdict(self.account), "in_flight": self.in_flight(), _BEGUN: self.begun()}
        if self._checkpoint:
            details["checkpoint"] = self._checkpoint
        if self.given_up:
            details[_GIVEN_UP] = self.given_up
        if self.waiting.reason:
            details[WAITING] = self.waiting.reason
        return details


def _told(details: Any) -> Account:
    """Return what the last attempt has told; an attempt that died at once has told nothing."""
    given = _fields(details)
    return Account(**{name: given[name] for name in Account.__dataclass_fields__ if name in given})


def _given_up(details: Any) -> int:
    """Return what earlier attempts have given up."""
    return int(_fields(details).get(_GIVEN_UP, 0))


def _fields(details: Any) -> dict[str, Any]:
    given = details[0] if details else None
    return given if isinstance(given, dict) else {}
