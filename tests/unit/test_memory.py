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
spent, began, full = 0.0, 0.0, 0

def note(phase, info):
    global spent, began, full
    if info["generation"] == 2:
        if phase == "start":
            began = time.perf_counter()
        else:
            full, spent = full + 1, spent + time.perf_counter() - began

gc.callbacks.append(note)
first = time.perf_counter()
kept = [[number] for number in range(3_000_000)]
print(full, spent / (time.perf_counter() - first))
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


def test_a_process_whose_objects_become_more_and_more_spends_little_of_its_time_on_looking_at_them_all() -> (
    None
):
    said = subprocess.run([sys.executable, "-c", GROWS], capture_output=True, text=True, check=True)
    full, share = said.stdout.split()
    assert int(full) >= 1
    assert float(share) < 0.2
