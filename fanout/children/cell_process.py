"""The outside of a cell: starts the process, hears what it says, and finds out how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from fanout.children import cell
from fanout.children.address import Address
from fanout.children.cellbook import Message
from fanout.children.isolation import Death
from fanout.children.ledger import Ledger
from fanout.errors import Unisolable
from fanout.workers.watchdog import limit_of

START_WITHIN = 300.0
"""Seconds that a cell has for its imports and the processor's lifespan."""

GOODBYE_WITHIN = 5.0
"""Seconds that a cell has to end once its pipe has: for the rest of its lifespan, or for its death."""

_HUNG = "Timeout ("


class CellProcess:
    """One cell: a process that runs one order.

    Args:
        address: The processor.
        order: What to run.
        folder: Where ledger and last words are kept.
        name: Of those files.
        hear: Called in the event loop with what becomes of items.
    """

    def __init__(
        self,
        address: Address,
        order: cell.Order,
        *,
        folder: Path,
        name: str,
        hear: Callable[[Message], None],
    ) -> None:
        self._order = order
        self._hear = hear
        self._ledger_path = folder / f"{name}.ledger"
        self._trace = folder / f"{name}.trace"
        self.ledger = Ledger.create(self._ledger_path, len(order.values))
        self._address = address
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._lock = threading.Lock()
        self._stopped = False
        self._halted = False
        self._ready = False
        self._said_all = False
        self._error: BaseException | None = None

    async def run(self) -> Death | None:
        """Run the order; returns how the process died, None where it said farewell or was halted.

        Raises:
            Unisolable: It could not begin.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[int | None] = loop.create_future()

        def talk() -> None:
            code = None
            try:
                code = self._talk(lambda message: loop.call_soon_threadsafe(self._hear, message))
            except BaseException as error:
                self._error = error
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(ended.set_result, code)

        # One of the loop's own threads would be held for as long as the cell lives.
        threading.Thread(target=talk, name="fanout-cell", daemon=True).start()
        try:
            code = await asyncio.shield(ended)
        except asyncio.CancelledError:
            self.halt()
            raise
        return self._judge(code)

    def stop(self) -> None:
        """Let it begin no further item. Blocks until it has been told."""
        self._stopped = True
        with self._lock, contextlib.suppress(OSError):
            if self._pipe is not None and self._ready:
                self._pipe.send(cell.STOP)

    def halt(self) -> None:
        """End it at once."""
        self._halted = True
        process = self._process
        if process is not None:
            with contextlib.suppress(ValueError):  # it has ended, and is closed
                process.kill()

    def close(self) -> None:
        """Remove what it has left."""
        self.ledger.close()
        self._ledger_path.unlink(missing_ok=True)
        self._trace.unlink(missing_ok=True)

    # ---- in the thread

    def _talk(self, hear: Callable[[Message], object]) -> int | None:
        self._pipe, process = self._start()
        self._process = process
        try:
            if self._halted:
                process.kill()
            # A pipe that breaks is a death: its exit code says of what.
            with contextlib.suppress(EOFError, OSError):
                self._converse(self._pipe, hear)
            process.join(GOODBYE_WITHIN)
            if process.exitcode is None:
                process.kill()
                process.join()
            return process.exitcode
        finally:
            with self._lock:
                pipe, self._pipe = self._pipe, None
                pipe.close()

    def _start(self) -> tuple[Connection, BaseProcess]:
        try:
            return self._start_by(*_forking(self._address.module))
        except (OSError, EOFError):
            # The server that forks could not import the module, perhaps: then each cell imports it anew.
            return self._start_by(multiprocessing.get_context("spawn"), forked=False)

    def _start_by(self, context: BaseContext, forked: bool) -> tuple[Connection, BaseProcess]:
        ours, theirs = context.Pipe()
        setup = cell.Setup(self._address, self._ledger_path, self._trace, orphan=forked)
        process = context.Process(target=cell.main, args=(theirs, setup), daemon=True)  # type: ignore[attr-defined]
        try:
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours, process

    def _converse(self, pipe: Connection, hear: Callable[[Message], object]) -> None:
        if not pipe.poll(START_WITHIN):
            self._error = Unisolable(f"a process of its own did not start within {START_WITHIN:g} s")
            return
        while True:
            said = pipe.recv()
            if isinstance(said, Message):
                hear(said)
            elif isinstance(said, cell.Ready):
                with self._lock:
                    pipe.send(self._order)
                    self._ready = True
                    if self._stopped:
                        pipe.send(cell.STOP)
            elif isinstance(said, cell.Broken):
                self._error = Unisolable(said.reason)
                return
            elif isinstance(said, cell.Farewell):
                self._said_all = True
                return

    # ---- afterwards

    def _judge(self, code: int | None) -> Death | None:
        if self._error is not None and not self._halted:
            raise self._error
        if self._said_all or self._halted:
            return None
        trace = self._trace.read_text(errors="replace") if self._trace.exists() else ""
        limit = limit_of(self._order.options.heartbeat_timeout)
        blocked = limit if _HUNG in trace else None
        return Death(describe(code), trace, blocked)


def describe(code: int | None) -> str:
    """Say how a process ended."""
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"


def _forking(module: str) -> tuple[BaseContext, bool]:
    """Return how to start a process that has the module soon, and whether that is by forking."""
    if "forkserver" not in multiprocessing.get_all_start_methods() or sys.platform == "darwin":
        return multiprocessing.get_context("spawn"), False
    context = multiprocessing.get_context("forkserver")
    # Has an effect before the first one only; a module that is missing there is imported by each cell.
    context.set_forkserver_preload(["fanout.children.cell", module])
    return context, True
