"""Toxiproxy: stands between two ends of a connection, and does to it what networks do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from fanout.ports import free_port
from tests.waiting import eventually

COMMAND = Path(sys.executable).parent / "toxiproxy-server"
HOST = "127.0.0.1"


def _ask(method: str, url: str, body: Mapping[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urlopen(request, timeout=10) as answer:
        text = answer.read()
    return json.loads(text) if text else None


@dataclass
class Link:
    """One proxied connection.

    Attributes:
        api: Where it is controlled.
        address: What to connect to instead of its other end.
    """

    api: str
    address: str

    def cut(self) -> None:
        """Close all connections and refuse new ones."""
        _ask("POST", self.api, {"enabled": False})

    def mend(self) -> None:
        """Let everything through again, unhindered."""
        for toxic in _ask("GET", f"{self.api}/toxics"):
            _ask("DELETE", f"{self.api}/toxics/{toxic['name']}")
        _ask("POST", self.api, {"enabled": True})

    def poison(
        self, kind: str, *, toxicity: float = 1.0, stream: str = "downstream", **attributes: int
    ) -> None:
        """Add one of Toxiproxy's toxics.

        Args:
            kind: Such as `latency`, `bandwidth`, `reset_peer`, `limit_data` or `timeout`.
            toxicity: Share of the connections that have it.
            stream: `upstream` for what clients send, `downstream` for what they get.
            **attributes: The toxic's own.
        """
        body = {"type": kind, "stream": stream, "toxicity": toxicity, "attributes": attributes}
        _ask("POST", f"{self.api}/toxics", {"name": f"{kind}-{stream}", **body})


class Toxiproxy:
    """A running Toxiproxy server.

    Args:
        log: Where it writes.
    """

    def __init__(self, log: Path) -> None:
        assert COMMAND.exists(), f"there is no {COMMAND}: `sh tools/toxiproxy.sh {COMMAND}` builds it"
        port = free_port(HOST)
        self._api = f"http://{HOST}:{port}"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [str(COMMAND), "-host", HOST, "-port", str(port)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    async def ready(self) -> None:
        """Return when it answers."""
        await eventually(self._answers)

    def _answers(self) -> bool:
        try:
            _ask("GET", f"{self._api}/proxies")
        except URLError:
            return False
        return True

    def link(self, name: str, upstream: str) -> Link:
        """Stand before an address."""
        listen = f"{HOST}:{free_port(HOST)}"
        _ask(
            "POST",
            f"{self._api}/proxies",
            {"name": name, "listen": listen, "upstream": upstream, "enabled": True},
        )
        return Link(f"{self._api}/proxies/{name}", listen)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)
