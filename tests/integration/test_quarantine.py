"""The quarantine, with real processes that really die: who is convicted, of what, and at the price of how many."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import fanout
from fanout.children.book import Book
from fanout.children.isolation import levels_of
from fanout.children.quarantine import QuarantineWindow
from fanout.errors import Unisolable
from fanout.options import Options
from fanout.readers.range import Numbered
from fanout.storage.rests import Items
from tests.integration import processors_in_cells as cells
from tests.processes import is_alive
from tests.waiting import eventually

BLOCKED = 1.0
"""The least heartbeat timeout: a blocked loop is given up after 1.5 s."""


@pytest.fixture(autouse=True)
def light_main(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare each cell the import of pytest: a process of multiprocessing imports the main module of its parent."""
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))


class Case:
    """A quarantine over a range of numbers, some of which do something to their process."""

    def __init__(
        self,
        processor: fanout.Processor[..., Any],
        items: int,
        how: dict[int, str],
        *,
        limit: int = 100,
        deadline: float = 60.0,
        key: str | None = None,
        options: dict[str, Any] | None = None,
        undone: Sequence[bytes] = (),
        **params: Any,
    ) -> None:
        settings = {"retry_initial": 0.01, "heartbeat_timeout": 30.0, **(options or {})}
        self.book = Book(
            run_id="run",
            processor=processor,
            options=Options(**settings),
            key=key,
            items=[Items(1000, items)],
            parts=[Numbered(range(items), 0)],
            worker="me",
            undone=undone,
        )
        given = {"how": {str(number): what for number, what in how.items()}, **params}
        self.window = QuarantineWindow(self.book, given, limit=limit, deadline=deadline)

    async def run(self) -> None:
        await asyncio.wait_for(self.window.run(), 110)

    def failures(self) -> dict[int, dict[str, Any]]:
        return {position: json.loads(row) for position, row in self.book.failures.items()}

    def check(self, poison: Sequence[int]) -> None:
        """Check that exactly these have failed, and all others have their results."""
        assert sorted(self.book.failures) == sorted(poison)
        for position, output in enumerate(self.book.outputs):
            assert output == (None if position in self.book.failures else b"%d" % (2 * position))


ALL = [cells.asynchronous, cells.threaded, cells.processed, cells.listed, cells.listed_thread]


@pytest.mark.parametrize("processor", ALL, ids=lambda made: made.name)
async def test_an_item_that_kills_its_process_fails_alone(processor: fanout.Processor[..., Any]) -> None:
    case = Case(processor, 120, {77: "exit"}, limit=40)
    await case.run()
    case.check([77])
    row = case.failures()[77]
    assert row["error_type"] == "WorkerDied"
    assert row["message"] == "the worker died while processing this item (exit code 7)"
    assert (row["index"], row["attempts"], row["input"]) == (1077, 1, 77)
    assert 1 <= case.window.deaths <= 1 + levels_of(40)
    # Innocents keep their attempts.
    assert case.book.attempts == {77: 1}


@pytest.mark.parametrize("processor", [cells.asynchronous, cells.threaded], ids=lambda made: made.name)
@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("segfault", "(SIGSEGV)"),
        ("kill", "(SIGKILL)"),
        ("regex", "it blocked its event loop for 1.5 s"),
    ],
)
async def test_a_verdict_says_how_the_process_died(
    processor: fanout.Processor[..., Any], what: str, words: str
) -> None:
    case = Case(processor, 30, {3: what}, limit=10, options={"heartbeat_timeout": BLOCKED, "timeout": None})
    await case.run()
    case.check([3])
    row = case.failures()[3]
    assert words in row["message"]
    assert ("in act" in row["traceback"]) == (what != "kill"), row["traceback"]


async def test_an_item_that_never_lets_go_of_the_event_loop_fails_alone() -> None:
    case = Case(cells.asynchronous, 30, {3: "spin"}, limit=10, options={"heartbeat_timeout": BLOCKED})
    await case.run()
    case.check([3])
    assert "blocked its event loop for 1.5 s" in case.failures()[3]["message"]


async def test_an_item_that_exhausts_memory_fails_alone() -> None:
    case = Case(cells.asynchronous, 30, {3: "hog"}, limit=10, options={"retries": 0})
    await case.run()
    # Where the allocator's refusal reaches Python, it is an error as any other.
    assert list(case.failures()) == [3]
    assert case.failures()[3]["error_type"] in ("MemoryError", "WorkerDied")


async def test_an_interrupt_that_an_item_raises_is_its_own() -> None:
    case = Case(cells.asynchronous, 20, {3: "interrupt"}, limit=4)
    await case.run()
    case.check([3])
    assert "KeyboardInterrupt" in case.failures()[3]["traceback"]


@pytest.mark.slow
async def test_one_among_ten_thousand_in_flight_costs_five_deaths_at_most(tmp_path: Path) -> None:
    case = Case(cells.asynchronous, 10_000, {9_000: "exit"}, limit=10_000, pause=1.0)
    await case.run()
    case.check([9_000])
    assert 2 <= case.window.deaths <= 5


@pytest.mark.slow
async def test_a_dozen_among_thousands_are_found_within_the_bound() -> None:
    poison = dict.fromkeys(range(100, 2500, 200), "exit")
    case = Case(cells.asynchronous, 2_500, poison, limit=100, deadline=110)
    await case.run()
    case.check(list(poison))
    assert case.window.deaths <= 12 * (1 + levels_of(100))


async def test_errors_and_retries_and_attempts_are_as_in_any_window(tmp_path: Path) -> None:
    case = Case(cells.retried, 20, {3: "exit", 5: "error"}, options={"retries": 1}, folder=str(tmp_path))
    await case.run()
    failures = case.failures()
    assert {position: row["error_type"] for position, row in failures.items()} == {
        3: "WorkerDied",
        5: "ValueError",
    }
    assert failures[3]["attempts"] == failures[5]["attempts"] == 2
    assert case.book.outputs[7] == b'"1007 2 1007"'


async def test_timeouts_hold_in_a_cell() -> None:
    case = Case(cells.timed, 20, {3: "exit"}, options={"timeout": 0.3, "retries": 0}, seconds=30.0)
    await case.run()
    assert {p: row["error_type"] for p, row in case.failures().items()} == {
        0: "TimeoutError",
        3: "WorkerDied",
        5: "TimeoutError",
        10: "TimeoutError",
        15: "TimeoutError",
    }


async def test_a_cell_enters_the_lifespan_of_its_processor() -> None:
    case = Case(cells.pooled, 20, {3: "exit"}, limit=8)
    await case.run()
    assert set(case.book.outputs) == {None, b'"True"'}
    assert list(case.failures()) == [3]


async def test_a_lifespan_that_fails_fails_the_run_clearly() -> None:
    with pytest.raises(
        Unisolable, match="lifespan of processor 'cell-broken' failed .* RuntimeError: no database"
    ):
        await Case(cells.broken_lifespan, 5, {}).run()


async def test_a_process_that_dies_before_it_runs_anything_is_no_item_s_fault() -> None:
    case = Case(cells.deadly_lifespan, 5, {})
    with pytest.raises(Unisolable, match=r"'cell-deadly' .* before it ran any item \(exit code 3\)"):
        await case.run()
    assert case.book.failures == {}


async def test_a_processor_that_no_other_process_can_import_says_what_to_do() -> None:
    @fanout.processor(name="cell-local")
    async def local(number: int, *, how: dict[str, str]) -> int:
        return number

    with pytest.raises(Unisolable, match="'cell-local' .* define it at the top level of a module"):
        await Case(local, 5, {}).run()


async def test_a_stop_reaches_the_cell_and_what_is_in_flight_ends() -> None:
    case = Case(cells.asynchronous, 200, {}, limit=4, pause=0.3)
    running = asyncio.ensure_future(case.window.run())
    await eventually(lambda: case.window.in_flight == 4)
    case.window.stop()
    await asyncio.wait_for(running, 10)
    settled = sum(case.book.settled(position) for position in range(200))
    assert 4 <= settled < 100
    assert case.window.in_flight == 0


async def test_a_halt_ends_the_cell_at_once() -> None:
    case = Case(cells.asynchronous, 50, {}, limit=4, pause=60.0)
    running = asyncio.ensure_future(case.window.run())
    await eventually(lambda: case.window.in_flight == 4)
    await case.window.halt()
    await asyncio.wait_for(running, 10)
    assert list(case.book.unsettled()) == list(range(50))
    assert case.window.deaths == 0


async def test_the_deadline_stops_what_is_fresh_but_not_the_search_for_the_guilty() -> None:
    poison = {5: "regex"}
    options = {"heartbeat_timeout": BLOCKED}
    case = Case(cells.asynchronous, 200, poison, limit=20, deadline=1.0, options=options, pause=0.05)
    await case.run()
    assert list(case.failures()) == [5]
    assert len(case.book.unsettled()) >= 100


PARENT = """
import asyncio, sys
from tests.integration import processors_in_cells as cells
from tests.integration.test_quarantine import Case

if __name__ == "__main__":
    asyncio.run(Case(cells.pid, 1, {}, folder=sys.argv[1]).run())
"""


async def test_a_cell_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(PARENT)
    root = str(Path(__file__).parents[2])
    command = [sys.executable, str(program), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": root}
    with subprocess.Popen(command, env=environment) as parent:  # noqa: ASYNC220 - a moment
        pid = tmp_path / "pid"
        await eventually(lambda: pid.exists() and pid.read_text())
        cell = int(pid.read_text())
        assert is_alive(cell)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        await eventually(lambda: not is_alive(cell))


@pytest.mark.parametrize("processor", [cells.undo, cells.undo_list], ids=lambda made: made.name)
async def test_a_compensation_keeps_the_outputs_that_its_items_had(
    processor: fanout.Processor[..., Any],
) -> None:
    case = Case(processor, 40, {7: "exit"}, limit=20, undone=[b"%d" % (n + 1) for n in range(40)])
    await case.run()
    assert list(case.failures()) == [7]
    assert case.failures()[7]["input"] == 7
    assert case.book.outputs == [None if n == 7 else b"%d" % (n * (n + 1)) for n in range(40)]
