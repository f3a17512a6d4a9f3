"""Runs the window of a batch: with checkpoints, until it is through, told to stop, or not wanted any more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, TypeVar

from temporalio import activity

from fanout.beside import beside
from fanout.children.execution import Execution
from fanout.children.life import Life
from fanout.children.window import Window
from fanout.storage.rests import Items

T = TypeVar("T")

AFTER_DEATHS = 5
"""After a death checkpoints come so many times as often: what gets something done is no suspect."""

SPARE_SECONDS = 0.1
"""How often a batch looks whether it has begun its last items, and others may have the places that got free."""

HASTE_SECONDS = 1.0
"""How often a batch that is told to end asks whether what is in flight may end."""


async def run_window(
    window: Window, execution: Execution, life: Life, aside: Sequence[Items], *, last: bool
) -> None:
    """Run a window; on return, what it has done is to be committed.

    Args:
        window: The window.
        execution: Writes its checkpoints.
        life: Signs of life of the batch.
        aside: Items of the batch that are not in the window.
        last: Whether nobody needs what the window gives up.

    Raises:
        asyncio.CancelledError: The server has given the batch to somebody else, or a person has paused it.
        StoreUnavailable: The store has refused a checkpoint for a long time.
    """
    life.in_flight, life.begun = lambda: window.in_flight, lambda: window.begun
    work = asyncio.ensure_future(window.run())
    async with (
        beside(_hand_back(window)),
        contextlib.nullcontext() if last else beside(_give_up(window, life)),
        _keeping(window, execution, life, aside) as keeper,
    ):
        try:
            await asyncio.wait({work, keeper}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            # Also where it is cancelled once more, by the end of its worker.
            with contextlib.suppress(asyncio.CancelledError):
                await _let_end(window, {work, keeper}, life)
            if not work.done():
                life.waiting.hurry = True
                await window.halt()
            await work
            await _unless_revoked(window, execution, life, aside)
        if not work.done():
            await window.halt()
        await work


async def to_the_end(commit: Coroutine[Any, Any, T], life: Life) -> T:
    """Bring a commit to its end, also where the batch is told to end meanwhile: its items would run again.

    Raises:
        asyncio.CancelledError: The server has given the batch to somebody else.
    """
    work = asyncio.ensure_future(commit)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        if not _told_to_end():
            work.cancel()
            raise
        # Not for ever, where the store is away.
        life.waiting.hurry = True
        _uncancel()
        return await work


async def _let_end(window: Window, running: set[asyncio.Future[None]], life: Life) -> None:
    """Begin nothing more, and let what is in flight end, for as long as the workflow wants it so."""
    details = activity.cancellation_details()
    if details is None or not details.cancel_requested or details.worker_shutdown:
        return
    window.stop()
    if window.gate is not None:
        # What the others in this process may begin is said anew.
        window.gate.retire()
    while not (any(one.done() for one in running) or await life.hasty()):
        await asyncio.wait(running, timeout=HASTE_SECONDS, return_when=asyncio.FIRST_COMPLETED)


async def _unless_revoked(window: Window, execution: Execution, life: Life, aside: Sequence[Items]) -> None:
    """Go on where the batch was told to end early: what it has is committed. Raise where it lives on elsewhere."""
    if _told_to_end():
        # From here on this is an ordinary batch that ends early.
        _uncancel()
        return
    details = activity.cancellation_details()
    if details is not None and details.paused:
        # Somebody has paused the activity in Temporal Web: its next attempt goes on from here.
        await execution.checkpoint(window.book, aside, window.guard())
        await life.end_by_itself()
    raise asyncio.CancelledError


def _told_to_end() -> bool:
    """Tell whether a cancelled batch is still its own: its workflow or its worker wants it to end."""
    details = activity.cancellation_details()
    return details is not None and (details.cancel_requested or details.worker_shutdown)


def _uncancel() -> None:
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


async def _hand_back(window: Window) -> None:
    """Stop the window when the worker shuts down: it ends what is in flight, and hands the rest back."""
    await activity.wait_for_worker_shutdown()
    window.stop()


async def _give_up(window: Window, life: Life) -> None:
    """Let other batches have what this one needs no more: its last items may take long."""
    while True:
        await asyncio.sleep(SPARE_SECONDS)
        if spare := window.give_up():
            if window.gate is not None:
                # Others begin with it what this one has begun already.
                await window.gate.give_up(spare)
            await life.give_up(spare)


@contextlib.asynccontextmanager
async def _keeping(
    window: Window, execution: Execution, life: Life, aside: Sequence[Items]
) -> AsyncIterator[asyncio.Task[None]]:
    """Store checkpoints meanwhile. One that has begun is brought to its end: its rows are out of the book already."""
    ended = asyncio.Event()
    pause = window.book.options.checkpoint_seconds / (AFTER_DEATHS if life.account.deaths else 1)

    async def keep() -> None:
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await ended.wait()
                return
            path = await execution.checkpoint(window.book, aside, window.guard())
            if path is not None:
                life.progress(path, execution.settled)

    keeper = asyncio.create_task(keep())
    try:
        yield keeper
    finally:
        ended.set()
        await keeper
