"""The examples of runs, as their READMEs have them: a process with one command, and what that prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from fanout.devserver import ADDRESS_VARIABLE
from tests.conftest import TestServer

ROOT = Path(__file__).parents[2]
EXAMPLES = ("rate_limited_api", "resize_images", "sql_migration")
WITHIN = 90.0

Printed = dict[str, Future[str]]


def run(name: str, address: str) -> str:
    """Run an example as one does in a clone, and return what it has printed."""
    ours = ("COVERAGE_", "FANOUT_", "TEMPORAL_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(
        [sys.executable, "-m", f"examples.{name}"],
        cwd=ROOT,
        env={**kept, ADDRESS_VARIABLE: address},
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    return done.stdout


def shown(name: str) -> str:
    """Return what the README says that an example prints."""
    text = (ROOT / "examples" / name / "README.md").read_text()
    assert f"    python -m examples.{name}\n" in text
    [block] = re.findall(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(block)


@pytest.fixture(scope="module")
def printed(dev_server: TestServer) -> Iterator[Printed]:
    """What each example prints, as soon as it has ended."""
    with ThreadPoolExecutor(len(EXAMPLES)) as pool:
        yield {name: pool.submit(run, name, dev_server.address) for name in EXAMPLES}


@pytest.mark.parametrize("name", ["resize_images", "sql_migration"])
def test_an_example_prints_what_its_readme_shows(name: str, printed: Printed) -> None:
    assert printed[name].result() == shown(name)


def test_the_service_counts_no_more_requests_a_second_than_the_run_may_send(printed: Printed) -> None:
    head, *seconds, last = printed["rate_limited_api"].result().splitlines()
    expected = shown("rate_limited_api").splitlines()
    assert (head, last) == (expected[0], expected[-1])
    rows = [re.fullmatch(r" *(\d+) +(\d+) of (\d+)  (#*)", line) for line in seconds]
    counts = [int(row[2]) for row in rows if row]
    assert sum(counts) == 200
    limit = 40
    assert {int(row[3]) for row in rows if row} == {limit}
    # What begins at 40 a second may arrive a little later, and then together with the next.
    assert max(counts) <= 1.5 * limit
    assert len(counts) >= 200 / limit
