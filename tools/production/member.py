"""One process of a Temporal cluster: started, asked whether it serves, killed, and started again where it was."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from temporalio.service import ConnectConfig, RPCError, ServiceClient

HEALTH: Final = {
    "frontend": "temporal.api.workflowservice.v1.WorkflowService",
    "history": "temporal.api.workflowservice.v1.HistoryService",
    "matching": "temporal.api.workflowservice.v1.MatchingService",
}
"""What a process is asked for by the health protocol of gRPC; workers serve nobody, and are not asked."""


@dataclass
class Member:
    """A process with one role.

    Attributes:
        service: Its role.
        name: Of this process among those of its role.
        address: Where it takes calls.
        command: What runs it.
        log: What it writes.
    """

    service: str
    name: str
    address: str
    command: Sequence[str]
    log: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        """The id of its process."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, the second time and later on in the same place."""
        assert not self.running, f"{self.name} runs"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=kept
            )

    async def serves(self) -> bool:
        """Say whether it does what it is there for: a history process only once it has its shards.

        Raises:
            RuntimeError: It has ended.
        """
        if not self.running:
            raise RuntimeError(f"{self.name} has ended:\n{self.log_tail()}")
        if self.service not in HEALTH:
            return True
        try:
            service = await ServiceClient.connect(ConnectConfig(target_host=self.address, lazy=True))
            return await service.check_health(service=HEALTH[self.service], retry=False)
        except (RPCError, RuntimeError):
            return False

    def kill(self) -> None:
        """Kill it by SIGKILL, and wait until it is gone."""
        assert self.running, f"{self.name} has ended:\n{self.log_tail()}"
        self.end()

    def end(self) -> None:
        """Do so if it is there."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def log_tail(self, lines: int = 15) -> str:
        """Return the last that it wrote."""
        # Some hold whole stacks.
        return "\n".join(line[:500] for line in self.log.read_text(errors="replace").splitlines()[-lines:])
