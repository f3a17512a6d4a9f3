"""Once the server has forgotten a run, its output still answers."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

import fanout
from fanout.cli.forgotten import NOTE
from fanout.storage.roots import to_path
from tests.integration.engine import Done, Engine, write_lines


@fanout.processor
async def picky(item: int) -> int:
    if item % 10 == 3:
        raise ValueError(f"not {item}")
    return item


async def forget(engine: Engine, *runs: fanout.Run) -> None:
    """Delete runs from the server, as retention does."""
    # Their histories cannot be looked at any more.
    engine.started.clear()
    for run in runs:
        await run.client.workflow_service.delete_workflow_execution(
            DeleteWorkflowExecutionRequest(
                namespace=run.client.namespace, workflow_execution=WorkflowExecution(workflow_id=run.id)
            )
        )
    async with asyncio.timeout(120):
        for run in runs:
            while await known(run):  # noqa: ASYNC110 - only the server knows
                await asyncio.sleep(0.05)


async def known(run: fanout.Run) -> bool:
    try:
        await run.client.get_workflow_handle(run.id).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True


async def command(engine: Engine, *words: str) -> tuple[int, str, str]:
    """Run the command against the test's server and store."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fanout.cli", *words, "--address", engine.server.address),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"FANOUT_STORE": str(engine.store), "PATH": ""},
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def ended(engine: Engine, client: Client) -> Done:
    """Run 30 of 60 items, three of which fail."""
    return await engine.run(client, picky, source(engine).limit(30), retries=0)


def source(engine: Engine) -> fanout.JsonLines:
    return fanout.JsonLines(engine.folder / "in.jsonl")


async def test_a_run_that_the_server_has_forgotten_answers_from_its_output(engine: Engine) -> None:
    write_lines(engine.folder / "in.jsonl", range(60))
    async with engine.worker(picky) as client:
        # One to read, one to continue, one to run again, and one that ended without a manifest, as a terminated one.
        read, continued, rerun, cut_off = [await ended(engine, client) for _ in range(4)]
        (cut_off.folder / "manifest.json").unlink()
        again = await rerun.run.rerun(retries=1)
        assert (await again.result()).failed == 3
        (to_path(await again.output()) / "manifest.json").unlink()
        # Each of the two is read with the other.
        both = [rerun.result.output, await again.output()]
        assert [one.output for one in await fanout.old_outputs(client, 0) if one.output in both] == both
        await forget(engine, read.run, continued.run, again, cut_off.run)
        await check_reading(read)
        await check_rerunning(engine, client, rerun, both[1])
        await check_continuing(engine, client, continued.run.id)
    await check_the_command(engine, read.run.id)
    code, out, err = await command(engine, "status", cut_off.run.id)
    assert code == 0, err
    assert said(out)["status"].endswith("ended without a manifest")
    assert (said(out)["succeeded"], said(out)["failed"]) == ("27", "3")


async def check_reading(before: Done) -> None:
    # A handle by the id alone, as another process has it; and one that knows its execution.
    for run in (fanout.get_run(before.run.client, before.run.id), before.run):
        with pytest.raises(fanout.RunNotFound):
            await run.info()
        assert await run.output() == before.result.output
        assert {row.index: row.output async for row in run.results(ordered=True)} == before.results
        assert {row.index async for row in run.failures()} == {3, 13, 23}
        [kind] = await run.failure_kinds()
        assert (kind.error_type, kind.message, kind.count) == ("ValueError", "not <n>", 3)
        page = (await run.report(before.folder / "report.html")).read_text()
        assert "The server knows this run no more" in page
        assert "not &lt;n&gt;" in page
        (before.folder / "report.html").unlink()
        assert isinstance(await run.item(4), fanout.ItemResult)
        assert isinstance(await run.item(key="13"), fanout.Failure)


async def check_continuing(engine: Engine, client: Client, run_id: str) -> None:
    after = await engine.start(client, picky, source(engine), id=run_id, continue_run=True, retries=0)
    result = await after.result()
    assert (result.succeeded, result.failed) == (27, 3)
    assert [row.index async for row in after.results(ordered=True)] == [n for n in range(60) if n % 10 != 3]


async def check_rerunning(engine: Engine, client: Client, before: Done, output: str) -> None:
    # The newest execution counts, though it has no manifest, and the first one has.
    found = fanout.get_run(client, before.run.id)
    assert await found.output() == output
    assert {row.index: row.output async for row in found.results(ordered=True)} == before.results
    assert [(row.index, row.attempts) async for row in found.failures()] == [(3, 2), (13, 2), (23, 2)]
    code, out, err = await command(engine, "status", found.id)
    assert (code, "what failed and what was not run" in out) == (0, True), err
    again = await found.rerun(task_queue=engine.queue, keys=["13"])
    assert (await again.result()).failed == 1
    assert [(row.index, row.attempts) async for row in again.failures()] == [(3, 2), (13, 2), (23, 2)]


async def check_the_command(engine: Engine, run_id: str) -> None:
    code, out, err = await command(engine, "status", run_id)
    assert code == 0, err
    assert said(out)["status"] == "COMPLETED_WITH_FAILURES"
    assert [said(out)[name] for name in ("items", "succeeded", "failed")] == ["30", "27", "3"]
    assert NOTE in err

    found = json.loads((await command(engine, "status", run_id, "--json"))[1])
    assert (found["status"], found["succeeded"], found["forgotten"]) == ("COMPLETED_WITH_FAILURES", 27, True)

    code, out, err = await command(engine, "results", run_id)
    assert (code, len(out.splitlines())) == (0, 27), err
    code, out, err = await command(engine, "failures", run_id)
    assert (code, [json.loads(line)["index"] for line in out.splitlines()]) == (0, [3, 13, 23]), err
    code, out, err = await command(engine, "item", run_id, "4")
    assert code == 0, err
    code, out, err = await command(engine, "item", run_id, "99")
    assert (code, out) == (1, "")
    assert "has no outcome of item 99 in its output" in err


def said(out: str) -> dict[str, str]:
    """Return the rows of a table of two columns."""
    rows = (line.split(maxsplit=1) for line in out.splitlines())
    return dict(row for row in rows if len(row) == 2)


async def test_a_run_that_nobody_knows_is_not_found_and_it_is_said_where_was_looked(engine: Engine) -> None:
    client = await engine.client(picky)
    with pytest.raises(
        fanout.RunNotFound, match=rf"nor is there an output of it in {engine.store} \(see FANOUT"
    ):
        await fanout.get_run(client, "nobody").output()
    code, _, err = await command(engine, "results", "nobody")
    assert code != 0
    assert f"nor is there an output of it in {engine.store}" in err
