"""What the command's exit code says. Scripts rely on these numbers: change none of them."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from typing import NoReturn

from fanout.errors import FanoutError, NoServer, NoWorker, RunFailed, UsageError
from fanout.models import Status

SUCCEEDED = 0
ERROR = 1
USAGE = 2
COMPLETED_WITH_FAILURES = 3
TOLERANCE_EXCEEDED = 4
STOPPED = 5
"""The run was canceled, terminated or drained."""
NO_SERVER = 6
NO_WORKER = 7
DETACHED = 130
"""Ctrl-C: this command ended, the run goes on."""
BROKEN_PIPE = 141
"""Whoever read the output left, as in `| head`; the number of a program that SIGPIPE ended."""

_BY_STATUS = {
    "SUCCEEDED": SUCCEEDED,
    "COMPLETED_WITH_FAILURES": COMPLETED_WITH_FAILURES,
    "FAILED": ERROR,
    "FAILED_TOLERANCE_EXCEEDED": TOLERANCE_EXCEEDED,
    "STOPPED": STOPPED,
    "CANCELED": STOPPED,
    "TERMINATED": STOPPED,
}


def of_status(status: Status | str) -> int:
    """Return the exit code for how a run ended."""
    return _BY_STATUS.get(str(status), ERROR)


def of_error(error: FanoutError) -> int:
    """Return the exit code for an error."""
    match error:
        case RunFailed():
            return of_status(error.status)
        case UsageError():
            return USAGE
        case NoServer():
            return NO_SERVER
        case NoWorker():
            return NO_WORKER
        case _:
            return ERROR


def leave(code: int) -> NoReturn:
    """End this process with a code; without tearing the interpreter down where it has used Temporal's Rust core.

    The core's threads may call into Python at that very moment, which aborts the process ("Fatal Python error:
    PyGILState_Release") and so loses the exit code. Not only a worker's: seen of one `wait --timeout` in ten.
    """
    if "temporalio.bridge.runtime" not in sys.modules:
        sys.exit(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
