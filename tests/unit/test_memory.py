"""When the garbage collector of a worker looks at everything there is."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from fanout.workers.memory import OFTEN, SELDOM, Collections

GROWS = """
import gc, time
from fanout.workers.memory import settle_memory

settle_memory()
collections = gc.callbacks[-1]
full, early, rested = 0, 0, 0.0

def note(phase, info):
    global full, early, rested
    if info["generation"] == 2:
        if phase == "start":
            full, early = full + 1, early + (time.monotonic() < rested)
        else:
            rested = collections._rested

gc.callbacks.append(note)
kept = [[number] for number in range(3_000_000)]
print(full, early)
"""


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_after_a_full_collection_the_next_one_waits_for_many_times_as_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    gc.set_threshold(*OFTEN)
    told = Collections()
    told("start", {"generation": 2})
    now += 0.5
    told("stop", {"generation": 2})
    assert gc.get_threshold() == SELDOM
    now += 9.9
    told("stop", {"generation": 1})
    assert gc.get_threshold() == SELDOM
    now += 0.2
    told("stop", {"generation": 0})
    assert gc.get_threshold() == OFTEN


def test_a_process_whose_objects_become_more_and_more_seldom_looks_at_them_all() -> None:
    said = subprocess.run([sys.executable, "-c", GROWS], capture_output=True, text=True, check=True)
    full, early = map(int, said.stdout.split())
    assert full >= 1
    assert early == 0
