"""Once the server has forgotten a run, its output still answers."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.service import RPCError, RPCStatusCode

import fanout
from fanout.cli.forgotten import NOTE
from tests.integration.engine import Done, Engine, write_lines


@fanout.processor
async def picky(item: int) -> int:
    if item % 10 == 3:
        raise ValueError(f"not {item}")
    return item


async def forget(engine: Engine, run: fanout.Run) -> fanout.Run:
    """Delete a run from the server, as retention does; return a new handle by its id alone."""
    engine.started.clear()
    client = run.client
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=client.namespace, workflow_execution=WorkflowExecution(workflow_id=run.id)
        )
    )
    async with asyncio.timeout(30):
        while True:
            try:
                await client.get_workflow_handle(run.id).describe()
            except RPCError as error:
                assert error.status is RPCStatusCode.NOT_FOUND
                return fanout.get_run(client, run.id)
            await asyncio.sleep(0.05)


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


async def ended(engine: Engine) -> Done:
    """Run 30 of 60 items, three of which fail."""
    path = write_lines(engine.folder / "in.jsonl", range(60))
    async with engine.worker(picky) as client:
        return await engine.run(client, picky, fanout.JsonLines(path).limit(30), retries=0)


async def test_a_run_that_the_server_has_forgotten_reads_from_its_output(engine: Engine) -> None:
    before = await ended(engine)
    run = await forget(engine, before.run)
    with pytest.raises(fanout.RunNotFound):
        await run.info()
    assert await run.output() == before.result.output
    assert {row.index: row.output async for row in run.results(ordered=True)} == before.results
    assert {row.index async for row in run.failures()} == {3, 13, 23}
    assert isinstance(await run.item(4), fanout.ItemResult)
    assert isinstance(await run.item(key="13"), fanout.Failure)


async def test_a_run_that_the_server_has_forgotten_can_be_continued(engine: Engine) -> None:
    before = await ended(engine)
    run = await forget(engine, before.run)
    async with engine.worker(picky) as client:
        path = engine.folder / "in.jsonl"
        after = await engine.start(
            client, picky, fanout.JsonLines(path), id=run.id, continue_run=True, retries=0
        )
        result = await after.result()
    assert (result.succeeded, result.failed) == (27, 3)
    assert [row.index async for row in after.results(ordered=True)] == [n for n in range(60) if n % 10 != 3]


async def test_the_command_answers_for_a_run_that_the_server_has_forgotten(engine: Engine) -> None:
    before = await ended(engine)
    run = await forget(engine, before.run)

    code, out, err = await command(engine, "status", run.id)
    assert code == 0, err
    said = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert said["status"] == "COMPLETED_WITH_FAILURES"
    assert (said["items"], said["succeeded"], said["failed"]) == ("30", "27", "3")
    assert NOTE in err

    code, out, err = await command(engine, "status", run.id, "--json")
    found = json.loads(out)
    assert (found["status"], found["succeeded"], found["forgotten"]) == ("COMPLETED_WITH_FAILURES", 27, True)

    code, out, err = await command(engine, "results", run.id)
    assert (code, len(out.splitlines())) == (0, 27), err
    code, out, err = await command(engine, "failures", run.id)
    assert (code, [json.loads(line)["index"] for line in out.splitlines()]) == (0, [3, 13, 23]), err
    code, out, err = await command(engine, "item", run.id, "4")
    assert code == 0, err


async def test_a_run_that_nobody_knows_is_not_found_and_it_is_said_where_was_looked(engine: Engine) -> None:
    client = await engine.client(picky)
    with pytest.raises(
        fanout.RunNotFound, match=rf"nor is there an output of it in {engine.store} \(see FANOUT"
    ):
        await fanout.get_run(client, "nobody").output()
    code, _, err = await command(engine, "results", "nobody")
    assert code != 0
    assert f"nor is there an output of it in {engine.store}" in err


async def test_a_run_that_was_terminated_and_forgotten_shows_what_it_had_committed(engine: Engine) -> None:
    async with engine.worker(picky) as client:
        run = await engine.start(client, picky, fanout.Range(50), batch_size=10, retries=0)
        await run.result()
    output = await run.output()
    (engine.store / run.id / output.rsplit("/", 1)[1] / "manifest.json").unlink()
    run = await forget(engine, run)
    code, out, err = await command(engine, "status", run.id)
    assert code == 0, err
    assert "ended without a manifest" in out
    assert "succeeded" in out
    assert "45" in out
