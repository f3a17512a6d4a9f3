"""The inside of a process for items: runs one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import signal
import socket
import struct
import time
import traceback
from collections.abc import Callable
from typing import Any

from temporalio.exceptions import ApplicationError

from fanout.children.address import Address
from fanout.children.async_window import END_OF_ALL
from fanout.counting import current as counting
from fanout.errors import Unisolable
from fanout.iteminfo import current

READY = b"!"
SIZE = struct.Struct("<Q")


def serve(theirs: socket.socket, address: Address) -> None:
    """Run one item after the other, until nobody gives any more."""
    # Ctrl-C is for the worker, which decides what is to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    call, _kept = _set_up(address)
    with theirs, theirs.makefile("rwb") as stream:
        stream.write(READY)
        stream.flush()
        while head := stream.read(SIZE.size):
            (size,) = SIZE.unpack(head)
            answer = _run(call, stream.read(size))
            stream.write(SIZE.pack(len(answer)) + answer)
            stream.flush()


def _set_up(address: Address) -> tuple[Callable[..., Any], object]:
    """Return what runs an item, and what must live as long."""
    try:
        function, lifespan = address.load_call()
    except Unisolable as error:
        refusal = ApplicationError(str(error), type=Unisolable.__name__, non_retryable=True)

        # Raised here it would look like a death.
        def refuse(_item: Any, **_params: Any) -> Any:
            raise refusal

        return refuse, None
    if lifespan is None:
        return function, None
    loop = asyncio.new_event_loop()
    manager = lifespan()
    resource = loop.run_until_complete(manager.__aenter__())
    return lambda item, **params: function(item, resource, **params), (loop, manager)


def _run(call: Callable[..., Any], message: bytes) -> bytes:
    """Run an item; returns seconds, output, error, traceback, and what was counted."""
    began = time.perf_counter()
    counts: dict[str, float] = {}

    def count(name: str, value: float) -> None:
        counts[name] = counts.get(name, 0.0) + value

    try:
        item, params, told = pickle.loads(message)  # noqa: S301 - from the worker
        current.set(lambda: told)
        counting.set(count)
        output = call(item, **params)
        return pickle.dumps((time.perf_counter() - began, output, None, "", counts), pickle.HIGHEST_PROTOCOL)
    except BaseException as error:
        trace = "".join(traceback.format_exception(error))
        seconds = time.perf_counter() - began
        return pickle.dumps((seconds, None, _portable(error), trace, counts), pickle.HIGHEST_PROTOCOL)


def _portable(error: BaseException) -> BaseException:
    """Return an exception that survives the way to another process, and says nothing of that process there."""
    if not isinstance(error, (*END_OF_ALL, StopIteration)):
        with contextlib.suppress(Exception):
            pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
            return error
    return ApplicationError(str(error), type=type(error).__name__)
