"""The answers of `/healthz` and `/readyz`, over HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest

from fanout.errors import UsageError
from fanout.ports import free_port
from fanout.workers.health import Part, answer


async def ask(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send the bytes of a request, and return code, headers and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    first, *rest = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ") for line in rest), body


async def get(port: int, path: str) -> tuple[int, Any]:
    code, headers, body = await ask(port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert int(headers["Content-Length"]) == len(body)
    assert headers["Content-Type"] == "application/json"
    return code, json.loads(body)


WELL = Part("a")
UNREADY = Part("b", unready="no server")
UNWELL = Part("c", unwell="it hangs")


@pytest.mark.parametrize(
    ("parts", "healthz", "readyz"),
    [([WELL], 200, 200), ([WELL, UNREADY], 200, 503), ([UNWELL, WELL], 503, 503)],
)
async def test_a_restart_is_asked_for_only_where_it_would_help(
    parts: list[Part], healthz: int, readyz: int
) -> None:
    port = free_port()
    async with answer(lambda: parts, port=port):
        health, ready = await get(port, "/healthz"), await get(port, "/readyz?verbose")
    assert (health[0], ready[0]) == (healthz, readyz)
    assert health[1]["status"] == ("ok" if healthz == 200 else "fail")
    assert health[1]["parts"] == ready[1]["parts"]


async def test_the_body_says_which_part_is_not_well_and_why() -> None:
    port = free_port()
    async with answer(lambda: [WELL, UNREADY, UNWELL], port=port):
        _, body = await get(port, "/readyz")
    assert body == {
        "status": "fail",
        "parts": [
            {"name": "a", "status": "ok"},
            {"name": "b", "status": "unready", "reason": "no server"},
            {"name": "c", "status": "unwell", "reason": "it hangs"},
        ],
    }


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"POST /healthz HTTP/1.1\r\n\r\n", 405),
        (b"\x16\x03\x01\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.0\r\n\r\n", 200),
    ],
)
async def test_other_requests_are_answered_in_order(request_: bytes, code: int) -> None:
    port = free_port()
    async with answer(lambda: [WELL], port=port):
        assert (await ask(port, request_))[0] == code


async def test_head_has_no_body() -> None:
    port = free_port()
    async with answer(lambda: [WELL], port=port):
        code, headers, body = await ask(port, b"HEAD /healthz HTTP/1.1\r\n\r\n")
    assert (code, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0


async def test_who_sends_nonsense_or_leaves_does_no_harm() -> None:
    port = free_port()
    async with answer(lambda: [WELL], port=port):
        for nonsense in (b"", b"GET", b"x" * 20_000):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(nonsense)
            writer.close()
        assert (await get(port, "/healthz"))[0] == 200


async def test_a_port_that_is_taken_is_a_usage_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="--health-port"):
            async with answer(list, port=taken.getsockname()[1]):
                pass
