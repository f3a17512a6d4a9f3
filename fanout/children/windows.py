"""Which window runs a processor's calls: those that are awaited, and those that take a thread."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

from fanout.children.async_window import AsyncWindow
from fanout.children.book import Book
from fanout.children.gate import Gate
from fanout.children.thread_window import ThreadWindow
from fanout.children.window import SlotWindow
from fanout.workers.threads import Threads


def open_window(
    book: Book,
    call: Callable[[Any], Any],
    *,
    limit: int,
    deadline: float,
    context: contextvars.Context,
    list_size: int | None,
    threads: Threads | None,
    gate: Gate | None = None,
    gate_in_call: bool = False,
) -> SlotWindow:
    """Return the window over the items of a book.

    Args:
        book: The items.
        call: Runs the processor on one item, or on a list of them where `list_size` is given.
        limit: Items in flight at most.
        deadline: Seconds after which no further item is begun.
        context: What the processor's code sees as its context.
        list_size: Items that one call takes; None for one at a time.
        threads: Where calls run; None where they are awaited.
        gate: Where items wait until the run's rate limit lets them begin; None where it has none.
        gate_in_call: Whether a call that is awaited goes through the gate by itself.
    """
    if threads is None:
        return AsyncWindow(
            book,
            call,
            limit=limit,
            deadline=deadline,
            context=context,
            list_size=list_size,
            gate=gate,
            gate_in_call=gate_in_call,
        )
    return ThreadWindow(
        book,
        call,
        limit=limit,
        deadline=deadline,
        context=context,
        pool=threads,
        list_size=list_size,
        gate=gate,
    )
