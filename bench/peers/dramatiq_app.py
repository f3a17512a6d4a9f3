"""What dramatiq's workers serve, and the driver calls."""

from __future__ import annotations

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from bench.peers.batches import Batch, run_batch
from bench.peers.services import REDIS

broker = RedisBroker(url=os.environ[REDIS])
broker.add_middleware(Results(backend=RedisBackend(url=os.environ[REDIS])))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def run_lines(source: str, begin: int, size: int, first: int, target: str) -> int:
    """Run one batch."""
    return run_batch(Batch(source, begin, size, first, target))
