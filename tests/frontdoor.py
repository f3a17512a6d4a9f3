"""A front door for the tests' Temporal server, as a company puts one there: encrypted, and not open to everybody.

It is a gRPC server that hands each call on as it is. Temporal's development server knows neither TLS nor API keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import trustme

HOST = "127.0.0.1"
"""By number: of the two addresses that `localhost` stands for, another process may have the same port of one."""

_MOST_CALLS = 200
"""Each poll of a worker holds a thread for up to a minute."""
_NOT_TO_PASS_ON = ("user-agent", "authorization")


class Authority:
    """An authority, and the files of the certificates that it has issued.

    Args:
        folder: Where the files go.
        name: Begin of the files' names.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._ca = trustme.CA()
        self._folder, self._name = folder, name
        self.path = self._write("ca.pem", self._ca.cert_pem.bytes())
        self.pem = self._ca.cert_pem.bytes()

    def issue(self, who: str, *names: str) -> tuple[Path, Path]:
        """Issue a certificate, also for other names, and return the paths of it and its private key."""
        made = self._ca.issue_cert(who, *names)
        chain = b"".join(blob.bytes() for blob in made.cert_chain_pems)
        return self._write(f"{who}.pem", chain), self._write(f"{who}.key", made.private_key_pem.bytes())

    def _write(self, name: str, data: bytes) -> Path:
        path = self._folder / f"{self._name}-{name}"
        path.write_bytes(data)
        return path


@dataclass
class Door(grpc.GenericRpcHandler):
    """Hands calls on to a server, if they bring the key.

    Attributes:
        target: Address of the server.
        keys: The API keys that open it; empty for all.
        seen: The keys that were shown, `None` for none.
    """

    target: str
    keys: set[str] = field(default_factory=set)
    seen: set[str | None] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._channel = grpc.insecure_channel(self.target)

    def service(self, details: Any) -> Any:
        """Answer any method, in bytes as they are."""
        return grpc.unary_unary_rpc_method_handler(partial(self._pass_on, details.method))

    def _pass_on(self, method: str, request: bytes, context: Any) -> Any:
        metadata = context.invocation_metadata()
        shown = dict(metadata).get("authorization", "").removeprefix("Bearer ") or None
        self.seen.add(shown)
        if self.keys and shown is None:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no credentials")
        if self.keys and shown not in self.keys:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "Request unauthorized.")
        kept = tuple(pair for pair in metadata if pair[0] not in _NOT_TO_PASS_ON)
        call = self._channel.unary_unary(method, bytes, bytes).future(
            request, timeout=context.time_remaining(), metadata=kept
        )
        # Else the poll of a worker that has gone would still be given something to do.
        context.add_callback(call.cancel)
        try:
            return call.result()
        except grpc.FutureCancelledError:
            context.abort(grpc.StatusCode.CANCELLED, "the caller has gone")
        except grpc.RpcError as error:
            context.set_trailing_metadata(error.trailing_metadata() or ())
            context.abort(error.code(), error.details())


@contextmanager
def front_door(door: Door, authority: Authority, *, clients: Authority | None = None) -> Iterator[str]:
    """Open a front door with a certificate of an authority, for as long as the block lasts.

    Args:
        door: What it does.
        authority: Whose certificate the server has.
        clients: Whose certificates clients must have; None where they need none.

    Yields:
        Its address.
    """
    certificate, key = authority.issue(HOST, "localhost")
    credentials = grpc.ssl_server_credentials(
        [(key.read_bytes(), certificate.read_bytes())],
        root_certificates=clients.pem if clients else None,
        require_client_auth=clients is not None,
    )
    # A shared port would be one that another server of the tests has as well.
    server = grpc.server(ThreadPoolExecutor(_MOST_CALLS), handlers=[door], options=[("grpc.so_reuseport", 0)])
    port = server.add_secure_port(f"{HOST}:0", credentials)
    server.start()
    try:
        yield f"{HOST}:{port}"
    finally:
        server.stop(None).wait()
