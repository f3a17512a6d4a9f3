"""Compensations: what succeeded in a run is undone by another one, each item once, with the output that it had."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from pydantic import BaseModel, Field

import fanout
from fanout.models import Status
from fanout.storage.roots import to_path
from fanout.tryout import find_record, try_item
from tests.integration.charges import (
    Charge,
    broken,
    charge,
    clean,
    compensated,
    held,
    keys_seen,
    numbers,
    refund,
    refunded,
    refuse,
)
from tests.integration.engine import Engine, published, write_lines
from tests.integration.processors_in_processes import refund_in_process
from tests.integration.processors_in_workers import doubled, halved
from tests.integration.workers import Workers
from tests.waiting import eventually

__all__ = ["clean"]


@fanout.processor
async def forget(number: int) -> None:
    refunded.append((number, ""))


@fanout.processor
async def wordy(number: int) -> str:
    return str(number).rjust(20_000)


@fanout.processor(compensates=wordy)
async def unsay(number: int, said: str) -> int:
    assert int(said) == number
    return len(said)


class Small(BaseModel):
    cents: int = Field(gt=0, lt=600)


@fanout.processor(compensates=charge)
async def choosy(number: int, made: Small) -> None: ...


@fanout.processor(list_size=7, compensates=charge)
def refund_many(numbers: list[int], made: list[Charge]) -> list[str]:
    refunded.extend((number, one.id) for number, one in zip(numbers, made, strict=True))
    return [one.id for one in made]


async def test_what_succeeded_is_undone_once_with_the_output_that_it_had(engine: Engine) -> None:
    path = write_lines(engine.folder / "in.jsonl", range(700))
    broken.update(range(0, 700, 7))
    succeeded = sorted(set(range(700)) - broken)
    async with engine.worker(charge, refund) as client:
        readers = [fanout.JsonLines(path), fanout.Range(700), fanout.Items(list(range(700)))]
        for number, reader in enumerate(readers):
            refunded.clear()
            run = (
                await engine.run(
                    client,
                    charge,
                    reader,
                    id=f"{engine.queue}-{number}",
                    params={"currency": "CHF"},
                    partition_size=200,
                    batch_size=50,
                )
            ).run
            undoing, result = await compensated(engine, client, run, refund, partition_size=150)
            assert undoing.id == f"{run.id}.compensation"
            assert (result.status, result.items, result.succeeded) == (Status.SUCCEEDED, 600, 600)
            assert result.rerun == f"what succeeded in run {run.id}"
            assert sorted(refunded) == [(n, f"CHF-{n}") for n in succeeded]
            rows = [row async for row in undoing.results(ordered=True)]
            assert [(row.index, row.output) for row in rows] == [
                (n, f"refunded CHF-{n} in CHF") for n in succeeded
            ]
            assert published(to_path(result.output)) == dict.fromkeys(succeeded, "results")
            # Nothing has changed of the run itself, and each knows the other.
            assert len([row async for row in run.results()]) == 600
            info = await undoing.info()
            assert info.undone is not None
            assert (info.processor, info.undone.run_id) == ("refund", run.id)
            found = await run.compensation()
            assert found is not None
            assert found.id == undoing.id
            assert await undoing.compensation() is None
            page = await client.get_workflow_handle(undoing.id).describe()
            link = f"[`{run.id}`](namespaces/{client.namespace}/workflows/{run.id})"
            assert f"compensates what succeeded in run {link}" in str(await page.static_details())
            # Asked for once more, it is the same one.
            again = await run.compensate(forget)
            assert await again.result() == result
            assert len(refunded) == 600
    assert not keys_seen["charge"] & keys_seen["refund"]


async def test_a_batch_takes_as_many_items_as_it_can_hold_outputs_of(engine: Engine) -> None:
    async with engine.worker(wordy, unsay) as client:
        run = (await engine.run(client, wordy, fanout.Range(40))).run
        # Three of them fit.
        undoing, result = await compensated(engine, client, run, unsay, max_batch_bytes=64 * 1024)
        assert (result.items, result.succeeded) == (40, 40)
        [commits] = [list(engine.store.glob(f"{undoing.id}/*/_rollups/*.json"))]
        assert json.loads(commits[0].read_text())["totals"]["batches"] >= 40 / 3
        assert [row.output async for row in undoing.results(ordered=True)] == [20_000] * 40


async def test_an_item_of_a_compensation_is_tried_here_and_what_it_reads_is_kept_meanwhile(
    engine: Engine,
) -> None:
    async with engine.worker(charge, refund) as client:
        run = (await engine.run(client, charge, fanout.Range(5))).run
        refuse.add(3)
        undoing, _ = await compensated(engine, client, run, refund)
        record = await find_record(await undoing.readable(), 3)
        assert isinstance((await try_item(refund, record, 3, client)).row, fanout.Failure)
        refuse.clear()
        row = (await try_item(refund, record, 3, client)).row
        assert row == fanout.ItemResult(3, "3", "refunded EUR-3 in EUR")
        with pytest.raises(fanout.UsageError, match="takes the output of 'charge'"):
            await try_item(refund, await find_record(await run.readable(), 3), 3, client)
        other = (await engine.run(client, charge, fanout.Range(5))).run
    # With no worker left, this one begins, but plans nothing.
    begun = await other.compensate(refund)
    with pytest.raises(fanout.UsageError, match="is being undone by run"):
        await fanout.delete_run(client, other.id)
    old = {one.run_id for one in await fanout.old_outputs(client, -60)}
    assert old == {run.id, undoing.id}
    await begun.terminate()
    assert (await fanout.delete_run(client, other.id)).outputs
    # Its history is gone, too, or soon will be.
    engine.started = [(client, one) for client, one in engine.started if one.id != other.id]


async def test_lists_and_processors_that_take_the_item_alone_compensate_too(engine: Engine) -> None:
    async with engine.worker(charge, refund_many, forget) as client:
        broken.update((3, 4))
        run = (await engine.run(client, charge, fanout.Range(20))).run
        undoing, _ = await compensated(engine, client, run, refund_many)
        assert [row.output async for row in undoing.results(ordered=True)] == [
            f"EUR-{n}" for n in range(20) if n not in broken
        ]
        refunded.clear()
        other = (await engine.run(client, charge, fanout.Range(20))).run
        await compensated(engine, client, other, "forget")
        assert sorted(refunded) == [(n, "") for n in range(20) if n not in broken]


async def test_one_in_processes_of_its_own_gets_the_output_too_and_one_that_does_not_fit_fails_alone(
    engine: Engine,
) -> None:
    async with engine.worker(charge, refund_in_process, choosy) as client:
        run = (await engine.run(client, charge, fanout.Range(12))).run
        undoing, _ = await compensated(engine, client, run, refund_in_process)
        assert [row.output async for row in undoing.results(ordered=True)] == [
            f"{n} EUR-{n} {n}" for n in range(12)
        ]
        other = (await engine.run(client, charge, fanout.Range(12))).run
        undoing, result = await compensated(engine, client, other, choosy)
        assert (result.succeeded, result.error_types) == (5, {"UnfitOutput": 7})
        failures = {failure.index: failure async for failure in undoing.failures()}
        assert sorted(failures) == [0, *range(6, 12)]
        assert failures[6].message.startswith(
            "the output that the item had does not fit: cents: Input should be"
        )
        assert (failures[6].input, failures[6].attempts) == (6, 0)


async def test_what_reruns_have_made_succeed_is_undone_with_the_rest_and_nothing_twice(
    engine: Engine,
) -> None:
    broken.update(range(10))
    async with engine.worker(charge, refund, forget) as client:
        run = (await engine.run(client, charge, fanout.Range(40), compensate=refund)).run
        broken.difference_update(range(5))
        second = await run.rerun()
        assert (await second.result()).succeeded == 5
        # Over both executions; what fails, fails alone, and is taken up again as in any run.
        refuse.update((4, 20))
        undoing, result = await compensated(engine, client, run)
        assert (result.items, result.succeeded, result.failed) == (35, 33, 2)
        refuse.clear()
        again = await undoing.rerun()
        assert (await again.result()).succeeded == 2
        assert numbers(refunded) == list(range(5, 5)) + list(range(5)) + list(range(10, 40))
        with pytest.raises(fanout.UsageError, match="there is nothing to run again"):
            await again.rerun()
        # The run goes on after it was compensated: only what is new is undone.
        broken.clear()
        third = await run.rerun()
        assert (await third.result()).succeeded == 5
        assert await third.compensation() is not None
        refunded.clear()
        last, result = await compensated(engine, client, third)
        assert (result.items, result.succeeded) == (5, 5)
        assert numbers(refunded) == list(range(5, 10))
        rows = [row async for row in last.results(ordered=True)]
        assert [row.index for row in rows] == list(range(40))
        assert [failure async for failure in last.failures()] == []
        assert (await run.compensate()).id == last.id


async def test_a_compensation_that_fails_goes_on_as_a_rerun(engine: Engine) -> None:
    path = write_lines(engine.folder / "in.jsonl", range(40))
    away = engine.folder / "away.jsonl"
    held.add(18)
    async with engine.worker(charge, refund) as client:
        run = await engine.start(
            client,
            charge,
            fanout.JsonLines(path),
            compensate=refund,
            partition_size=10,
            batch_size=5,
            batch_concurrency=5,
            max_concurrency=10,
        )
        await eventually(lambda: list(engine.store.glob(f"{run.id}/*/_commits/*/*.json")))
        path.rename(away)
        with pytest.raises(fanout.RunFailed, match="what succeeded is undone: fanout watch") as failure:
            await run.result()
        assert failure.value.status is Status.FAILED
        # It reads the items from their source, too.
        undoing = fanout.get_run(client, f"{run.id}.compensation")
        engine.started.append((client, undoing))
        with pytest.raises(fanout.RunFailed, match="in.jsonl"):
            await undoing.result()
        away.rename(path)
        again = await undoing.rerun()
        result = await again.result()
        assert numbers(refunded) == [row.index async for row in run.results(ordered=True)] != []
        assert result.succeeded == len(refunded)


async def test_what_cannot_be_compensated_is_refused(engine: Engine) -> None:
    async with engine.worker(charge, refund, forget) as client:
        held.add(5)
        run = await engine.start(client, charge, fanout.Range(10), compensate=refund, batch_size=2)
        with pytest.raises(fanout.UsageError, match="is still running: its compensation begins once it has"):
            await run.compensate()
        await eventually(lambda: len(keys_seen.get("charge", ())) == 10)
        await run.cancel()
        with pytest.raises(fanout.RunFailed):
            await run.result()
        undoing = fanout.get_run(client, f"{run.id}.compensation")
        await undoing.result()
        with pytest.raises(fanout.UsageError, match="is itself the compensation of run"):
            await undoing.compensate(forget)
        with pytest.raises(fanout.UsageError, match="nothing continues it"):
            await fanout.start(client, forget, fanout.Range(20), id=undoing.id, continue_run=True)

        broken.update(range(2))
        failed = (await engine.run(client, charge, fanout.Range(2))).run
        with pytest.raises(fanout.UsageError, match="say which processor undoes run"):
            await failed.compensate()
        with pytest.raises(fanout.UsageError, match="nothing succeeded in run"):
            await failed.compensate(refund)
        other = (await engine.run(client, forget, fanout.Range(2))).run
        with pytest.raises(
            fanout.UsageError, match="'refund' compensates 'charge'; the run is one of 'forget'"
        ):
            await other.compensate(refund)
        # Where only workers know the processor, the run says so.
        by_name = await other.compensate("refund")
        with pytest.raises(fanout.RunFailed, match="'refund' compensates 'charge'"):
            await by_name.result()
        with pytest.raises(fanout.UsageError, match="has no parameter 'px'"):
            await other.compensate(forget, params={"px": 1})
        unfit: list[tuple[dict[str, Any], str]] = [
            ({"compensate": refund, "processor": forget}, "'refund' compensates 'charge'; the run is one of"),
            ({"compensate": forget, "id": "x" * 195}, "cannot be compensated: with '.compensation' its id"),
            ({"processor": refund}, "'refund' takes the output of 'charge': it runs as a compensation"),
        ]
        for arguments, reason in unfit:
            wanted = arguments.pop("processor", charge)
            with pytest.raises(fanout.UsageError, match=reason):
                await engine.start(client, wanted, fanout.Range(2), **arguments)
        ordinary = await engine.start(client, "refund", fanout.Range(2))
        with pytest.raises(fanout.RunFailed, match="takes the output of 'charge'"):
            await ordinary.result()


async def test_a_worker_that_is_killed_in_a_compensation_undoes_every_item_with_one_outcome(
    engine: Engine, workers: Workers
) -> None:
    client = await engine.client(doubled, halved)
    await workers.start()
    run = await engine.start(client, doubled, fanout.Range(300), batch_size=50, partition_size=150)
    await run.result()
    workers.clear()
    undoing = await run.compensate(
        halved,
        params={"seconds": 0.1},
        max_concurrency=20,
        batch_size=20,
        batch_concurrency=5,
        partition_size=110,
        heartbeat_timeout=1,
    )
    engine.started.append((client, undoing))
    await eventually(lambda: len(workers.intervals()) > 60)
    workers.running[0].kill()
    await workers.start()
    result = await asyncio.wait_for(undoing.result(), 60)
    assert (result.items, result.succeeded, result.failed) == (300, 300, 0)
    assert {row.index: row.output async for row in undoing.results()} == {n: n for n in range(300)}
    assert sorted(published(to_path(result.output))) == list(range(300))
