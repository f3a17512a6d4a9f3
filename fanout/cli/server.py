"""The dev server of a folder: started once, shared by the commands that use it, stopped by the last of them.

`.fanout/server.json` says which one runs; the lock on the database file, which the server holds as long as it lives,
says whether it still does. Each command that uses the server holds a shared lock on `.fanout/users.lock`: who can
turn that into an exclusive one is the last, and stops the server, unless `fanout dev` keeps it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from fanout.errors import NoServer

if TYPE_CHECKING:
    from fanout.devserver import DevServer

FOLDER = ".fanout"
_STOP_WITHIN = 15.0
_POLL = 0.05

_started: dict[int, DevServer] = {}
"""The servers that this process started, by their process: whoever starts a process must reap it."""


@dataclass(frozen=True)
class Found:
    """A dev server that runs for a folder.

    Attributes:
        address: For clients.
        ui_url: Temporal Web.
        pid: Its process.
        kept: `fanout dev` runs it: others leave it alone.
    """

    address: str
    ui_url: str | None
    pid: int
    kept: bool = False


def database(folder: Path) -> Path:
    """Return the database file of a folder's dev server."""
    return folder / FOLDER / "temporal.db"


def running(folder: Path) -> Found | None:
    """Return the dev server that runs for a folder, if one does."""
    lock = _lock_of(folder)
    if not _is_locked(lock):
        return None
    address = lock.read_text().strip()
    with contextlib.suppress(OSError, ValueError, TypeError):
        found = Found(**json.loads((folder / FOLDER / "server.json").read_text()))
        if found.address == address:
            return found
    # Started by other means than this command: it may be used, and is nobody's here to stop.
    return Found(address, None, 0, kept=True)


def record(folder: Path, found: Found) -> None:
    """Write down which server runs for a folder."""
    prepare(folder)
    target = folder / FOLDER / "server.json"
    draft = target.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(asdict(found)))
    draft.replace(target)


def forget(folder: Path) -> None:
    """Remove the record of a server that has ended; that of another one stays."""
    if not _is_locked(_lock_of(folder)):
        (folder / FOLDER / "server.json").unlink(missing_ok=True)


def prepare(folder: Path) -> None:
    """Make the folder for what a dev server leaves behind, and keep it out of version control."""
    own = folder / FOLDER
    own.mkdir(exist_ok=True)
    ignore = own / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")


@asynccontextmanager
async def use(folder: Path) -> AsyncIterator[Found]:
    """Use the dev server of a folder; start it if need be, and stop it if nobody else uses it at the end.

    Raises:
        NoServer: It cannot be started.
    """
    prepare(folder)
    with (folder / FOLDER / "users.lock").open("a") as users:
        async with _alone(folder):
            found = running(folder) or await _start(folder)
            fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield found
        finally:
            # Not to be cut short by a second Ctrl-C: the server would be left behind.
            await asyncio.shield(_leave(folder, users))


async def _leave(folder: Path, users: IO[str]) -> None:
    async with _alone(folder):
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        found = running(folder)
        if found is not None and not found.kept:
            await _stop(folder, found)


async def _start(folder: Path) -> Found:
    from fanout import devserver

    # At free ports, not the usual ones: workers and commands of other folders shall not meet it by accident.
    server = await devserver.start_dev_server(
        db=database(folder),
        log=folder / FOLDER / "server.log",
        # Others may still use it when this process ends.
        die_with_parent=False,
    )
    _started[server.pid] = server
    found = Found(server.address, server.ui_url, server.pid)
    record(folder, found)
    return found


async def _stop(folder: Path, found: Found) -> None:
    own = _started.pop(found.pid, None)
    if own is not None:
        await own.stop(_STOP_WITHIN)
    else:
        await _stop_process(folder, found.pid)
    (folder / FOLDER / "server.json").unlink(missing_ok=True)


async def _stop_process(folder: Path, pid: int) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = loop.time() + _STOP_WITHIN
        while loop.time() < deadline:
            if not _is_locked(_lock_of(folder)):
                return
            await asyncio.sleep(_POLL)
    raise NoServer(f"the dev server (process {pid}) does not end")


def _lock_of(folder: Path) -> Path:
    path = database(folder)
    return path.with_name(f"{path.name}.lock")


def _is_locked(path: Path) -> bool:
    try:
        with path.open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@asynccontextmanager
async def _alone(folder: Path) -> AsyncIterator[None]:
    """Keep others from starting or stopping the folder's server meanwhile."""
    with (folder / FOLDER / "start.lock").open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_POLL)
        yield
