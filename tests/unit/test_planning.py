"""What a run will be, by arithmetic alone: it agrees with the topology, whatever the options."""

from __future__ import annotations

import re
from math import ceil
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import fanout
from fanout import topology
from fanout.models import RunResult
from fanout.options import Options
from fanout.planning.advice import advise
from fanout.planning.tree import Size, plan_tree
from fanout.planning.window import plan_window
from fanout.storage import codec, markers
from fanout.storage.layout import MANIFEST
from fanout.storage.records import Manifest
from fanout.storage.stores import open_store
from tests.unit.storage.outputs import record, run_result
from tests.unit.test_topology import runs

HISTORY_LIMIT = 51_200
paces = st.sampled_from([0.0, 0.001, 0.2, 3.0, 100.0])


@given(runs(), paces, st.booleans())
def test_a_plan_agrees_with_the_topology_and_meets_no_limit(
    run: tuple[int, Options], item_seconds: float, exact: bool
) -> None:
    total, options = run
    tree = plan_tree(Size(total, exact), options, item_seconds=item_seconds)
    shape = topology.plan(total, options, exact=exact)
    assert tree.longest_history < HISTORY_LIMIT
    assert tree.longest_history <= tree.events
    assert 1 <= tree.in_flight <= min(total, options.max_concurrency)
    assert tree.levels[0].kind == "root"
    assert tree.levels[-1].kind == "batch"
    assert all(1 <= level.live <= level.count for level in tree.levels)
    assert tree.alone is topology.runs_alone(shape, total, options)
    if not tree.alone:
        assert tree.levels[-2].count == ceil(total / shape.partition_size)
        assert sum(level.kind == "group" for level in tree.levels) == shape.levels
    assert tree.workflows == sum(level.count for level in tree.levels[:-1])
    assert tree.activities >= tree.levels[-1].count
    assert tree.actions >= tree.workflows + tree.activities
    assert tree.seconds >= (total * item_seconds / options.max_concurrency) * 0.999


@example(items=4, concurrency=3, width=2, batch_size=4, item_seconds=100.0, size=0.0)
@given(
    st.integers(1, 200_000),
    st.integers(1, 3_000),
    st.integers(1, 500),
    st.none() | st.integers(1, 5_000),
    paces,
    st.sampled_from([0.0, 10.0, 100_000.0]),
)
def test_batches_take_all_items_of_a_partition(
    items: int, concurrency: int, width: int, batch_size: int | None, item_seconds: float, size: float
) -> None:
    options = Options(max_concurrency=concurrency, batch_size=batch_size)
    window = plan_window(items, concurrency, width, options, bytes_per_item=size, item_seconds=item_seconds)
    assert window.largest <= items <= window.batches * window.largest
    assert window.in_flight <= min(concurrency, items)
    assert window.seconds >= items * item_seconds / concurrency * 0.999
    if batch_size is not None and not item_seconds:
        assert window.batches == ceil(items / batch_size)


@given(
    st.integers(1, 100_000),
    st.integers(1, 50),
    st.integers(1, 20),
    st.none() | st.integers(1, 500),
    st.none() | st.sampled_from(["1/min", "10/s", "200/s"]),
    st.sampled_from([0.0, 0.01, 0.2, 3.0]),
)
def test_rounds_that_are_counted_in_one_step_are_those_that_run_one_by_one(
    items: int,
    concurrency: int,
    width: int,
    batch_size: int | None,
    rate_limit: str | None,
    item_seconds: float,
) -> None:
    options = Options(
        max_concurrency=concurrency, batch_seconds=5.0, batch_size=batch_size, rate_limit=rate_limit
    )
    quick = plan_window(items, concurrency, width, options, item_seconds=item_seconds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fanout.planning.window._repeated", lambda *_: 0)
        slow = plan_window(items, concurrency, width, options, item_seconds=item_seconds)
    assert (quick.batches, quick.largest) == (slow.batches, slow.largest)
    assert quick.seconds == pytest.approx(slow.seconds)


@pytest.mark.parametrize("batch_size", [None, 1_000])
@pytest.mark.timeout(10)
def test_a_billion_slow_items_are_planned_in_a_moment(batch_size: int | None) -> None:
    options = Options(max_concurrency=10, partition_size=10**8, batch_size=batch_size)
    tree = plan_tree(Size(10**9), options, item_seconds=60.0)
    assert tree.seconds == pytest.approx(6 * 10**9, rel=0.05)


@pytest.mark.timeout(10)
def test_many_items_of_which_few_may_begin_are_planned_in_a_moment() -> None:
    options = Options(
        max_concurrency=10**7, batch_concurrency=10_000, rate_limit="10/s", partition_size=10**8
    )
    tree = plan_tree(Size(10**8), options, item_seconds=0.001)
    assert (tree.window.batches, tree.window.largest) == (10**8, 1)


@pytest.mark.parametrize(
    ("size", "options", "item_seconds", "says"),
    [
        (Size(2_000_000), {"batch_size": 1}, 0.0, r"batch_size=1 makes 2,000,000 activities"),
        (Size(50), {}, 0.0, "max_concurrency=100 is more than there are items"),
        (Size(10**6), {"batch_size": 20, "history_limit": 100}, 0.0, "continues as new .* raise history_limit"),
        (Size(10**6), {"max_concurrency": 5_000, "batch_concurrency": 1, "partition_size": 10**6}, 0.0,
         "max_concurrency=5,000 is not reached"),
        (Size(10**6), {"partition_size": 1_000}, 0.0, "partition_size=1,000 makes 1,000 partitions"),
        (Size(10, bytes=10 * 5 * 2**20), {}, 0.0, "above max_item_bytes"),
        (Size(10, largest=20 * 2**20), {"max_item_bytes": 2**30}, 0.0, "above max_batch_bytes"),
        (Size(10**6), {}, 90.0, "longer than timeout=60"),
        (Size(10**6), {"batch_size": 5, "batch_concurrency": 10}, 0.0, "more than a batch has items"),
    ],
)  # fmt: skip
def test_what_looks_wrong_is_told_with_what_to_do(
    size: Size, options: dict[str, int], item_seconds: float, says: str
) -> None:
    chosen = Options(**options)  # type: ignore[arg-type]
    found = advise(size, chosen, plan_tree(size, chosen, item_seconds=item_seconds), item_seconds)
    assert any(re.search(says, text) for text in found), found


@given(st.integers(101, 10**9))
def test_of_a_run_with_no_options_nothing_looks_wrong(total: int) -> None:
    options = Options()
    assert advise(Size(total), options, plan_tree(Size(total), options)) == []


@fanout.processor(timeout=7)
async def nothing(item: dict[str, str], *, px: int = 1) -> None: ...


async def test_a_plan_reads_the_source_and_says_what_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id,text\n" + "".join(f"{n},{'x' * 50}\n" for n in range(5_000)))
    plan = await fanout.plan(
        nothing, fanout.Csv(file, key="id").limit(2_000), params={"px": 3}, batch_size=10
    )
    assert (plan.items, plan.exact, plan.processor) == (2_000, True, "nothing")
    assert plan.options["timeout"] == 7
    assert plan.levels[-1].count == 200
    assert 2_000 * 51 < plan.source_bytes < file.stat().st_size
    assert (plan.staged_bytes, plan.read_bytes) == (0, 2 * plan.source_bytes)
    assert (plan.seconds, plan.heartbeats) == (None, None)
    with pytest.raises(fanout.UsageError, match="no parameter 'py'"):
        await fanout.plan(nothing, fanout.Csv(file), params={"py": 3})


async def test_items_that_would_be_staged_are_counted_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    plan = await fanout.plan("known elsewhere", ({"n": n} for n in range(20_000)), item_seconds=0.1)
    assert (plan.items, plan.staged_bytes) == (20_000, plan.source_bytes)
    assert plan.staged_bytes > 20_000 * 8
    assert any("'known elsewhere'" in note for note in plan.notes)
    assert list(tmp_path.iterdir()) == []


async def test_one_large_item_among_many_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('"a"\n' * 50_000 + f'"{"x" * 200_000}"\n' + '"b"\n' * 50_000)
    plan = await fanout.plan("f", fanout.JsonLines(file), max_item_bytes=100_000)
    assert any("above max_item_bytes=100,000" in warning for warning in plan.warnings)


async def test_nothing_to_do_is_a_plan_too(tmp_path: Path) -> None:
    plan = await fanout.plan("f", [])
    assert (plan.items, plan.workflows, plan.activities, plan.in_flight) == (0, 1, 0, 0)


async def earlier(store: Path, result: RunResult) -> None:
    output = open_store(f"{store}/urls/e1")
    run = record(options=Options(max_concurrency=10).__dict__)
    await markers.claim(output, run)
    manifest = Manifest(run, result, [], "2026-01-01T00:00:00+00:00", "1")
    await output.create(MANIFEST, codec.encode(manifest))


async def test_an_earlier_run_says_how_long_an_item_takes(tmp_path: Path) -> None:
    result = RunResult(**{**run_result(1_000, 1_000, 0).__dict__, "seconds": 100.3})
    await earlier(tmp_path, result)
    plan = await fanout.plan("f", fanout.Range(10**6), like="urls", output=tmp_path)
    assert plan.item_seconds == pytest.approx(1.0)
    assert plan.seconds == pytest.approx(10_000, rel=0.1)
    with pytest.raises(fanout.UsageError, match="no output of an ended run 'other'"):
        await fanout.plan("f", [1], like="other", output=tmp_path)
    with pytest.raises(fanout.UsageError, match="said twice"):
        await fanout.plan("f", [1], like="urls", item_seconds=1, output=tmp_path)


async def test_a_rate_limit_says_how_long_a_run_takes_at_least() -> None:
    known = await fanout.plan("known", fanout.Range(12_000), item_seconds=0.01, rate_limit="20/s")
    assert known.seconds is not None
    assert 600 <= known.seconds < 700
    assert "rate_limit=20/s: the run takes 600 s at least" in known.notes
    # Batches last ten seconds, as others do.
    assert known.levels[-1].count == 120
    unknown = await fanout.plan("known", fanout.Range(12_000), rate_limit="1200/min")
    assert unknown.seconds is None
    assert "rate_limit=1200/min: the run takes 600 s at least" in unknown.notes
