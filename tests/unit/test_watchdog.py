"""The watchdog over the event loop, in processes that really hang."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, re, sys, threading, time
from fanout.workers.watchdog import Watchdog

def spin():
    while True:
        pass

def regex():
    re.match(r"(a+)+$", "a" * 64 + "b")

def sleep():
    time.sleep(60)

def thread():
    # It holds the interpreter's lock.
    thread = threading.Thread(target=regex, daemon=True)
    thread.start()

def nothing():
    pass

async def main():
    watchdog = Watchdog(enabled=sys.argv[2] == "on")
    with watchdog.watching(0.4), watchdog.watching(0.2):
        await asyncio.sleep(1.2)
        globals()[sys.argv[1]]()
        await asyncio.sleep(0.1)
    # Nobody watches now.
    time.sleep(1)
    print("alive")

asyncio.run(main())
"""


def run(what: str, *, enabled: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, what, "on" if enabled else "off"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("what", ["spin", "regex", "sleep", "thread"])
def test_a_loop_that_is_blocked_for_ever_ends_its_process_and_shows_where(what: str) -> None:
    done = run(what)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Timeout (0:00:00.6" in done.stderr
    assert ("in regex" if what == "thread" else f"in {what}") in done.stderr
    if what in ("spin", "sleep"):
        assert "ends itself: its event loop has been blocked for 0.6 s" in done.stderr


def test_a_loop_that_lives_is_left_alone() -> None:
    done = run("nothing")
    assert (done.returncode, done.stdout, done.stderr) == (0, "alive\n", "")


def test_a_watchdog_that_is_off_ends_nothing() -> None:
    code = PROGRAM.replace("time.sleep(60)", "time.sleep(1)")
    done = subprocess.run(
        [sys.executable, "-c", code, "sleep", "off"], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (0, "alive\n")
