"""Redis and PostgreSQL: on loopback ports of their own, with their data in folders that go again."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"

REDIS = "BENCH_REDIS"
POSTGRES = "BENCH_POSTGRES"
"""Variables in which a driver and its workers find them."""

READY_WITHIN = 30.0
STOP_WITHIN = 30.0


@contextmanager
def redis() -> Iterator[None]:
    """Run a Redis that keeps all in memory."""
    program = _program("redis-server")
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="fanout-bench-redis-") as folder:
        command = [
            program,
            "--bind",
            HOST,
            "--port",
            str(port),
            "--dir",
            folder,
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        with process(command):
            _wait_for(["redis-cli", "-h", HOST, "-p", str(port), "ping"])
            os.environ[REDIS] = f"redis://{HOST}:{port}/0"
            yield


@contextmanager
def postgres() -> Iterator[None]:
    """Run a PostgreSQL as it comes: what is committed is on disk."""
    user = _no_root()
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="fanout-bench-postgres-") as folder:
        if user is not None:
            shutil.chown(folder, user)
        data = Path(folder) / "data"
        initdb = [
            _program("initdb"),
            "--pgdata",
            str(data),
            "--username",
            "bench",
            "--auth",
            "trust",
            "--no-sync",
        ]
        subprocess.run(
            [*initdb, "--encoding", "UTF8"], check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL
        )
        command = [_program("postgres"), "-D", str(data), "-h", HOST, "-p", str(port), "-k", folder]
        # SIGINT: its fast shutdown, which does not wait for clients.
        with process(command, user=user, cwd=folder, stop=signal.SIGINT):
            _wait_for([_program("pg_isready"), "-q", "-U", "bench", "-h", HOST, "-p", str(port)])
            os.environ[POSTGRES] = f"postgresql://bench@{HOST}:{port}/bench"
            yield


@contextmanager
def process(
    command: Sequence[str],
    *,
    user: str | None = None,
    cwd: str | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[None]:
    """Run a process while the block runs.

    Args:
        command: Program and arguments.
        user: Whose it is, if not this process's.
        cwd: Its folder.
        stop: The signal that ends it.
    """
    running = subprocess.Popen(command, stdin=subprocess.DEVNULL, user=user, cwd=cwd)
    try:
        yield
    finally:
        running.send_signal(stop)
        try:
            running.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def _program(name: str) -> str:
    # Debian keeps PostgreSQL's programs off PATH, by version.
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    path = os.pathsep.join([*map(str, reversed(folders)), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=path)
    if found is None:
        raise FileNotFoundError(f"no {name} on this machine: run `make peers`")
    return found


def _no_root() -> str | None:
    """Return a user for PostgreSQL, which does not run as root; None where this process may run it itself."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _wait_for(check: Sequence[str]) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while subprocess.run(check, capture_output=True, check=False).returncode:
        if time.monotonic() > deadline:
            raise TimeoutError(f"still failing after {READY_WITHIN:g} s: {' '.join(check)}")
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
