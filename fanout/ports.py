"""TCP ports of this machine: free ones, and who has a taken one."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path

from fanout.errors import UsageError

UI_OFFSET = 1000
"""How far a dev server's Temporal Web is above its own port, where that one is free: so clients know its address."""

_PAIR_ATTEMPTS = 20


def free_port(ip: str = "127.0.0.1") -> int:
    """Return a port that nobody uses at this moment."""
    with _socket_for(ip) as probe:
        probe.bind((ip, 0))
        port: int = probe.getsockname()[1]
        return port


def choose_ports(ip: str, port: int | None, ui_port: int | None, *, ui: bool) -> tuple[int, int | None]:
    """Return a dev server's port and, where it has one, that of its Temporal Web.

    Args:
        ip: The address that it listens on.
        port: Its port; None takes a free one.
        ui_port: The port of Temporal Web; None takes the one `UI_OFFSET` above, or a free one where that is taken.
        ui: Whether it has Temporal Web.
    """
    if not ui or ui_port is not None:
        return port or free_port(ip), ui_port if ui else None
    for _ in range(1 if port else _PAIR_ATTEMPTS):
        chosen = port or free_port(ip)
        if _is_free(ip, chosen + UI_OFFSET):
            return chosen, chosen + UI_OFFSET
    return chosen, free_port(ip)


def _is_free(ip: str, port: int) -> bool:
    try:
        with _socket_for(ip) as probe:
            probe.bind((ip, port))
    except (OSError, OverflowError):  # the latter beyond the last port
        return False
    return True


def _socket_for(ip: str) -> socket.socket:
    probe = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM)
    # As the server does it: a port whose last connections are winding down is free.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return probe


def to_connect(ip: str) -> str:
    """Return the host to dial for what listens on an address, with the brackets that IPv6 wants."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(ip, ip)  # noqa: S104 - what one listens on, not what one dials
    return f"[{host}]" if ":" in host else host


def refuse_taken(ip: str, port: int, option: str) -> None:
    """Check that a port can be listened on.

    Raises:
        UsageError: It cannot; the text names who has it, where that is known, and the option to change.
    """
    with _socket_for(ip) as probe:
        try:
            probe.bind((ip, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise UsageError(f"cannot listen on {ip}:{port}: {error.strerror}") from error
            raise UsageError(
                f"port {port} is in use by {_who_listens(port) or 'another process'}: "
                f"stop that, or choose another port with {option}"
            ) from None


def _who_listens(port: int) -> str | None:
    """Name the process that listens on a port, where Linux tells it: one that has the socket's inode open."""
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with contextlib.suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                columns = line.split()
                listens = columns[3] == "0A"
                if listens and int(columns[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{columns[9]}]")
    for link in Path("/proc").glob("[0-9]*/fd/*") if inodes else ():
        with contextlib.suppress(OSError):
            if os.readlink(link) in inodes:  # noqa: PTH115 - sockets are no paths
                process = link.parent.parent
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return None
