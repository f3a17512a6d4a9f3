"""What a Celery worker serves, and the driver calls."""

from __future__ import annotations

import os

from celery import Celery

from bench.peers.batches import Batch, run_batch
from bench.peers.services import REDIS

app = Celery("peers", broker=os.environ[REDIS], backend=os.environ[REDIS])


@app.task
def run_lines(source: str, begin: int, size: int, first: int, target: str) -> int:
    """Run one batch."""
    return run_batch(Batch(source, begin, size, first, target))
