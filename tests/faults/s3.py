"""An S3 server that can be told to misbehave: moto, behind an application that fails requests on purpose."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

BUCKET: Final = "faults"
CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "a-secret",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}
UNAVAILABLE: Final = "503 Slow Down"

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Moody:
    """Passes requests on, and answers some of them with an error: half of those it has carried out nevertheless.

    Args:
        inner: Does the work.
        dice: Decides.
    """

    def __init__(self, inner: Application, dice: random.Random) -> None:
        self._inner = inner
        self._dice = dice
        self._lock = threading.Lock()
        self.share = 0.0
        self.faults = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with self._lock:
            fails, done = self._dice.random() < self.share, self._dice.random() < 0.5
            self.faults += fails
        if not fails:
            return self._inner(environ, start_response)
        if done:
            b"".join(self._inner(environ, lambda *_: None))
        else:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response(UNAVAILABLE, [("Content-Length", "0")])
        return []


class S3Server:
    """Moto on a free port, with one bucket.

    Attributes:
        address: Host and port.
        moods: Decides which requests fail.
        client: A client of boto3 that goes straight to it.

    Args:
        dice: Random numbers for the failures.
    """

    def __init__(self, dice: random.Random) -> None:
        import boto3  # type: ignore[import-untyped]
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.moods = Moody(DomainDispatcherApplication(create_backend_app), dice)
        self._server = make_server("127.0.0.1", 0, self.moods, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.address = f"127.0.0.1:{self._server.server_port}"
        self.client = boto3.client("s3", endpoint_url=f"http://{self.address}")
        self.client.create_bucket(Bucket=BUCKET)

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.client.close()
