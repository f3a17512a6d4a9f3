"""Ray: a remote function for each batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import ray

from bench.peers.batches import batches, run_batch
from bench.peers.local_ray import local_ray
from bench.peers.protocol import Job, Run, serve

task = ray.remote(run_batch)


def run(job: Job) -> None:
    """Run all batches."""
    ray.get([task.remote(batch) for batch in batches(job)])


@contextmanager
def cluster() -> Iterator[Run]:
    """Run Ray."""
    with local_ray():
        yield run


if __name__ == "__main__":
    serve(cluster)
