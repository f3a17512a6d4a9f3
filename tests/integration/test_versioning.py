"""Two versions of a worker deployment side by side: runs move on to the current one, or stay with their own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.client import Client
from temporalio.service import RPCError

import fanout
from fanout.cli.workerflags import Behavior, Versioning
from tests.integration.engine import Engine, Node, done
from tests.waiting import eventually

BATCHES = {"partition_size": 20, "batch_size": 4, "batch_concurrency": 2, "max_concurrency": 8}


class Fleet:
    """Workers of two versions, `one` and `two`, of a deployment of this test's own."""

    def __init__(self, engine: Engine, behavior: Behavior) -> None:
        self.engine = engine
        self.name = re.sub(r"\W", "-", engine.queue)
        self.behavior = behavior
        self.begun: Counter[str] = Counter()
        self.opened = False

    def processor(self, version: str) -> Callable[[int], Awaitable[str]]:
        async def which(number: int) -> str:
            self.begun[version] += 1
            await eventually(lambda: self.opened)
            return version

        return which

    async def join(self, stack: AsyncExitStack, version: str) -> Client:
        """Start the worker of a version, which ends with the stack."""
        flags = Versioning(self.name, version, self.behavior)
        working = self.engine.worker(
            self.processor(version), identity=version, deployment=flags.config(), shutdown_timeout=1
        )
        return await stack.enter_async_context(working)

    async def make_current(self, client: Client, version: str) -> None:
        """Let new runs begin with a version, as `temporal worker deployment set-current-version` does."""
        request = SetWorkerDeploymentCurrentVersionRequest(
            namespace=client.namespace, deployment_name=self.name, build_id=version, identity="test"
        )

        async def is_set() -> bool:
            try:
                await client.workflow_service.set_worker_deployment_current_version(request)
            except RPCError:
                return False  # its pollers are not known to the server yet
            return True

        await eventually(is_set)


def workers(node: Node) -> set[str]:
    """Return who did anything of a tree: workflow tasks, activities of both queues."""
    found = set()
    for one in node.walk():
        for event in one.events:
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                found.add(event.workflow_task_completed_event_attributes.identity)
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
                found.add(event.activity_task_started_event_attributes.identity)
    return found


@pytest.fixture
def source(tmp_path: Path) -> fanout.JsonLines:
    """A file: it is planned by an activity on the queue of control."""
    path = tmp_path / "items.jsonl"
    path.write_text("".join(f"{n}\n" for n in range(60)))
    return fanout.JsonLines(path)


async def test_a_run_that_may_moves_on_to_the_current_version_and_completes_without_the_old_one(
    engine: Engine, source: fanout.JsonLines
) -> None:
    fleet = Fleet(engine, "auto-upgrade")
    async with AsyncExitStack() as new, AsyncExitStack() as old:
        client = await fleet.join(old, "one")
        await fleet.make_current(client, "one")
        run = await engine.start(client, "which", source, **BATCHES)
        await eventually(lambda: fleet.begun["one"] == 8)
        client = await fleet.join(new, "two")
        await fleet.make_current(client, "two")
        await old.aclose()
        fleet.opened = True
        ended = await done(fanout.get_run(client, run.id))
        assert ended.result.succeeded == 60
        assert set(ended.results.values()) <= {"one", "two"}
        assert Counter(ended.results.values())["two"] >= 50
        assert workers(await engine.histories(run)) == {"one", "two"}


async def test_a_pinned_run_stays_with_its_version_in_all_of_its_parts(
    engine: Engine, source: fanout.JsonLines
) -> None:
    fleet = Fleet(engine, "pinned")
    async with AsyncExitStack() as stack:
        client = await fleet.join(stack, "one")
        await fleet.make_current(client, "one")
        small = {"partition_size": 60, "batch_size": 1, "batch_concurrency": 1, "history_limit": 110}
        pinned = await engine.start(client, "which", source, **(BATCHES | small))
        await eventually(lambda: fleet.begun["one"] == 8)
        await fleet.join(stack, "two")
        await fleet.make_current(client, "two")
        fleet.opened = True
        assert Counter((await done(pinned)).results.values()) == {"one": 60}
        # Also where the client of the old version's worker starts it.
        later = await engine.run(client, "which", source, **BATCHES)
        assert Counter(later.results.values()) == {"two": 60}
        # Planning, publishing and what continues as new are the version's own, too.
        tree = await engine.histories(pinned)
        assert workers(tree) == {"one"}
        assert any(len(node.executions) > 1 for node in tree.walk())
        assert workers(await engine.histories(later.run)) == {"two"}
