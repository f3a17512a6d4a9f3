"""Servers of other people, run as they come: on ports of their own, with their data in folders that go again.

Needs nothing but Python: what fanout is compared with runs it in an environment of its own.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"
PORTS = (20_000, 30_000)
"""Below those that systems give to outgoing connections."""

_ports = itertools.cycle(random.sample(range(*PORTS), PORTS[1] - PORTS[0]))

READY_WITHIN = 30.0
STOP_WITHIN = 30.0


@contextmanager
def postgres(
    user: str, *, host: str = HOST, within: Sequence[str] = (), settings: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Run a PostgreSQL as it comes: what is committed is on disk. Yields its port.

    Args:
        user: Its superuser, who needs no password.
        host: The address that it listens on.
        within: A command that runs another one there, such as `ip netns exec HOST`.
        settings: Over its defaults, by name.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="fanout-postgres-") as folder:
        drop = _no_root(folder)
        data = f"{folder}/data"
        initdb = [*drop, program("initdb"), "--pgdata", data, "--username", user, "--encoding", "UTF8"]
        initdb += ["--auth", "trust", "--no-sync"]
        subprocess.run(initdb, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        with Path(data, "pg_hba.conf").open("a") as trusted:
            trusted.write(f"host all all {host}/32 trust\n")
        command = [*within, *drop, program("postgres"), "-D", data, "-h", host, "-p", str(port), "-k", folder]
        command += [f"-c{name}={value}" for name, value in (settings or {}).items()]
        # SIGINT: its fast shutdown, which does not wait for clients.
        with process(command, cwd=folder, stop=signal.SIGINT):
            wait_for([program("pg_isready"), "-q", "-U", user, "-h", folder, "-p", str(port)])
            yield port


@contextmanager
def process(
    command: Sequence[str], *, cwd: str | None = None, stop: signal.Signals = signal.SIGTERM
) -> Iterator[None]:
    """Run a process while the block runs.

    Args:
        command: Program and arguments.
        cwd: Its folder.
        stop: The signal that ends it.
    """
    running = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=cwd)
    try:
        yield
    finally:
        running.send_signal(stop)
        try:
            running.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def program(name: str) -> str:
    """Return the path of a program.

    Raises:
        FileNotFoundError: There is none.
    """
    # Debian keeps PostgreSQL's programs off PATH, by version.
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    path = os.pathsep.join([*map(str, reversed(folders)), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=path)
    if found is None:
        raise FileNotFoundError(f"no {name} on this machine: run `make peers`, or `make production`")
    return found


def wait_for(check: Sequence[str]) -> None:
    """Wait until a command succeeds.

    Raises:
        TimeoutError: It does not.
    """
    deadline = time.monotonic() + READY_WITHIN
    while subprocess.run(check, capture_output=True, check=False).returncode:
        if time.monotonic() > deadline:
            raise TimeoutError(f"still failing after {READY_WITHIN:g} s: {' '.join(check)}")
        time.sleep(0.05)


def free_port() -> int:
    """Return a port that nobody uses at this moment, nor is given by chance to an outgoing connection later on."""
    while True:
        port = next(_ports)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port


def _no_root(folder: str) -> list[str]:
    """Return what runs PostgreSQL, which does not run as root, as somebody else, to whom the folder is given."""
    if os.geteuid() != 0:
        return []
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = known.get("postgres") or known["nobody"]
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
