"""A Temporal development server: started, watched, and stopped.

For first steps, tests and notebooks, never for production. The server is the `temporal` command's own
(`temporal server start-dev`), run as a child process.

    async with await start_dev_server(db=Path(".fanout/temporal.db")) as server:
        client = await Client.connect(server.address)
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from temporalio.client import Client
from temporalio.service import RPCError

from fanout.errors import NoServer, UsageError
from fanout.ports import UI_OFFSET, choose_ports, refuse_taken, to_connect
from fanout.searchattributes import TYPES
from fanout.temporal_cli import Cli, find_cli

__all__ = ["Cli", "DevServer", "find_cli", "serve_forever", "start_dev_server"]

DEFAULT_PORT: Final = 7233
DEFAULT_UI_PORT: Final = DEFAULT_PORT + UI_OFFSET
DEFAULT_DB: Final = Path(".fanout/temporal.db")
ADDRESS_VARIABLE: Final = "TEMPORAL_ADDRESS"

RUNS_SMOOTHLY: Final = {"history.maximumBufferedEventsBatch": 2000}
"""A server holds back what happens to a workflow during one of its workflow tasks. With more than 100 such events it
fails the task, which is then done again. A partition of many small batches gets there on a busy machine: 2,000 batches
of one item, 200 of them in flight, took half as long again (measured; server 1.32)."""

STARTED_WITHIN: Final = 30.0
"""Seconds that a server may take to answer. It takes half a second on two idle cores."""

STOPPED_WITHIN: Final = 15.0
"""Seconds that a server may take to stop by itself, before it is killed. It takes two and a half."""

_POLL: Final = 0.05
_PORT_ATTEMPTS: Final = 3

# Runs in the child, in place of a `preexec_fn`, which may deadlock in a process with threads: asks Linux to
# kill this process with its parent, then becomes the server. Argument 1 is the parent, which may be dead.
_DIE_WITH_PARENT: Final = (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)\n"
    "if os.getppid() != int(sys.argv[1]): os._exit(1)\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)


@dataclass(eq=False)
class DevServer:
    """A running development server. Leaving it as a context manager stops it.

    Attributes:
        cli: The command that runs it.
        address: Host and port for clients.
        ui_url: Where Temporal Web is, or None without it.
        namespace: The namespace to use.
        db: The database file, or None for a server that forgets everything.
        log: The file that the server writes its output to.
    """

    cli: Cli
    address: str
    ui_url: str | None
    namespace: str
    db: Path | None
    log: Path
    _process: subprocess.Popen[bytes] = field(repr=False)
    _owns_log: bool = field(default=False, repr=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def pid(self) -> int:
        """The id of the server's process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there. It may have ended by itself."""
        return self._process.poll() is None

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines that the server wrote."""
        try:
            text = self.log.read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    async def wait(self) -> int:
        """Wait until the process ends, by itself or by `stop`, and return its exit status."""
        while (status := self._process.poll()) is None:  # noqa: ASYNC110 - there is no event of a process's end
            await asyncio.sleep(_POLL)
        return status

    def kill(self) -> None:
        """End the server at once. A database file survives this; only the last moments may be lost."""
        if self.running:
            os.killpg(self._process.pid, signal.SIGKILL)

    async def stop(self, grace: float = STOPPED_WITHIN) -> None:
        """Stop the server, and wait until it is gone. Does nothing when it is gone already.

        Args:
            grace: Seconds that it may take to write what it has in hand, before it is killed. A server
                without a database file has nothing to write, and is killed at once.
        """
        if self.running:
            if self.db is None:
                self.kill()
            else:
                self._process.terminate()
        try:
            await asyncio.wait_for(self.wait(), grace)
        except TimeoutError:
            self.kill()
            await self.wait()
        except asyncio.CancelledError:
            self.kill()
            raise
        if self._owns_log:
            self.log.unlink(missing_ok=True)


async def start_dev_server(
    *,
    db: Path | None = None,
    ip: str = "127.0.0.1",
    port: int | None = None,
    ui: bool = True,
    ui_port: int | None = None,
    namespace: str = "default",
    log: Path | None = None,
    search_attributes: Mapping[str, str] | None = TYPES,
    dynamic_config: Mapping[str, object] | None = None,
    extra_arguments: Sequence[str] = (),
    die_with_parent: bool = True,
    cli: Cli | None = None,
) -> DevServer:
    """Start a server, and return it when it answers.

    Args:
        db: Its database file, made with its folder if need be; None keeps everything in memory.
        ip: The address that it listens on.
        port: Its port; None takes a free one.
        ui: Whether it serves Temporal Web.
        ui_port: The port of Temporal Web; None takes the one a thousand above `port`, or a free one.
        namespace: A namespace to make, which `DevServer.namespace` names; `default` is always there.
        log: A file to add its output to; None uses a temporary one, which goes when the server stops.
        search_attributes: Search attributes to register: name to type (`Keyword`, `Int`, `Datetime`, …). Default: those
            by which runs of fanout are found.
        dynamic_config: Settings of the server, by name, over those of `RUNS_SMOOTHLY`. A run needs none.
        extra_arguments: Further arguments for `temporal server start-dev`.
        die_with_parent: On Linux, whether the server is killed when this process dies, or when the thread
            ends that runs this coroutine.
        cli: The command to use; None finds one.

    Raises:
        NoServer: There is no `temporal` command, or the server ended or did not answer in time.
        UsageError: A port, or the database file, is in use.
    """
    cli = cli or find_cli()
    settings = {**RUNS_SMOOTHLY, **(dynamic_config or {})}
    attempts = _PORT_ATTEMPTS
    while True:
        attempts -= 1
        chosen, chosen_ui = choose_ports(ip, port, ui_port, ui=ui)
        refuse_taken(ip, chosen, "--port")
        if chosen_ui is not None:
            refuse_taken(ip, chosen_ui, "--ui-port")
        host = to_connect(ip)
        address = f"{host}:{chosen}"
        command = [
            *(str(cli.path), "server", "start-dev", "--color", "never"),
            *("--ip", ip, "--port", str(chosen)),
            *(("--headless",) if chosen_ui is None else ("--ui-port", str(chosen_ui))),
            *(() if db is None else ("--db-filename", str(db))),
            *(() if namespace == "default" else ("--namespace", namespace)),
            *_pairs("--search-attribute", search_attributes or {}),
            *_pairs("--dynamic-config-value", {name: json.dumps(value) for name, value in settings.items()}),
            *extra_arguments,
        ]
        with _lock(db, address) as inherited:
            log_file, owns_log = _log_file(log)
            process = _spawn(command, log_file, inherited, die_with_parent)
        server = DevServer(
            cli=cli,
            address=address,
            ui_url=None if chosen_ui is None else f"http://{host}:{chosen_ui}",
            namespace=namespace,
            db=db,
            log=log_file,
            _process=process,
            _owns_log=owns_log,
        )
        try:
            await _ready(server, host, chosen_ui)
        except BaseException as error:
            # Between the choice of free ports, the server's inner ones too, and their use, one may be taken.
            lost_a_port = isinstance(error, NoServer) and "address already in use" in server.log_tail()
            server.kill()
            await server.stop()
            if lost_a_port and attempts:
                continue
            raise
        return server


async def serve_forever(
    starting: Coroutine[Any, Any, DevServer], *, announce: Callable[[DevServer], None]
) -> None:
    """Run a server in the foreground until SIGINT, SIGTERM or SIGHUP, then stop it cleanly.

    A second signal, while it stops, kills it. Call this in the main thread, as signals arrive there:

        await serve_forever(start_dev_server(db=DEFAULT_DB, port=DEFAULT_PORT), announce=print)

    Args:
        starting: A call of `start_dev_server`.
        announce: Called once, when the server answers: prints its addresses.

    Raises:
        NoServer: It could not be started, or ended by itself.
        UsageError: A port, or the database file, is in use.
    """
    asked = asyncio.Event()
    server: DevServer | None = None

    def on_signal() -> None:
        if asked.is_set() and server is not None:
            server.kill()
        asked.set()

    with _signals(on_signal):
        start = asyncio.create_task(starting)
        asking = asyncio.create_task(asked.wait())
        await asyncio.wait([start, asking], return_when=asyncio.FIRST_COMPLETED)
        if not start.done():
            start.cancel()
            await asyncio.wait([start])
        if start.cancelled():
            return
        server = start.result()
        async with server:
            announce(server)
            ending = asyncio.create_task(server.wait())
            await asyncio.wait([ending, asking], return_when=asyncio.FIRST_COMPLETED)
            asking.cancel()
            if not asked.is_set():
                raise NoServer(f"the server ended by itself ({ending.result()}):\n{server.log_tail()}")


def _pairs(option: str, values: Mapping[str, str]) -> Iterator[str]:
    for name, value in values.items():
        yield from (option, f"{name}={value}")


def _log_file(log: Path | None) -> tuple[Path, bool]:
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        return log, False
    handle, name = tempfile.mkstemp(prefix="fanout-dev-server-", suffix=".log")
    os.close(handle)
    return Path(name), True


@contextmanager
def _lock(db: Path | None, address: str) -> Iterator[IO[str] | None]:
    """Keep two servers off one database file, which would ruin it.

    The child inherits the open lock file, so the lock lasts exactly as long as the server.
    """
    if db is None:
        yield None
        return
    db.parent.mkdir(parents=True, exist_ok=True)
    with db.with_name(f"{db.name}.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise UsageError(
                f"{db} is in use by the server at {lock.read().strip() or 'another port'}: "
                "use that one with --address, stop it, or choose another file with --db"
            ) from None
        lock.truncate(0)
        lock.write(address)
        lock.flush()
        yield lock


def _spawn(
    arguments: list[str], log: Path, inherited: IO[str] | None, die_with_parent: bool
) -> subprocess.Popen[bytes]:
    if die_with_parent and sys.platform == "linux":
        arguments = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *arguments]
    with log.open("ab") as output:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=() if inherited is None else (inherited.fileno(),),
            # A Ctrl-C in the terminal is for us: the server stops when its workers and clients are done.
            start_new_session=True,
        )


async def _ready(server: DevServer, host: str, ui_port: int | None) -> None:
    """Wait until the server says that it serves, and Temporal Web accepts connections.

    Twice, with the process looked at between: it ends after its first answer where one of its inner services, which
    begin last, finds its port taken; and until it ends somebody else may answer at a port that it has lost.
    """
    deadline = time.monotonic() + STARTED_WITHIN
    last: Exception | None = None
    answered = False
    while time.monotonic() < deadline:
        if not server.running:
            raise NoServer(
                f"{server.cli} ended before it served anyone. Its last lines:\n{server.log_tail()}"
            )
        try:
            await _ask(server)
            if ui_port is not None:
                await _touch(host.strip("[]"), ui_port)
        except (OSError, RPCError, RuntimeError) as error:
            last = error
        else:
            if answered:
                return
            answered = True
        await asyncio.sleep(_POLL)
    raise NoServer(f"{server.cli} did not answer at {server.address} within {STARTED_WITHIN:g} s: {last}")


async def _ask(server: DevServer) -> None:
    host, _, port = server.address.rpartition(":")
    # Cheaper than a client, whose own attempts to connect take seconds when nobody listens yet.
    await _touch(host.strip("[]"), int(port))
    client = await Client.connect(server.address, namespace=server.namespace)
    if not await client.service_client.check_health():
        raise ConnectionError("the server answers, and says that it does not serve yet")


async def _touch(host: str, port: int) -> None:
    _, writer = await asyncio.open_connection(host, port)
    writer.close()
    await writer.wait_closed()


@contextmanager
def _signals(handler: Callable[[], None]) -> Iterator[None]:
    """Send SIGINT, SIGTERM and SIGHUP to a function, for a while."""
    loop = asyncio.get_running_loop()
    caught = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in caught}
    for number in caught:
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number, previous in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, previous)
