from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from fanout.errors import NoServer, NoWorker, RunFailed
from fanout.models import Progress, RunResult, Status
from fanout.observability import bar, drawing
from fanout.observability.bar import show
from fanout.observability.drawing import View, clock, draw, per_second, plain
from fanout.runs.info import RunInfo
from tests.waiting import eventually

RESULT = RunResult("urls", Status.SUCCEEDED, items=100, succeeded=100, failed=0, seconds=3.0)
NOW = datetime.now(UTC)
INFO = RunInfo("urls", Status.RUNNING, "fetch", "images", NOW, None, "file:///out", "x")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00:00"), (72.9, "0:01:12"), (3661, "1:01:01"), (2 * 86_400 + 5, "2d 0:00:05")],
)
def test_durations_are_written_as_on_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(0, "0/s"), (0.25, "0.25/s"), (3.14159, "3.1/s"), (12_345.6, "12,346/s")]
)
def test_rates_have_digits_where_they_are_small(rate: float, text: str) -> None:
    assert per_second(rate) == text


RUNNING = Progress(Status.RUNNING, total=1000, planned=True, succeeded=240, failed=10, in_flight=50)


def test_a_line_says_all_there_is() -> None:
    view = View("urls", replace(RUNNING, rate=25.0, eta=30.0, waiting=7), seconds=10.0, note="take care")
    assert plain(view) == (
        "urls: 250 of 1,000 items (25 %), 25/s, 50 in flight, 7 waiting, 10 failed, 0:00:10, about 0:00:30 left; "
        "take care"
    )


def test_a_total_that_is_a_guess_is_said_to_be_one() -> None:
    paused = plain(View("urls", replace(RUNNING, status=Status.PAUSED)))
    assert "in flight" in paused
    assert paused.endswith("paused")
    assert "250 of ≈ 1,000 items" in plain(View("urls", replace(RUNNING, planned=False)))
    assert "0 of ? items" in plain(View("urls", Progress(Status.RUNNING)))


def test_all_but_one_item_is_not_a_hundred_percent() -> None:
    nearly = replace(RUNNING, total=100_000, succeeded=99_999, failed=0)
    assert "(99 %)" in plain(View("urls", nearly))


def test_the_end_of_a_run_is_named() -> None:
    ended = replace(RUNNING, status=Status.COMPLETED_WITH_FAILURES, succeeded=990)
    assert plain(View("urls", ended, seconds=61)).endswith("10 failed, 0:01:01, completed with failures")


def test_of_a_search_the_matches_are_counted() -> None:
    assert "50 in flight, 0 matches, 10 failed" in plain(View("urls", replace(RUNNING, matched=0)))
    console = Console(file=io.StringIO(), width=100)
    with console.capture() as captured:
        console.print(draw(View("urls", replace(RUNNING, matched=1))))
    assert "50 in flight   1 match   10 failed" in captured.get()


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize(
    "progress",
    [
        Progress(Status.RUNNING),
        RUNNING,
        replace(RUNNING, planned=False),
        replace(RUNNING, status=Status.FAILED),
    ],
)
def test_the_drawing_fits_any_width(width: int, progress: Progress) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True)
    with console.capture() as captured:
        console.print(draw(View("urls", replace(progress, rate=9.5, eta=80.0, waiting=7), seconds=10)))
    assert captured.get().count("\n") == 2


def test_failures_are_red_when_there_are_some() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system="standard")
    with console.capture() as captured:
        console.print(draw(View("urls", RUNNING)))
    assert "\x1b[31m   10 failed" in captured.get()


class FakeRun:
    """A run whose answers a test writes down."""

    id = "urls"
    web_url = "http://web/urls"

    def __init__(
        self, *answers: Progress | BaseException, polled: int = 1, end: RunResult | RunFailed = RESULT
    ) -> None:
        self.answers = list(answers)
        self.polled = polled
        self.end = end
        self.ended = asyncio.Event()
        self.asked = 0
        self.in_trouble: str | None = None
        self.asked_for_trouble = 0

    async def info(self) -> RunInfo:
        return INFO

    async def progress(self) -> Progress:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def pollers(self) -> int:
        return self.polled

    async def trouble(self) -> str | None:
        self.asked_for_trouble += 1
        return self.in_trouble

    async def result(self) -> RunResult:
        await self.ended.wait()
        if isinstance(self.end, RunFailed):
            raise self.end
        return self.end


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bar, "TICK", 0.01)
    monkeypatch.setattr(bar, "NO_WORKER_AFTER", 0.05)
    monkeypatch.setattr(bar, "TROUBLE_AFTER", 0.05)
    monkeypatch.setattr(bar, "TROUBLE_EVERY", 0.05)
    monkeypatch.setattr(bar, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(bar, "PAUSE", 0.01)


async def watched(run: FakeRun, wanted: str, *, terminal: bool = False) -> str:
    """Show a run until its output says what is wanted, then let it end, and return all that was written."""
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=terminal)
    showing = asyncio.create_task(show(run, console=console, modules="images"))
    await eventually(lambda: wanted in out.getvalue() or showing.done())
    run.ended.set()
    assert await showing is RESULT
    return out.getvalue()


@pytest.mark.usefixtures("quick")
async def test_lines_begin_with_the_address_and_end_with_the_result() -> None:
    text = await watched(FakeRun(RUNNING), "250 of")
    assert text.startswith("Temporal Web: http://web/urls\n")
    assert text.splitlines()[-1] == "urls: 100 of 100 items (100 %), 0 failed, 0:00:03, succeeded"


@pytest.mark.usefixtures("quick")
async def test_a_terminal_gets_a_bar() -> None:
    text = await watched(FakeRun(RUNNING), "250 / 1,000 items (25 %)", terminal=True)
    assert "100 / 100 items (100 %)" in text


@pytest.mark.usefixtures("quick")
async def test_a_queue_that_nobody_polls_is_told_with_the_command_to_type() -> None:
    await watched(
        FakeRun(NoWorker("nobody"), polled=0),
        'no worker polls "images": start one with: fanout worker images --task-queue images',
    )


@pytest.mark.usefixtures("quick")
async def test_workers_that_do_not_answer_are_told() -> None:
    await watched(FakeRun(NoWorker("nobody"), polled=1), "do not answer for this run just now")


@pytest.mark.usefixtures("quick")
async def test_numbers_of_the_store_are_shown_until_workers_answer() -> None:
    found = replace(RUNNING, stale=True, note="nobody answers")
    text = await watched(FakeRun(found), "do not answer for this run just now")
    assert "250 of 1,000 items (25 %), 0/s" in text


@pytest.mark.usefixtures("quick")
async def test_a_run_that_stands_still_has_neither_rate_nor_end() -> None:
    run = FakeRun(replace(RUNNING, rate=25.0, eta=30.0))
    run.in_trouble = "the disk is full"
    text = await watched(run, "nothing moves: ")
    assert "25/s" in text
    [line] = {line for line in text.splitlines() if "nothing moves" in line}
    assert "0/s" in line
    assert "left" not in line


@pytest.mark.usefixtures("quick")
async def test_what_keeps_a_run_from_moving_is_told_in_one_short_line() -> None:
    run = FakeRun(RUNNING)
    run.in_trouble = "fanout:fetch is being repeated (attempt 3):\n  no space left on device" + "!" * 300
    text = await watched(run, "nothing moves: ")
    [line] = {line.partition("; ")[2] for line in text.splitlines() if "nothing moves: " in line}
    assert line.startswith(
        "nothing moves: fanout:fetch is being repeated (attempt 3): no space left on device"
    )
    assert line.endswith("!…")
    assert len(line) < 200


@pytest.mark.usefixtures("quick")
async def test_trouble_is_no_longer_told_when_the_run_moves_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "PLAIN_FIRST", 0.0)
    run = FakeRun(RUNNING)
    run.in_trouble = "the disk is full"
    out = io.StringIO()
    showing = asyncio.create_task(show(run, console=Console(file=out, width=200)))
    await eventually(lambda: "nothing moves: the disk is full" in out.getvalue())
    run.in_trouble = None
    run.answers = [replace(RUNNING, succeeded=300)]
    await eventually(lambda: "310 of 1,000" in out.getvalue().splitlines()[-1])
    assert "nothing moves" not in out.getvalue().splitlines()[-1]
    run.ended.set()
    await showing


@pytest.mark.usefixtures("quick")
async def test_the_server_is_seldom_asked_for_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bar, "TROUBLE_EVERY", 60.0)
    run = FakeRun(RUNNING)
    showing = asyncio.create_task(show(run, console=Console(file=io.StringIO())))
    await eventually(lambda: run.asked > 10)
    assert run.asked_for_trouble <= 1
    run.ended.set()
    await showing


@pytest.mark.usefixtures("quick")
async def test_a_run_that_nobody_serves_is_not_asked_for_trouble() -> None:
    run = FakeRun(NoWorker("nobody"), polled=0)
    run.in_trouble = "old"
    await watched(run, "no worker polls")
    asked = run.asked_for_trouble
    assert asked == 0


def test_lines_come_sooner_at_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    out = io.StringIO()
    moments: list[float] = []
    with drawing.screen(Console(file=out, width=200)) as lines:
        for now in range(1, 60):
            before = out.tell()
            lines.draw(View("urls", RUNNING, note=f"away for {now} s"))
            if out.tell() > before:
                moments.append(now)
    assert moments == [1, 2, 4, 8, 16, 26, 36, 46, 56]


@pytest.mark.usefixtures("quick")
async def test_an_outage_of_the_server_is_told_and_survived() -> None:
    text = await watched(
        FakeRun(RUNNING, NoServer("gone"), NoServer("gone")), "the server has not answered for"
    )
    assert text.endswith("succeeded\n")


@pytest.mark.usefixtures("quick")
async def test_an_outage_that_lasts_is_an_error_that_says_how_to_come_back() -> None:
    run = FakeRun(NoServer("gone"))
    with pytest.raises(NoServer, match="fanout watch urls"):
        await show(run, console=Console(file=io.StringIO()), patience=0.05)


@pytest.mark.usefixtures("quick")
async def test_what_is_no_outage_ends_the_bar_at_once() -> None:
    with pytest.raises(ZeroDivisionError):
        await show(FakeRun(ZeroDivisionError()), console=Console(file=io.StringIO()))


@pytest.mark.usefixtures("quick")
async def test_a_run_that_ends_badly_raises_with_its_result_drawn() -> None:
    out = io.StringIO()
    failed = replace(RESULT, status=Status.FAILED, succeeded=40)
    run = FakeRun(RUNNING, end=RunFailed("no", status=Status.FAILED, result=failed))
    run.ended.set()
    with pytest.raises(RunFailed):
        await show(run, console=Console(file=out, width=120))
    assert "40 of 100 items" in out.getvalue()


def test_advice_leaves_out_the_usual_queue() -> None:
    assert (
        bar.no_worker("fanout", "images") == 'no worker polls "fanout": start one with: fanout worker images'
    )
