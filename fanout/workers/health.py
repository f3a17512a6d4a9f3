"""Whether a worker is well, over HTTP: what an orchestrator asks before it restarts a process, or counts it as ready.

`/healthz` answers whether a restart would help: a part of the process is dead or hangs. `/readyz` answers whether work
gets done now: it polls, the server answers, and nobody has told it to stop. Both answer 200 or 503, with the same JSON.
A server that is away makes a worker unready, not unwell: nothing would be better after a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.service import RPCError, RPCStatusCode

from fanout.ports import refuse_taken

if TYPE_CHECKING:
    from temporalio.client import Client
    from temporalio.worker import Worker

HEALTH_IP = "127.0.0.1"

ASK_EVERY = 5.0
"""Seconds between two questions to the server; so long it has to answer, too."""

_REFUSALS = (RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED)
_PATHS = ("/healthz", "/readyz")
_REQUEST_WITHIN = 5.0
_LONGEST_HEAD = 8 * 1024
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}


@dataclass(frozen=True)
class Part:
    """One part of a worker, such as a process.

    Attributes:
        name: For people.
        unwell: Why a restart is due; empty while it is alive.
        unready: Why it gets no work done now; empty while it does.
    """

    name: str
    unwell: str = ""
    unready: str = ""


Look = Callable[[], Sequence[Part]]


async def keep_asking(client: Client, hear: Callable[[str], None]) -> None:
    """Ask a Temporal server again and again whether it is there, until cancelled.

    Args:
        client: Of the server.
        hear: Called each time with what is wrong with the answer; with an empty text if nothing is.
    """
    target = client.service_client.config.target_host
    while True:
        try:
            # What each client asks as it connects: everybody may.
            await client.workflow_service.get_system_info(
                GetSystemInfoRequest(), timeout=timedelta(seconds=ASK_EVERY)
            )
            hear("")
        except RPCError as error:
            does = "refuses this client" if error.status in _REFUSALS else "does not answer"
            hear(f"the server at {target} {does}: {error.status.name}")
        await asyncio.sleep(ASK_EVERY)


@asynccontextmanager
async def serve_health(*workers: Worker, port: int, ip: str = HEALTH_IP) -> AsyncIterator[None]:
    """Answer `/healthz` and `/readyz` for Temporal workers of this process, as long as the block lasts.

        async with fanout.serve_health(worker, port=8080, ip="0.0.0.0"):
            await worker.run()

    An event loop that is blocked does not answer, which an orchestrator takes for unwell.

    Args:
        *workers: Workers, whether they run already or not.
        port: To listen on.
        ip: Address to listen on.

    Raises:
        UsageError: The port cannot be listened on.
    """
    troubles: dict[int, str] = {}

    def look() -> list[Part]:
        return [_part_of(worker, troubles.get(number, "")) for number, worker in enumerate(workers)]

    async with answer(look, port=port, ip=ip):
        asking = [
            asyncio.create_task(keep_asking(worker.client, partial(troubles.__setitem__, number)))
            for number, worker in enumerate(workers)
        ]
        try:
            yield
        finally:
            for task in asking:
                task.cancel()


def _part_of(worker: Worker, trouble: str) -> Part:
    name = f"worker of {worker.task_queue}"
    if worker.is_shutdown:
        return Part(name, unwell="it has ended")
    return Part(name, unready=trouble if worker.is_running else "it does not poll yet")


@asynccontextmanager
async def answer(look: Look, *, port: int, ip: str = HEALTH_IP) -> AsyncIterator[None]:
    """Answer by what `look` returns, as long as the block lasts.

    Args:
        look: Returns all parts.
        port: To listen on.
        ip: Address to listen on.

    Raises:
        UsageError: The port cannot be listened on.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, ValueError, TimeoutError):
            async with asyncio.timeout(_REQUEST_WITHIN):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(head, look))
                await writer.drain()
        writer.close()

    refuse_taken(ip, port, "--health-port")
    async with await asyncio.start_server(serve, ip, port, limit=_LONGEST_HEAD):
        yield


def _response(head: bytes, look: Look) -> bytes:
    line = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
    method, path = (line[0], line[1].partition("?")[0]) if len(line) == 3 else ("", "")
    body: dict[str, object]
    if not path:
        code, body = 400, {"error": "this is no request"}
    elif method not in ("GET", "HEAD"):
        code, body = 405, {"error": "only GET and HEAD"}
    elif path not in _PATHS:
        code, body = 404, {"error": f"ask {' or '.join(_PATHS)}"}
    else:
        code, body = describe(look(), ready=path == "/readyz")
    text = json.dumps(body).encode() + b"\n"
    said = f"HTTP/1.1 {code} {_REASONS[code]}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n"
    return (
        said.encode()
        + b"Cache-Control: no-store\r\nConnection: close\r\n\r\n"
        + (b"" if method == "HEAD" else text)
    )


def describe(parts: Sequence[Part], *, ready: bool) -> tuple[int, dict[str, object]]:
    """Return the status code and the body of an answer.

    Args:
        parts: All parts.
        ready: Whether `/readyz` is asked, where a part that is unready counts, too.
    """
    fails = any(part.unwell or (ready and part.unready) for part in parts)
    told = [
        {
            "name": part.name,
            "status": "unwell" if part.unwell else "unready" if part.unready else "ok",
            **({"reason": part.unwell or part.unready} if part.unwell or part.unready else {}),
        }
        for part in parts
    ]
    return (503 if fails else 200), {"status": "fail" if fails else "ok", "parts": told}
