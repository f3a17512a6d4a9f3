"""Rate-limited API calls: the service allows so many requests a second, and counts them itself."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pydantic import BaseModel

import fanout
from examples.runs import run, serving

LIMIT = 40
STATIONS = 200


class Weather(BaseModel):
    station: int
    celsius: float


# The limit holds for the whole run: all workers together, retries included.
@fanout.processor(task_queue="rate-limited-api", rate_limit=f"{LIMIT}/s", timeout=10)
def ask(station: int, *, service: str) -> Weather:
    with urllib.request.urlopen(f"{service}/stations/{station}") as answer:  # noqa: S310 - our own server
        return Weather.model_validate_json(answer.read())


class Service(ThreadingHTTPServer):
    """A weather service in this process, which writes down when each request came."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[float] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def per_second(self) -> list[int]:
        """How many requests came in each second since the first one."""
        first = min(self.requests)
        counts = Counter(int(at - first) for at in self.requests)
        return [counts[second] for second in range(max(counts) + 1)]


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        self.server.requests.append(time.monotonic())
        station = int(self.path.rpartition("/")[2])
        body = json.dumps({"station": station, "celsius": station % 35 - 5}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each request."""


@contextmanager
def weather_service() -> Iterator[Service]:
    service = Service()
    threading.Thread(target=service.serve_forever, daemon=True).start()
    try:
        yield service
    finally:
        service.shutdown()
        service.server_close()


async def main() -> None:
    with weather_service() as service:
        async with serving(ask) as (client, _):
            started = await fanout.start(
                client,
                ask,
                fanout.Range(STATIONS),
                id="rate-limited-api",
                if_exists="new",
                params={"service": service.address},
            )
            result = await started.result()
            warmest = max(
                [Weather.model_validate(row.output) async for row in started.results()],
                key=lambda weather: weather.celsius,
            )
        print("second  requests, as the service counted them")
        for second, count in enumerate(service.per_second(), 1):
            print(f"{second:>6}  {count:>3} of {LIMIT}  {'#' * count}")
        print(f"{result.succeeded} stations asked; the warmest has {warmest.celsius:g} °C")


if __name__ == "__main__":
    run(main())
