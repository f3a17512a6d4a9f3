"""An S3 server in a process of its own: `python -m tests.production.store HOST PORT BUCKET`."""

from __future__ import annotations

import signal
import sys

from tests.s3server import S3Server


def _main() -> None:
    # Before there are threads: they must not get it.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    host, port, bucket = sys.argv[1:]
    S3Server(bucket, host=host, port=int(port))
    signal.sigwait([signal.SIGTERM])


if __name__ == "__main__":
    _main()
