"""An S3 server over HTTP: moto, made to keep what S3 promises of conditional writes."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final

CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "a-very-secret-value",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class ConditionalWrites:
    """Passes conditional writes of one object on one after the other.

    Moto looks whether the object is there and then writes it, in a thread per request: of two creators at once,
    both may win. S3 lets one of them win.

    Args:
        inner: Does the work.
    """

    def __init__(self, inner: Application) -> None:
        self._inner = inner
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if "HTTP_IF_NONE_MATCH" not in environ:
            return self._inner(environ, start_response)
        with self._locks[environ["PATH_INFO"]]:
            return list(self._inner(environ, start_response))


def client_of(address: str) -> Any:
    """Return a client of boto3 that goes straight to a server."""
    import boto3  # type: ignore[import-untyped]

    return boto3.client(
        "s3",
        endpoint_url=f"http://{address}",
        region_name=CREDENTIALS["AWS_REGION"],
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


class S3Server:
    """Moto on a port of its own, with one bucket.

    Attributes:
        address: Host and port.
        client: A client of boto3 that goes straight to it.

    Args:
        bucket: The name of the bucket.
        around: Makes what stands before the server, of the server.
        host: The address that it listens on.
        port: The port; 0 for a free one.
    """

    def __init__(
        self,
        bucket: str,
        around: Callable[[Application], Application] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        application: Application = ConditionalWrites(DomainDispatcherApplication(create_backend_app))
        self._server = make_server(host, port, around(application) if around else application, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.address = f"{host}:{self._server.server_port}"
        self.client = client_of(self.address)
        self.client.create_bucket(Bucket=bucket)

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.client.close()
