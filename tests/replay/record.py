"""Records the histories that `test_replay.py` replays: one real run of every kind, and all of its workflows.

    python -m tests.replay.record [NAME [KIND…]]

writes `histories/NAME-*.json`; the name says which version of the workflows wrote them, and is today's date by default.
Never overwrite the histories of a version that people run: record new ones beside them.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Worker

import fanout
from fanout.devserver import start_dev_server
from fanout.workers.worker import run_worker
from tests.integration.engine import Node, tree
from tests.replay.above import Above
from tests.waiting import eventually

HISTORIES = Path(__file__).parent / "histories"
PROJECT = Path(__file__).parents[2]
LARGEST = 200 * 1024
QUEUE = "replay"


@fanout.processor
async def recorded(number: int, *, hold: int = -1, slow: bool = False) -> int:
    """Fail every seventh item, hold those from `hold` on for ever, or let every tenth one take its time."""
    fanout.count("items")
    if number % 7 == 3:
        raise fanout.ItemError("one of seven", retryable=False)
    if 0 <= hold <= number:
        held.append(number)
        await asyncio.Event().wait()
    if slow and number % 10 == 0:
        await asyncio.sleep(0.5)
    return number


@fanout.processor
async def sought(number: int) -> int | None:
    """Find one item."""
    await asyncio.sleep(0.05)
    return number if number == 100 else None


held: list[int] = []


@fanout.processor(compensates=recorded)
async def unrecorded(number: int, output: int) -> int:
    """Undo what `recorded` did."""
    return output - number


async def flat(client: Client, folder: Path) -> str:
    """Run a small set: no child workflow, local activities."""
    return await ended(client, "flat", fanout.Range(20))


async def pages(client: Client, folder: Path) -> str:
    """Run over a file: planned by an activity."""
    path = folder / "items.jsonl"
    path.write_text("".join(f"{n}\n" for n in range(3000)))
    return await ended(client, "pages", fanout.JsonLines(path), partition_size=1500, batch_size=500)


async def groups(client: Client, folder: Path) -> str:
    """Run a tree with groups of groups."""
    return await ended(client, "groups", fanout.Range(60), partition_size=5, max_children=3)


async def continued(client: Client, folder: Path) -> str:
    """Run a partition that continues as new."""
    return await ended(
        client,
        "continued",
        fanout.Range(120),
        batch_size=1,
        batch_concurrency=1,
        max_concurrency=8,
        history_limit=150,
    )


async def uneven(client: Client, folder: Path) -> str:
    """Run batches that give up their places, in partitions that leave their shares to others."""
    return await ended(
        client,
        "uneven",
        fanout.Range(150),
        params={"slow": True},
        partition_size=50,
        batch_size=10,
        batch_concurrency=10,
        max_concurrency=20,
    )


async def empty(client: Client, folder: Path) -> str:
    """Run over nothing."""
    return await ended(client, "empty", fanout.Range(0))


async def canceled(client: Client, folder: Path) -> str:
    """Cancel a run in the middle: some batches run, others have not begun."""
    held.clear()
    run = await fanout.start(
        client, recorded, fanout.Range(60), id="canceled", task_queue=QUEUE, params={"hold": 12},
        partition_size=20, batch_size=5, max_concurrency=10,
    )  # fmt: skip
    await eventually(lambda: held)
    await run.cancel()
    return await stopped(run)


async def canceled_alone(client: Client, folder: Path) -> str:
    """Cancel a run that is too small for child workflows."""
    held.clear()
    run = await fanout.start(
        client, recorded, fanout.Range(20), id="canceled_alone", task_queue=QUEUE, params={"hold": 12},
        batch_size=5, max_concurrency=10,
    )  # fmt: skip
    await eventually(lambda: held)
    await run.cancel()
    return await stopped(run)


async def ordered(client: Client, folder: Path) -> str:
    """Give a tree of groups all orders, and drain it: one pause ends by itself."""
    run = await fanout.start(
        client, recorded, fanout.Range(400), id="ordered", task_queue=QUEUE, params={"slow": True},
        partition_size=40, max_children=5, batch_size=10, batch_concurrency=10, max_concurrency=20,
    )  # fmt: skip
    await eventually(lambda: list((folder / "out" / "ordered").glob("*/_commits/*/*.json")))
    await run.update(max_concurrency=5)
    await run.pause(now=True)
    await run.resume()
    await run.update(max_concurrency=40)
    await run.pause(resume_after=1)
    await run.resume()
    await run.drain()
    return await stopped(run)


async def ordered_alone(client: Client, folder: Path) -> str:
    """Give orders to a run that is too small for child workflows."""
    held.clear()
    run = await fanout.start(
        client, recorded, fanout.Range(60), id="ordered_alone", task_queue=QUEUE, params={"hold": 12},
        batch_size=5, max_concurrency=10,
    )  # fmt: skip
    await eventually(lambda: held)
    await run.update(max_concurrency=5)
    await run.pause(now=True, resume_after=0.1)
    await eventually(lambda: _goes_on(run))
    await run.drain()
    await run.cancel()
    return await stopped(run)


async def exceeded(client: Client, folder: Path) -> str:
    """Stop a tree of groups for its failures."""
    run = await fanout.start(
        client, recorded, fanout.Range(400), id="exceeded", task_queue=QUEUE, params={"slow": True},
        partition_size=40, max_children=5, batch_size=10, batch_concurrency=10, max_concurrency=20,
        tolerated_failures="5%", tolerance_sample=10,
    )  # fmt: skip
    return await stopped(run)


async def compensated(client: Client, folder: Path) -> str:
    """Stop a tree for its failures: it starts its compensation by itself."""
    run = await fanout.start(
        client, recorded, fanout.Range(200), id="compensated", task_queue=QUEUE, params={"slow": True},
        partition_size=40, batch_size=10, batch_concurrency=10, max_concurrency=20,
        tolerated_failures="5%", tolerance_sample=10, compensate=unrecorded,
    )  # fmt: skip
    return await stopped(run)


async def canceled_compensated(client: Client, folder: Path) -> str:
    """Cancel a run that starts its compensation by itself."""
    held.clear()
    run = await fanout.start(
        client, recorded, fanout.Range(60), id="canceled_compensated", task_queue=QUEUE, params={"hold": 12},
        partition_size=20, batch_size=5, max_concurrency=10, compensate=unrecorded,
    )  # fmt: skip
    await eventually(lambda: list((folder / "out" / "canceled_compensated").glob("*/_commits/*/*.json")))
    await run.cancel()
    return await stopped(run)


async def compensation(client: Client, folder: Path) -> str:
    """Undo what succeeded."""
    await ended(client, "undone", fanout.Range(120))
    run = await fanout.get_run(client, "undone").compensate(unrecorded, partition_size=30, batch_size=10)
    await run.result()
    return run.id


async def enough(client: Client, folder: Path) -> str:
    """Stop a tree of groups for a counter."""
    run = await fanout.start(
        client, recorded, fanout.Range(400), id="enough", task_queue=QUEUE, params={"slow": True},
        partition_size=40, max_children=5, batch_size=10, batch_concurrency=10, max_concurrency=20,
        stop_when=fanout.CounterAbove("items", 100),
    )  # fmt: skip
    return await stopped(run)


async def found(client: Client, folder: Path) -> str:
    """Stop a tree of groups for a match: partitions hear of it by themselves, or from above."""
    run = await fanout.start(
        client, sought, fanout.Range(400), id="found", task_queue=QUEUE, partition_size=40, max_children=5,
        batch_size=10, batch_concurrency=10, max_concurrency=20, stop_when=fanout.FirstSuccess(),
    )  # fmt: skip
    await run.result()
    return run.id


async def inside(client: Client, folder: Path) -> str:
    """Run inside a user's workflow."""
    async with Worker(client, task_queue="above", workflows=[Above]):
        await client.execute_workflow(Above.run, args=["inside-run", QUEUE], id="inside", task_queue="above")
    return "inside"


async def limited(client: Client, folder: Path) -> str:
    """Change the rate limit of partitions while they go on, and lift it."""
    run = await fanout.start(
        client, recorded, fanout.Range(120), id="limited", task_queue=QUEUE, rate_limit="40/s",
        partition_size=60, batch_seconds=0.5, history_limit=120,
    )  # fmt: skip
    await eventually(lambda: list((folder / "out" / "limited").glob("*/_commits/*/*.json")))
    await run.update(rate_limit="20/s", max_concurrency=50)
    await asyncio.sleep(1)
    await run.update(rate_limit="none")
    await run.result()
    return run.id


async def _goes_on(run: fanout.Run) -> bool:
    return (await run.events())[-1].kind == "resume"


async def failed(client: Client, folder: Path) -> str:
    """Fail one partition while its siblings run: its source changes under it."""
    path = folder / "changing.jsonl"
    path.write_text("".join(f"{n}\n" for n in range(40)))
    held.clear()
    run = await fanout.start(
        client, recorded, fanout.JsonLines(path), id="failed", task_queue=QUEUE, params={"hold": 18},
        partition_size=10, batch_size=5, batch_concurrency=5, max_concurrency=10,
    )  # fmt: skip
    # The last partitions have not begun when the first ones are in the way.
    await eventually(lambda: list((folder / "out" / "failed").glob("*/_commits/*/*.json")))
    path.write_text("changed")
    return await stopped(run)


async def rerun(client: Client, folder: Path) -> str:
    """Run again what failed: a rerun that is planned by an activity, in partitions that count positions."""
    path = folder / "again.jsonl"
    path.write_text("".join(f"{n}\n" for n in range(3000)))
    await ended(client, "rerun", fanout.JsonLines(path), partition_size=1500, batch_size=500)
    run = await fanout.get_run(client, "rerun").rerun(partition_size=300, batch_size=100)
    await run.result()
    return "rerun"


async def refused(client: Client, folder: Path) -> str:
    """Fail a run at once: nobody knows its processor."""
    return await stopped(
        await fanout.start(client, "nobody", fanout.Range(3), id="refused", task_queue=QUEUE)
    )


async def ended(client: Client, name: str, reader: fanout.Reader, **options: Any) -> str:
    """Run to the end."""
    run = await fanout.start(client, recorded, reader, id=name, task_queue=QUEUE, **options)
    await run.result()
    return name


async def stopped(run: fanout.Run) -> str:
    """Wait for a run that ends otherwise."""
    with contextlib.suppress(fanout.RunFailed):
        await run.result()
        raise AssertionError(f"{run.id} was to end otherwise")
    return run.id


KINDS = (
    flat,
    pages,
    groups,
    continued,
    uneven,
    empty,
    canceled,
    canceled_alone,
    canceled_compensated,
    compensated,
    compensation,
    ordered,
    ordered_alone,
    exceeded,
    enough,
    found,
    inside,
    limited,
    failed,
    rerun,
    refused,
)


async def record(name: str, *only: str) -> None:
    """Run all, or only some kinds, and write down what happened."""
    HISTORIES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        plugin = fanout.Plugin([recorded, unrecorded, sought], store=folder / "out", allowed_roots=[folder])
        async with await start_dev_server(ui=False) as server:
            client = await Client.connect(server.address, plugins=[plugin])
            stop = asyncio.Event()
            worker = asyncio.create_task(run_worker(client, QUEUE, stop=stop))
            for kind in KINDS if not only else [one for one in KINDS if one.__name__ in only]:
                workflow_id = await kind(client, folder)
                write(name, kind.__name__, await tree(client, workflow_id))
            stop.set()
            await worker


def write(name: str, kind: str, root: Node) -> None:
    """Write the histories of a run: of workflows that differ by nothing but their number, the first few."""
    seen: dict[str, int] = {}
    for node in root.walk():
        for execution in node.executions:
            number = seen[node.kind] = seen.get(node.kind, 0) + 1
            if number > 3:
                continue
            # Tracebacks name the folders of the machine that recorded them.
            text = WorkflowHistory(node.workflow_id, execution).to_json().replace(f"{PROJECT}/", "")
            if len(text) > LARGEST:
                raise ValueError(f"{node.workflow_id} has {len(text):,} bytes of history")
            short = node.kind.removeprefix("fanout.")
            (HISTORIES / f"{name}-{kind}-{short}-{number}.json").write_text(text + "\n")


if __name__ == "__main__":
    asyncio.run(record(*(sys.argv[1:] or [f"{datetime.now(UTC):%Y%m%d}"])))
