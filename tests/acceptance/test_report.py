"""`fanout report`: a page of a run that goes on, and of one that has ended."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import Project, wait_for
from tests.unit.reporting.facts import Page

JOBS = """
import asyncio
from pathlib import Path
import fanout

@fanout.processor(retries=0)
async def hostile(n: int, *, say: str = "<b>bold</b>") -> int:
    fanout.count("usd", 0.25)
    while n >= 80 and not Path("gate").exists():
        await asyncio.sleep(0.02)
    if n % 10 == 0:
        raise ValueError("<script>alert('" + "x" * n + "')</script>")
    return n
"""


@pytest.fixture
def reported(project: Project) -> Project:
    (project.folder / "jobs.py").write_text(JOBS)
    return project


def start(project: Project, run_id: str) -> None:
    options = [
        "--batch-size",
        "20",
        "--batch-concurrency",
        "20",
        "--partition-size",
        "50",
        "--heartbeat-timeout",
        "1",
        "--reduce",
        "sum",
    ]
    done = project.fanout("run", "jobs:hostile", "1..120", "--id", run_id, "--detach", *options)
    assert done.returncode == 0, done.stderr


def read(file: Path) -> tuple[Page, str]:
    html = file.read_text()
    page = Page(html)
    assert page.open == []
    assert not page.tags & {"script", "img", "link", "iframe", "object", "b"}
    assert not [name for name in page.attributes if name.startswith("on")]
    assert len(html) < 200_000
    return page, " ".join(page.text.split())


def test_a_run_is_one_page_while_it_goes_on_and_when_it_has_ended(reported: Project, run_id: str) -> None:
    worker = reported.worker()
    start(reported, run_id)
    # 70 items have ended; the batches of the others wait.
    made = "fanout-output/*/*/_commits/*/*.json"
    wait_for(lambda: len(list(reported.folder.glob(made))) == 4, lambda: reported.log(worker))
    assert reported.fanout("pause", run_id, "--reason", "<i>tea</i>").returncode == 0
    live = reported.fanout("report", run_id)
    assert (live.returncode, live.stdout) == (0, ""), live.stderr
    assert f"the report of run {run_id} is in {run_id}.html" in live.stderr
    page, text = read(reported.folder / f"{run_id}.html")
    assert "This run goes on" in text
    assert "PAUSED" in text
    assert "<i>tea</i>" in text
    assert "to go" in text

    (reported.folder / "gate").touch()
    assert reported.fanout("resume", run_id).returncode == 0
    assert reported.fanout("wait", run_id, within=120).returncode == 3
    (reported.folder / "there.html").write_text("an older one")
    assert reported.fanout("report", run_id, "-o", "there.html").returncode == 0
    page, text = read(reported.folder / "there.html")
    assert "COMPLETED_WITH_FAILURES" in text
    tiles = dict(
        re.findall(r"<dt>([^<]+)</dt><dd[^>]*>([^<]+)</dd>", (reported.folder / "there.html").read_text())
    )
    assert (tiles["items"], tiles["succeeded"], tiles["failed"]) == ("120", "108", "12")
    assert "12 items failed: 12 ValueError" in text
    assert "ValueError: <script>alert(<str>)<" in text
    assert 'parameter say "<b>bold</b>"' in text
    assert "usd 30 0.25" in text
    # All numbers to 120 but the tens.
    assert re.search(r"What sum has made of all results, .{1,80} 6480\b", text)
    for figure in ("throughput", "durations", "window", "partitions"):
        assert f"{figure}-title" in page.ids
    assert not list(reported.folder.glob(".*.part"))

    refused = reported.fanout("report", run_id, "-o", "missing/there.html")
    assert refused.returncode == 2
    assert "cannot write missing/there.html" in refused.stderr


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys, asyncio; sys.modules['matplotlib'] = None\n"
        "from fanout.runs.report import report\n"
        "try: asyncio.run(report(None))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        "UsageError a report needs matplotlib, which is not installed: pip install 'temporal-fanout[report]'"
    )
