"""dramatiq with Redis as broker and result backend: a group with a message for each batch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench.peers.batches import batches
from bench.peers.protocol import Job, Run, serve
from bench.peers.services import redis
from tools.services import process

WAIT_MS = 600_000


def run(job: Job) -> None:
    """Run all batches."""
    from dramatiq import group

    from bench.peers.dramatiq_app import run_lines

    group(run_lines.message(*batch) for batch in batches(job)).run().wait(timeout=WAIT_MS)


@contextmanager
def cluster() -> Iterator[Run]:
    """Run Redis and two worker processes."""
    options = ["--processes", "2", "--threads", "1"]
    with redis(), process([sys.executable, "-m", "dramatiq", "bench.peers.dramatiq_app", *options]):
        yield run


if __name__ == "__main__":
    serve(cluster)
