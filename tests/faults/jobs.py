"""The processor and the reducer of all scenarios; each call of the first is written down before it does anything else.

Workers import this module by its name: `fanout worker tests.faults.jobs`.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import os
import signal
from pathlib import Path
from typing import Any

import fanout
from tests.faults.items import FAILS, FLAKY, HOG, LATER, Fingerprint, checksum, fingerprint

LOG_VARIABLE = "FANOUT_FAULTS_LOG"
LINE = b"%010d %04d\n"
"""Index and attempt; all lines are of one length, so that a folder's size says how many there are."""

FAR_AWAY = 8.0
"""Seconds until the next attempt of an item that waits: more than a batch holds on to an item."""


@functools.cache
def _log(pid: int) -> int:
    path = Path(os.environ[LOG_VARIABLE]) / f"{pid}.log"
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _die(how: str) -> None:
    if how == "exit":
        os._exit(1)
    if how == "segv":
        ctypes.string_at(0)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    while how == "loop":
        pass


def _hog() -> None:
    held = []
    while True:
        # Untouched pages: they count against the limit, and cost the machine nothing.
        held.append(bytearray(64 * 1024 * 1024))


@fanout.processor(retries=1, timeout=None)
async def digest(item: dict[str, Any]) -> dict[str, Any]:
    info = fanout.info()
    os.write(_log(os.getpid()), LINE % (info.index, info.attempt))
    await asyncio.sleep(item["ms"] / 1000)
    what = item["do"]
    if what == FAILS:
        raise ValueError(f"{item['key']} is no good")
    if what == FLAKY and info.attempt == 1:
        raise RuntimeError("once more")
    if what == LATER and info.attempt == 1:
        raise fanout.ItemError("much later", retry_after=FAR_AWAY)
    if what == HOG:
        _hog()
    _die(what)
    return {"checksum": checksum(item), "attempt": info.attempt, "pid": os.getpid()}


@fanout.reducer(name="faults.fingerprint")
class Fingerprints:
    """One value that no lost output and none that counts twice leaves as it is."""

    def zero(self) -> Fingerprint:
        return fingerprint([])

    def add(self, total: Fingerprint, output: dict[str, Any]) -> Fingerprint:
        return self.merge(total, fingerprint([output["checksum"]]))

    def merge(self, total: Fingerprint, other: Fingerprint) -> Fingerprint:
        return {name: total[name] + other[name] for name in total}
