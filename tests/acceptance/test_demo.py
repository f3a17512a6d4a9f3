"""`make demo`, and what it prints, against an independent computation over the same file."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import wait_for

ROOT = Path(__file__).parents[2]
DEMO = [sys.executable, "-m", "examples.flights.demo", "--json", "numbers.json"]
DEMO_WITHIN = 80.0

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Demo:
    """A finished demo."""

    folder: Path
    numbers: dict[str, Any]
    printed: str


def spawn(folder: Path) -> subprocess.Popen[bytes]:
    """Start the demo in a folder, as `make demo` does in a clone; what it prints goes to a file."""
    # Other tests measure what the demo uses of fanout, and tracing it would take minutes.
    ours = ("COVERAGE_", "FANOUT_", "TEMPORAL_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    path = os.pathsep.join([str(ROOT), *filter(None, [kept.get("PYTHONPATH")])])
    with (folder / "printed").open("w") as printed:
        return subprocess.Popen(
            DEMO, cwd=folder, env={**kept, "PYTHONPATH": path}, stdout=printed, stderr=subprocess.STDOUT
        )


def finish(process: subprocess.Popen[bytes], folder: Path) -> Demo:
    """Wait for the demo to end by itself."""
    try:
        code = process.wait(DEMO_WITHIN)
    finally:
        # Politely: only so does it stop its server.
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(30)
    printed = (folder / "printed").read_text()
    assert code == 0, printed
    return Demo(folder, json.loads((folder / "numbers.json").read_text()), printed)


@dataclass
class Expected:
    """What a few lines of Python without fanout make of the same file."""

    km: float = 0.0
    made_up: int = 0
    delays: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    failed_lines: set[int] = field(default_factory=set)


def arc_km(a: dict[str, str], b: dict[str, str]) -> float:
    """The angle between two vectors from the middle of the earth: not the formula of the demo."""

    def vector(place: dict[str, str]) -> tuple[float, float, float]:
        lat, lon = math.radians(float(place["lat"])), math.radians(float(place["lon"]))
        return math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)

    (ax, ay, az), (bx, by, bz) = vector(a), vector(b)
    cross = math.hypot(ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)
    return 6371.0088 * math.atan2(cross, ax * bx + ay * by + az * bz)


def compute(data: Path) -> Expected:
    expected = Expected()
    with (data / "airports.csv").open(newline="") as file:
        airports = {row["faa"]: row for row in csv.DictReader(file)}
    arcs: dict[tuple[str, str], float] = {}
    with (data / "flights.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            if row["dep_delay"] == "NA":
                reason = "cancelled"
            elif row["arr_delay"] == "NA":
                reason = "never arrived: no arrival delay"
            elif row["dest"] not in airports:
                reason = f"airports.csv does not know {row['dest']}"
            else:
                way = row["origin"], row["dest"]
                arcs.setdefault(way, arc_km(airports[way[0]], airports[way[1]]))
                late = int(row["arr_delay"])
                expected.km += arcs[way]
                expected.made_up += int(row["dep_delay"]) - late
                expected.delays["very late" if late >= 60 else "late" if late >= 15 else "on time"] += 1
                continue
            expected.reasons[reason] += 1
            expected.failed_lines.add(reader.line_num)
    return expected


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    return finish(spawn(folder), folder)


@pytest.fixture(scope="module")
def expected(demo: Demo) -> Expected:
    return compute(demo.folder / ".fanout" / "data")


def test_every_flight_of_the_real_file_has_one_outcome(demo: Demo) -> None:
    assert demo.numbers["items"] == 336_776
    assert demo.numbers["succeeded"] + demo.numbers["failed"] == 336_776
    assert demo.numbers["status"] == "COMPLETED_WITH_FAILURES"


def test_flights_per_delay_class_are_those_of_an_independent_count(demo: Demo, expected: Expected) -> None:
    assert demo.numbers["delays"] == dict(expected.delays)


def test_kilometres_and_minutes_are_those_of_an_independent_sum(demo: Demo, expected: Expected) -> None:
    assert demo.numbers["km"] == pytest.approx(expected.km, rel=1e-6)
    assert demo.numbers["made_up"] == expected.made_up


def test_failures_by_reason_are_those_that_the_data_causes(demo: Demo, expected: Expected) -> None:
    found: Counter[str] = Counter()
    for reason in demo.numbers["reasons"]:
        if reason["type"] == "InvalidItem":
            assert reason["message"].startswith("dep_delay: Input should be a valid integer")
            found["cancelled"] += reason["count"]
        else:
            assert reason["type"] == "ItemError"
            found[reason["message"]] += reason["count"]
    assert found == expected.reasons


def test_the_failed_flights_are_those_on_the_lines_that_cannot_be_computed(
    demo: Demo, expected: Expected
) -> None:
    lines = demo.numbers["failed_lines"]
    assert len(lines) == len(set(lines))
    assert set(lines) == expected.failed_lines


def test_it_prints_what_it_found_and_where_to_look(demo: Demo, expected: Expected) -> None:
    for text in (
        "336,776 of 336,776 items (100 %)",
        f"{sum(expected.delays.values()):,} succeeded",
        f"{len(expected.failed_lines):,} failed",
        f"{expected.delays['very late']:,}",
        "airports.csv does not know SJU",
        "flights.csv:5",
        "slowest partition",
        "fanout-output/flights/",
        "/namespaces/default/workflows/flights",
    ):
        assert text in demo.printed
    assert "does not add up" not in demo.printed


def test_a_demo_that_was_interrupted_goes_on_where_it_stopped(demo: Demo) -> None:
    process = spawn(demo.folder)
    printed = demo.folder / "printed"
    try:
        # The run of the first demo is there, and has ended: this is a new one.
        wait_for(lambda: "flights: 0 of" in printed.read_text(), printed.read_text)
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(40)
    assert code == 130
    assert "stopped; `make demo` goes on with this run" in printed.read_text()
    assert "Traceback" not in printed.read_text()

    again = finish(spawn(demo.folder), demo.folder)

    same = ("items", "succeeded", "failed", "delays", "made_up")
    assert {name: again.numbers[name] for name in same} == {name: demo.numbers[name] for name in same}
    assert set(again.numbers["failed_lines"]) == set(demo.numbers["failed_lines"])
    assert again.numbers["output"] != demo.numbers["output"]
