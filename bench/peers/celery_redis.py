"""Celery with Redis as broker and result backend: a group with a task for each batch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench.peers.batches import batches
from bench.peers.protocol import Job, Run, serve
from bench.peers.services import redis
from tools.services import process

POLL = 0.02
"""Seconds between two looks for results; by default half a second, which the last one would wait for."""


def run(job: Job) -> None:
    """Run all batches."""
    from celery import group

    from bench.peers.celery_app import run_lines

    group(run_lines.s(*batch) for batch in batches(job)).apply_async().join_native(interval=POLL)


@contextmanager
def cluster() -> Iterator[Run]:
    """Run Redis and a worker with two processes."""
    options = ["--concurrency", "2", "--loglevel", "warning", "--without-gossip", "--without-mingle"]
    with (
        redis(),
        process([sys.executable, "-m", "celery", "-A", "bench.peers.celery_app", "worker", *options]),
    ):
        yield run


if __name__ == "__main__":
    serve(cluster)
