from __future__ import annotations

import subprocess
import sys

import pytest

from fanout.cli import exits
from fanout.errors import (
    FanoutError,
    NoServer,
    NoWorker,
    RunExists,
    RunFailed,
    RunNotFound,
    SourceError,
    UnknownProcessor,
    UsageError,
)
from fanout.models import Status


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (Status.SUCCEEDED, 0),
        (Status.FAILED, 1),
        (Status.COMPLETED_WITH_FAILURES, 3),
        ("FAILED_TOLERANCE_EXCEEDED", 4),
        ("STOPPED", 5),
        (Status.CANCELED, 5),
        (Status.TERMINATED, 5),
    ],
)
def test_each_end_of_a_run_has_its_exit_code(status: str, code: int) -> None:
    assert exits.of_status(status) == code


def test_every_status_that_is_an_end_is_known() -> None:
    assert {status for status in Status if not status.live} <= set(exits._BY_STATUS)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FanoutError("x"), 1),
        (SourceError("x"), 1),
        (RunExists("x"), 1),
        (RunNotFound("x"), 1),
        (UsageError("x"), 2),
        (UnknownProcessor("x"), 2),
        (NoServer("x"), 6),
        (NoWorker("x"), 7),
        (RunFailed("x", status="CANCELED"), 5),
    ],
)
def test_each_error_has_its_exit_code(error: FanoutError, code: int) -> None:
    assert exits.of_error(error) == code


@pytest.mark.parametrize("first", ["", "import temporalio.client\n"])
def test_leaving_says_all_that_was_written_runs_what_was_registered_and_keeps_the_code(first: str) -> None:
    code = f"""{first}
import atexit, sys
from fanout.cli.exits import leave
atexit.register(lambda: print("registered"))
sys.stdout.write("written\\n")
leave(5)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (5, "written\nregistered\n", "")
