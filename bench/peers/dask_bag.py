"""Dask: a bag of batches, on two worker processes of `distributed`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import dask
import dask.bag
from distributed import Client, LocalCluster

from bench.peers.batches import batches, run_batch
from bench.peers.protocol import Job, Run, serve

PARTITIONS = 16
"""Eight for each worker; with the 250 that are the default for a thousand batches it is slower by a third or more."""


def run(job: Job) -> None:
    """Run all batches."""
    dask.bag.from_sequence(batches(job), npartitions=PARTITIONS).map(run_batch).compute()


@contextmanager
def cluster() -> Iterator[Run]:
    """Run a scheduler and two workers."""
    with (
        tempfile.TemporaryDirectory(prefix="dask-") as folder,
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            local_directory=folder,
        ) as local,
        Client(local),
    ):
        yield run


if __name__ == "__main__":
    serve(cluster)
