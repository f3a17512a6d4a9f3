"""An HTTP server in a process of its own that notes when each request came; and processors that ask it.

`python -m tests.integration.counting_server` prints its port, serves until its stdin ends, and then prints the times,
one a line, by a clock that all processes share. What a request says is kept beside its time.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import PIPE, Popen
from typing import NamedTuple

import fanout

ANSWER = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


class Arrival(NamedTuple):
    """A request: when it came, from which processor, and when its item had begun."""

    at: float
    what: str
    begun: float


class CountingServer:
    """The server, as a test sees it."""

    def __init__(self, process: Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.port = int(process.stdout.readline())

    def arrivals(self) -> list[Arrival]:
        """End the server; return what came, in order."""
        output, _ = self._process.communicate()
        lines = (line.split() for line in output.splitlines())
        return [Arrival(float(at), what, float(begun)) for at, what, begun in lines]


@contextmanager
def counting_server() -> Iterator[CountingServer]:
    command = [sys.executable, "-m", "tests.integration.counting_server"]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        yield CountingServer(process)
        if process.poll() is None:
            process.kill()


async def serve() -> None:
    came: list[tuple[float, str]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readline()
        came.append((time.monotonic(), request.split()[1].decode()))
        writer.write(ANSWER)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1000) as server:
        print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    sys.stdout.writelines(f"{at} {path.replace('/', ' ')}\n" for at, path in came)


def ask(what: str, port: int | None = None) -> None:
    """Ask the server, and say with it when that was."""
    with socket.create_connection(("127.0.0.1", port or int(os.environ["FANOUT_TEST_PORT"]))) as there:
        there.sendall(f"GET /{what}/{time.monotonic()} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        assert b" 204 " in there.recv(100)


@fanout.processor(rate_limit="200/s")
async def asked(number: int) -> int:
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(os.environ["FANOUT_TEST_PORT"]))
    writer.write(f"GET /asked/{began} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    assert b" 204 " in await reader.readline()
    writer.close()
    return number


@fanout.processor
def asked_thread(number: int) -> int:
    ask("asked_thread")
    return number


@fanout.processor(executor="process")
def asked_process(number: int) -> int:
    ask("asked_process")
    return number


@fanout.processor(list_size=4)
async def asked_list(numbers: list[int]) -> list[int]:
    return [await asked(number) for number in numbers]


@fanout.processor(list_size=4, executor="process")
def asked_list_process(numbers: list[int]) -> list[int]:
    for _ in numbers:
        ask("asked_list_process")
    return numbers


@fanout.processor
async def asked_and_died(number: int, *, port: int) -> int:
    """Kill the process with the eighth item."""
    # Cells have the environment that their server was started with, perhaps by another test.
    ask("asked_and_died", port)
    if number == 8:
        os._exit(7)
    return number


if __name__ == "__main__":
    asyncio.run(serve())
