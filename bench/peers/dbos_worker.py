"""A worker of DBOS's, until it gets a SIGTERM: `python -m bench.peers.dbos_worker EXECUTOR`."""

from __future__ import annotations

import os
import signal
import sys

from dbos import DBOS, DBOSConfig

from bench.peers import dbos_app
from bench.peers.services import POSTGRES

AT_ONCE = 4
"""Workflows of one worker: while one waits for its commit, another works."""

POLL = 0.05
"""Seconds between two looks for work; by default a whole one."""


def _main() -> None:
    # Before there are threads: they must not get it.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    url = os.environ[POSTGRES]
    DBOS(
        config=DBOSConfig(name="peers", system_database_url=url, executor_id=sys.argv[1], log_level="WARNING")
    )
    DBOS.launch()
    DBOS.register_queue(dbos_app.QUEUE, worker_concurrency=AT_ONCE, polling_interval_sec=POLL)
    signal.sigwait([signal.SIGTERM])
    DBOS.destroy()


if __name__ == "__main__":
    _main()
