"""`fanout schedule`: runs that the real server starts by itself."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.conftest import Project, wait_for


def said(project: Project, *words: str, code: int = 0) -> str:
    """Run a verb of `fanout schedule`, and return what it wrote to stdout."""
    done = project.fanout("schedule", *words)
    assert done.returncode == code, done.stderr
    return done.stdout


def test_a_schedule_starts_a_run_over_the_file_of_the_day(served: Project, run_id: str) -> None:
    today = datetime.now(UTC)
    for day in (today, today + timedelta(days=1)):
        (served.folder / f"{run_id}-{day:%Y-%m-%d}.jsonl").write_text('{"name": "Ada"}\n{"name": "Bob"}\n')
    source = f"{run_id}-{{date:%Y-%m-%d}}.jsonl"
    made = said(
        served, "create", "-s", run_id, "jobs:name", source, "--cron", "0 2 1 1 *", "--key", "name",
        "--param", "greeting=on {date:%Y}", "--notes", "names of the day", "--max-concurrency", "7",
    )  # fmt: skip
    assert made == f"{run_id}\n"
    started = said(served, "trigger", "-s", run_id).strip()
    assert started.startswith(f"{run_id}-{today:%Y-%m-}")
    assert started.endswith("Z")

    # It is a run like any other.
    assert served.fanout("wait", started).returncode == 0
    rows = [json.loads(row) for row in served.fanout("results", started, "--ordered").stdout.splitlines()]
    assert [(row["key"], row["output"]) for row in rows] == [
        ("Ada", f"on {today:%Y} Ada"),
        ("Bob", f"on {today:%Y} Bob"),
    ]
    status = json.loads(served.fanout("status", started, "--json").stdout)
    assert (status["processor"], status["status"], status["items"]) == ("name", "SUCCEEDED", 2)

    found = json.loads(said(served, "describe", "-s", run_id, "--json"))
    assert found["source"]["path"] == [f"file://{served.folder}/{run_id}-%7Bdate:%25Y-%25m-%25d%7D.jsonl"]
    assert (found["processor"], found["options"]) == ("name", {"max_concurrency": 7})
    assert (found["notes"], found["overlap_policy"], found["started"]) == ("names of the day", "Skip", 1)
    assert [one["run"] for one in found["recent"]] == [started]
    wait_for(lambda: "goes on" in _row_of(served, run_id))
    said(served, "delete", "-s", run_id, "--yes")


def _row_of(project: Project, schedule: str) -> str:
    rows = said(project, "list").splitlines()
    return next((row for row in rows if row.startswith(f"{schedule} ")), "")


def test_a_run_that_goes_on_keeps_the_next_one_from_starting(project: Project, run_id: str) -> None:
    project.worker()
    said(project, "create", "-s", run_id, "jobs:gated", "1..3", "--interval", "365d", "--paused")
    first = said(project, "trigger", "-s", run_id).strip()
    refused = project.fanout("schedule", "trigger", "-s", run_id)
    assert refused.returncode == 1
    assert "nothing was started: the run before goes on" in refused.stderr
    (project.folder / "gate").touch()
    assert project.fanout("wait", first).returncode == 0

    shown = said(project, "describe", "-s", run_id)
    assert re.search(r"state +paused", shown)
    assert re.search(rf"last runs +{first}", shown)
    assert re.search(r"started +1 runs, 1 skipped, 0 missed", shown)
    said(project, "toggle", "-s", run_id, "--unpause", "--reason", "go")
    said(project, "update", "-s", run_id, "--interval", "1h", "--overlap-policy", "buffer-one")
    said(project, "update", "-s", run_id, "jobs:double", "1..5", "--retries", "9")
    found = json.loads(said(project, "describe", "-s", run_id, "--json"))
    assert (found["paused"], found["notes"], found["when"]) == (False, "go", "every 1:00:00")
    assert (found["overlap_policy"], found["processor"]) == ("BufferOne", "double")
    assert found["options"] == {"retries": 9}


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["create", "-s", "x", "jobs:double", "1..3"], 2, "say when: --cron, --interval or --calendar"),
        (["create", "-s", "x", "jobs:name", "{day:%Y}.csv", "--cron", "@daily"], 2, "{day:%Y} in"),
        (
            ["create", "-s", "x", "jobs:name", "none.csv", "--cron", "@daily"],
            1,
            "there is no file 'none.csv'",
        ),
        (["create", "-s", "x", "jobs:name", "-", "--cron", "@daily"], 2, "stdin can be read once"),
        (["create", "-s", "{date:%Y}", "jobs:double", "3", "--cron", "@daily"], 2, "its time in its id"),
        (["create", "-s", "x", "jobs:double", "3", "--cron", "whenever"], 2, "refuses it"),
        (["describe", "-s", "no-such"], 1, "no schedule 'no-such': see `fanout schedule list`"),
    ],
)
def test_what_makes_no_sense_is_told(project: Project, words: list[str], code: int, says: str) -> None:
    done = project.fanout("schedule", *words)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: ")
    assert says in done.stderr


def test_the_help_names_the_verbs_and_the_flags(empty: Project) -> None:
    verbs = empty.fanout("schedule", "--help").stdout
    for verb in ("create", "describe", "list", "update", "toggle", "trigger", "backfill", "delete"):
        assert f"{verb} " in verbs
    shown = empty.fanout("schedule", "create", "--help").stdout
    for flag in ("--cron", "--overlap-policy", "--catchup-window", "--max-concurrency", "--key"):
        assert flag in shown
