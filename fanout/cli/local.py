"""`run --local`: a dev server and worker processes for one command."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

from fanout.cli import exits, say, server
from fanout.cli.connection import Connection
from fanout.cli.supervisor import Supervisor
from fanout.cli.worker import METRICS_IP, metrics_flags, worker_command
from fanout.errors import FanoutError

MOST_PROCESSES = 4
SHUTDOWN_TIMEOUT = 10.0


class WorkersFailed(FanoutError):
    """The local worker processes cannot start."""


def default_processes() -> int:
    """Return how many worker processes a machine gets where nobody says."""
    return min(os.cpu_count() or 1, MOST_PROCESSES)


@asynccontextmanager
async def workers(
    connection: Connection,
    modules: Sequence[str],
    *,
    processes: int,
    task_queue: str | None,
    roots: Sequence[str],
    store: str | None,
) -> AsyncIterator[asyncio.Task[None]]:
    """Run worker processes as long as the block lasts; their output goes to `.fanout/worker.log`.

    Yields:
        A task that never ends, unless the workers cannot start: then it raises `WorkersFailed`.
    """
    log = Path(server.FOLDER) / "worker.log"
    with log.open("ab") as output:
        began = output.tell()
        supervisor = Supervisor(
            worker_command(
                modules,
                connection,
                task_queue=task_queue,
                shutdown_timeout=SHUTDOWN_TIMEOUT,
                store=store,
                allow_root=roots,
            ),
            processes,
            tell=lambda event, **details: _tell(output, event, details),
            grace=SHUTDOWN_TIMEOUT,
            flags=partial(metrics_flags, 0, METRICS_IP),
            environment=connection.environment(),
            output=output,
        )
        watching = asyncio.create_task(_watch(supervisor, log, began))
        try:
            yield watching
        finally:
            supervisor.stop()
            await asyncio.shield(asyncio.gather(watching, return_exceptions=True))


async def _watch(supervisor: Supervisor, log: Path, began: int) -> None:
    code = await supervisor.run()
    if code != exits.SUCCEEDED:
        with log.open("rb") as lines:
            lines.seek(began)
            tail = lines.read().decode(errors="replace").splitlines()[-10:]
        raise WorkersFailed("\n".join([f"the workers cannot start (see {log}):", *tail]))


def _tell(output: IO[bytes], event: str, details: dict[str, Any]) -> None:
    more = " ".join(f"{name}={value}" for name, value in details.items())
    output.write(f"{event} {more}\n".encode())
    output.flush()
    if "how" in details:
        say.note(f"{event} ({details['how']}); see {server.FOLDER}/worker.log", style="yellow")
