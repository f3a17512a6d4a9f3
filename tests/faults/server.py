"""A Temporal server with a database file, which can be killed and started again at the same address."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fanout.devserver import DevServer, start_dev_server


class MortalServer:
    """The server of one scenario.

    Args:
        folder: Where its database lies.
        settings: Of the server, by name.
    """

    def __init__(self, folder: Path, settings: Mapping[str, object] | None = None) -> None:
        self._settings = settings
        self._folder = folder
        self._server: DevServer | None = None
        self.address = ""

    async def start(self) -> None:
        """Start it; the second time and later on what it had stored."""
        port = int(self.address.rpartition(":")[2]) if self.address else None
        self._server = await start_dev_server(
            db=self._folder / "temporal.db",
            port=port,
            ui=False,
            log=self._folder / "server.log",
            dynamic_config=self._settings,
        )
        self.address = self._server.address

    async def kill(self) -> None:
        """Kill it by SIGKILL, and wait until it is gone."""
        assert self._server is not None
        assert self._server.running, self._server.log_tail()
        self._server.kill()
        await self._server.wait()

    async def stop(self) -> None:
        """End it."""
        if self._server is not None:
            await self._server.stop()
