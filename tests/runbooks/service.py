"""The service that the runs of the runbooks call: a local HTTP server with moods."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar


class Service:
    """An HTTP server on a free port of loopback.

    Attributes:
        seconds: How long an answer takes.
        refuses: Of which paths it answers 404, as the ends of their names.
        down: Whether it answers everything with 503.
        most: Requests a second; those beyond are answered with 429. None for any number.
        url: Its address.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.refuses: tuple[str, ...] = ()
        self.down = False
        self.most: int | None = None
        self._lock = threading.Lock()
        self._recent: list[float] = []
        handler = type("Handler", (_Handler,), {"service": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def status(self, path: str) -> int:
        """Return what a request is answered with."""
        if self.down:
            return 503
        if path.endswith(self.refuses):
            return 404
        now = time.monotonic()
        with self._lock:
            self._recent = [at for at in self._recent if now - at < 1]
            if self.most is not None and len(self._recent) >= self.most:
                return 429
            self._recent.append(now)
        return 200


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    """Connections that wait to be accepted. With the usual five a busy machine loses some, and their items time out."""


class _Handler(BaseHTTPRequestHandler):
    service: ClassVar[Service]

    def do_GET(self) -> None:
        time.sleep(self.service.seconds)
        self.send_response(self.service.status(self.path))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass
