"""Each example, as its README has it: a process with one command, and what that prints.

All are run against the server of the tests, a few at a time.
"""

from __future__ import annotations

import asyncio
import email
import html
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from examples.map_reduce.__main__ import PARAGRAPHS, SHOWN
from examples.split_merge_selector.__main__ import DISTRICTS
from fanout.devserver import ADDRESS_VARIABLE
from tests.conftest import TestServer
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(file.parent.name for file in ROOT.glob("examples/*/__main__.py"))
VARYING = {"fan_out_of_fan_outs", "rate_limited_api", "split_merge_selector"}
"""What these print depends on the version of Python, or on how busy the machine is."""
WITHIN = 90.0
AT_ONCE = 3

_VARIES = re.compile(r"\d+\.\d (?=s\b)|\d+ (?=executions\b)")
_SHOWN = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)

Printed = dict[str, Future[str]]


def run(name: str, address: str | None = None) -> str:
    """Run an example as one does in a clone, and return what it has printed."""
    ours = ("COVERAGE_", "FANOUT_", "TEMPORAL_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    if address is not None:
        environment[ADDRESS_VARIABLE] = address
    done = subprocess.run(
        [sys.executable, "-m", f"examples.{name}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    return done.stdout


def readme(name: str) -> str:
    return (ROOT / "examples" / name / "README.md").read_text()


@pytest.fixture(scope="module")
def printed(dev_server: TestServer) -> Iterator[Printed]:
    """What each example prints, as soon as it has ended."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: pool.submit(run, name, dev_server.address) for name in EXAMPLES}


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in VARYING])
def test_an_example_prints_what_its_readme_shows(name: str, printed: Printed) -> None:
    [shown] = _SHOWN.findall(readme(name))
    assert _VARIES.sub("", printed[name].result()) == _VARIES.sub("", shown)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_has_its_command_in_its_readme_and_its_line_in_the_index(name: str) -> None:
    assert f"python -m examples.{name}\n" in readme(name)
    assert f"]({name}/README.md)" in (ROOT / "examples/README.md").read_text()


def test_an_example_finds_a_server_by_itself() -> None:
    assert "Hello, Amira!" in run("hello_parallel_activity")


async def scheduled_before_the_end_of(number: int, workflow_id: str, client: Client) -> int:
    """Return how many activities a workflow had scheduled when that with this number, from 1, ended."""
    scheduled: list[int] = []
    async for event in client.get_workflow_handle(workflow_id).fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            scheduled.append(event.event_id)
        ended = event.activity_task_completed_event_attributes.scheduled_event_id
        if ended and ended == scheduled[number - 1]:
            return len(scheduled)
    raise AssertionError(f"activity {number} of {workflow_id} did not end")


async def test_all_forecasts_are_asked_for_before_the_first_comes(client: Client, printed: Printed) -> None:
    printed["parallel_activities"].result()
    for number in range(1, 6):
        assert await scheduled_before_the_end_of(number, "parallel-activities", client) == 5


async def test_chunks_wait_for_the_thick_newspaper_and_a_window_does_not(
    client: Client, printed: Printed
) -> None:
    printed["controlled_parallelism"].result()
    assert await scheduled_before_the_end_of(3, "controlled-parallelism-InChunks", client) == 4
    assert await scheduled_before_the_end_of(3, "controlled-parallelism-InAWindow", client) > 4


def test_reports_of_districts_are_counted_as_they_come_and_the_race_is_called_in_time(
    printed: Printed,
) -> None:
    news = printed["split_merge_selector"].result().splitlines()
    expected = []
    garcia = lindqvist = 0
    uncounted = sum(district.ballots for district in DISTRICTS)
    for name in [line[:8].strip() for line in news if "Lindqvist" in line]:
        [district] = [one for one in DISTRICTS if one.name == name]
        garcia += district.for_garcia
        lindqvist += district.ballots - district.for_garcia
        uncounted -= district.ballots
        expected.append(f"{name:<8}  García {garcia:>6,}  Lindqvist {lindqvist:>6,}")
        if garcia - lindqvist > uncounted and "García cannot be caught any more" not in expected:
            expected.append("García cannot be caught any more")
    assert news == expected
    assert len(news) == len(DISTRICTS) + 1


async def test_a_batch_over_child_workflows_sends_each_statement_once_in_several_executions(
    client: Client, printed: Printed
) -> None:
    [executions] = re.findall(r"(\d+) executions", printed["sliding_window_batch"].result())
    assert int(executions) > 1

    sent: list[str] = []

    async def all_are_listed() -> bool:
        query = "WorkflowType = 'Statement' AND ExecutionStatus = 'Completed'"
        sent[:] = [found.id async for found in client.list_workflows(query)]
        return len(sent) >= 40

    await eventually(all_are_listed)
    assert sorted(sent) == sorted(f"statement-{customer}" for customer in range(1, 41))


def test_the_service_counts_no_more_requests_a_second_than_the_run_may_send(printed: Printed) -> None:
    head, *seconds, last = printed["rate_limited_api"].result().splitlines()
    [shown] = _SHOWN.findall(readme("rate_limited_api"))
    assert [head, last] == [shown.splitlines()[0], shown.splitlines()[-1]]
    rows = [re.fullmatch(r" *(\d+) +(\d+) of (\d+)  (#*)", line) for line in seconds]
    counts = [int(row[2]) for row in rows if row]
    assert sum(counts) == 200
    limit = 40
    assert {int(row[3]) for row in rows if row} == {limit}
    # What begins at 40 a second may arrive a little later, and then together with the next.
    assert max(counts) <= 1.5 * limit
    assert len(counts) >= 200 / limit


def test_words_of_the_language_reference_are_counted(printed: Printed) -> None:
    counts = Counter(word for text in PARAGRAPHS for word in re.findall(r"[a-z]+", text.lower()))
    expected = [(word, f"{100 * count / counts.total():.0f}") for word, count in counts.most_common(SHOWN)]
    assert re.findall(r"(\w+) +(\d+) %", printed["map_reduce"].result()) == expected


def lines_of(package: Any) -> str:
    """Count with an own loop what the example prints of a package."""
    files = list(Path(package.__file__).parent.rglob("*.py"))
    lines = sum(len(path.read_bytes().splitlines()) for path in files)
    return f"{package.__name__}: {lines:,} lines in {len(files)} files"


def test_the_lines_of_packages_are_counted(printed: Printed) -> None:
    lines = printed["fan_out_of_fan_outs"].result().splitlines()
    for package in (asyncio, email, html):
        assert lines_of(package) in lines
    assert lines[-2:] == [
        "no_such_package: there is no package 'no_such_package'",
        "8 of 9 packages, 8 runs inside workflows",
    ]
