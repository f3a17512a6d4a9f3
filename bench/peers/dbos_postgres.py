"""DBOS with PostgreSQL: durable workflows with a step for each batch."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from bench.peers.batches import Batch, batches
from bench.peers.protocol import Job, Run, serve
from bench.peers.services import POSTGRES, postgres
from tools.services import process

STEPS = 25
"""Steps of a workflow, at most: a million items, 1,000 a step, are forty workflows."""

POLL = 0.05
"""Seconds between two looks for a result; by default a whole one."""


@contextmanager
def cluster() -> Iterator[Run]:
    """Run PostgreSQL and two worker processes."""
    from dbos import DBOSClient, run_dbos_database_migrations

    from bench.peers import dbos_app

    worker = [sys.executable, "-m", "bench.peers.dbos_worker"]
    options = {"queue_name": dbos_app.QUEUE, "workflow_name": dbos_app.run_batches.__qualname__}
    with postgres():
        url = os.environ[POSTGRES]
        run_dbos_database_migrations(system_database_url=url)
        with process([*worker, "one"]), process([*worker, "two"]):
            client = DBOSClient(system_database_url=url)

            def run(job: Job) -> None:
                handles = [client.enqueue(options, some) for some in _workflows(job)]
                for handle in handles:
                    handle.get_result(polling_interval_sec=POLL)

            try:
                yield run
            finally:
                client.destroy()


def _workflows(job: Job) -> Iterator[list[Batch]]:
    waiting = batches(job)
    while some := list(islice(waiting, STEPS)):
        yield some


if __name__ == "__main__":
    serve(cluster)
