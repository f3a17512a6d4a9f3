"""A switch for the hosts of a test: passes Ethernet frames between them after a while, or no longer.

Netem, the kernel's own means to delay them, is missing from many kernels; TUN/TAP is in most. Each host has one end of
a wire as its network card, and this process the other.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

FRAME: Final = 65_536

_TUNSETIFF: Final = 0x400454CA
_TAP_WITHOUT_HEADER: Final = 0x0002 | 0x1000
_DEVICE: Final = "/dev/net/tun"


@dataclass(eq=False)
class Port:
    """One end of a wire.

    Attributes:
        file: Through which frames come and go.
        cut: Whether it swallows them.
        frames: How many it has passed on.
    """

    file: int
    cut: bool = False
    frames: int = 0


@dataclass(eq=False)
class Switch:
    """A switch, and the thread that runs it.

    Attributes:
        latency: Seconds that a frame takes from one host to another.
        ports: Its ports, by the names of the cards.
    """

    latency: float
    ports: dict[str, Port] = field(default_factory=dict)
    _known: dict[bytes, Port] = field(default_factory=dict)
    _flying: deque[tuple[float, Port, bytes]] = field(default_factory=deque)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def plug(self, card: str) -> None:
        """Make a network card, in the namespace of this process, and plug it in. It is gone with the switch."""
        file = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH14x", card.encode(), _TAP_WITHOUT_HEADER))
        self.ports[card] = Port(file)

    def start(self) -> None:
        """Pass frames on from now on."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Pass nothing on any more, and take the cards away."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        for port in self.ports.values():
            os.close(port.file)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for port in self.ports.values():
                selector.register(port.file, selectors.EVENT_READ, port)
            while not self._ended.is_set():
                for key, _ in selector.select(self._patience()):
                    self._receive(key.data)
                self._deliver()

    def _patience(self) -> float:
        if not self._flying:
            return 0.1
        return max(0.0, self._flying[0][0] - time.monotonic())

    def _receive(self, port: Port) -> None:
        due = time.monotonic() + self.latency
        while True:
            try:
                frame = os.read(port.file, FRAME)
            except OSError:
                # Nothing left, or the card is down.
                return
            if port.cut:
                continue
            target, source = frame[:6], frame[6:12]
            self._known[source] = port
            known = self._known.get(target)
            for other in self.ports.values() if known is None else (known,):
                if other is not port:
                    self._flying.append((due, other, frame))

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._flying and self._flying[0][0] <= now:
            _, port, frame = self._flying.popleft()
            if port.cut:
                continue
            try:
                os.write(port.file, frame)
                port.frames += 1
            except OSError:
                # As any network may: its card is full, or down.
                continue
