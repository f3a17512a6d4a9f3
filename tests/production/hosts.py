"""Hosts in one machine: network namespaces with an address each, and a switch between them."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tests.production.wire import Port, Switch

NETWORK: Final = "198.18.{}.{}"
"""Of the addresses that are kept for measuring networks, and lead nowhere."""

MTU: Final = 9_000


@dataclass(frozen=True)
class Host:
    """One host.

    Attributes:
        address: Its own.
        namespace: The name of its network namespace; none for the machine itself, which takes part, too.
        port: Where it is plugged in.
    """

    address: str
    namespace: str | None
    port: Port

    @property
    def within(self) -> list[str]:
        """What runs a command there."""
        return [] if self.namespace is None else ["ip", "netns", "exec", self.namespace]

    def cut_off(self) -> None:
        """Let nothing through to it, nor from it. Connections stay as they are, as with a cable that is pulled."""
        self.port.cut = True

    def mend(self) -> None:
        """Let everything through again."""
        self.port.cut = False


@contextmanager
def hosts(*names: str, latency: float) -> Iterator[dict[str, Host]]:
    """Make hosts that reach each other, and `here`, which is this machine. They are gone at the end.

    Args:
        names: Of the hosts.
        latency: Seconds from one to another.
    """
    assert os.geteuid() == 0, "network namespaces need root: run these tests as root"
    # Others on this machine may do the same at this moment.
    tag, part = uuid.uuid4().hex[:6], random.randrange(256)
    switch = Switch(latency)
    made: dict[str, Host] = {}
    try:
        for number, name in enumerate(("here", *names), 1):
            # Names of network cards have up to 15 characters.
            card, namespace = f"fo{tag}{number}", None if name == "here" else f"fanout-{tag}-{name}"
            switch.plug(card)
            made[name] = Host(NETWORK.format(part, number), namespace, switch.ports[card])
            _set_up(made[name], card)
        switch.start()
        yield made
    finally:
        switch.stop()
        for host in made.values():
            if host.namespace is not None:
                with contextlib.suppress(subprocess.CalledProcessError):
                    _ip("netns", "delete", host.namespace)


def _set_up(host: Host, card: str) -> None:
    if host.namespace is not None:
        _ip("netns", "add", host.namespace)
        _ip("link", "set", card, "netns", host.namespace)
        _ip("-n", host.namespace, "link", "set", "lo", "up")
    there = [] if host.namespace is None else ["-n", host.namespace]
    _ip(*there, "address", "add", f"{host.address}/24", "dev", card)
    _ip(*there, "link", "set", card, "mtu", str(MTU), "up")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
