"""What the tests of the engine share: workers in this process, histories of runs, oracles over outputs."""

from __future__ import annotations

import asyncio
import glob
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.worker import WorkerDeploymentConfig

import fanout
from fanout.models import RunResult
from fanout.processors import as_processor
from fanout.storage.roots import to_path
from fanout.workers.worker import run_worker
from tests.conftest import TestServer

Plugin = fanout.Plugin
SHUTDOWN = 5.0


@dataclass
class Node:
    """One workflow of a run's tree: the histories of its executions, and the nodes below it."""

    workflow_id: str
    kind: str
    executions: list[list[HistoryEvent]] = field(default_factory=list)
    children: list[Node] = field(default_factory=list)

    def walk(self) -> Iterable[Node]:
        """Yield this node and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def events(self) -> list[HistoryEvent]:
        """All events of all executions."""
        return [event for execution in self.executions for event in execution]

    def count(self, kind: EventType.ValueType) -> int:
        """How many events of a kind there are."""
        return sum(event.event_type == kind for event in self.events)


async def tree(client: Client, workflow_id: str, run_id: str | None = None) -> Node:
    """Read a workflow and all below it from the server, from events alone: nothing here is eventual."""
    node = Node(workflow_id, "")
    children: dict[tuple[str, str], None] = {}
    following: str | None = run_id
    while True:
        handle = client.get_workflow_handle(workflow_id, run_id=following)
        events = list((await handle.fetch_history()).events)
        node.executions.append(events)
        first = events[0].workflow_execution_started_event_attributes
        node.kind = first.workflow_type.name
        for event in events:
            if event.event_type == EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
                child = event.child_workflow_execution_started_event_attributes.workflow_execution
                children[child.workflow_id, child.run_id] = None
        last = events[-1]
        if last.event_type != EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
            break
        following = last.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    node.children = list(await asyncio.gather(*(tree(client, *child) for child in children)))
    return node


# A signal or a cancellation that arrives in the moment of closing: the task is repeated at once.
HARMLESS = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND


def assert_never_stuck(root: Node) -> None:
    """No workflow task of a run failed, and no node was left running when the one above it ended.

    A workflow that throws what Temporal cannot take is retried for ever. A child that runs on when its parent closes is
    terminated, with what it was about to publish.
    """
    if root.events[-1].event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
        return
    for node in root.walk():
        for event in node.events:
            stuck = (
                event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
                and event.workflow_task_failed_event_attributes.cause != HARMLESS
            )
            cut_off = event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED
            if stuck or cut_off:
                raise AssertionError(f"{node.workflow_id}: {MessageToDict(event)}")


@dataclass
class Engine:
    """One test's queue, folder and client.

    Attributes:
        server: The server of this test run.
        queue: The test's own task queue.
        folder: The test's own folder; the store is `out` in it.
        started: The runs that the test has started: their histories are checked at its end.
    """

    server: TestServer
    queue: str
    folder: Path
    started: list[tuple[Client, fanout.Run]] = field(default_factory=list)

    @property
    def store(self) -> Path:
        """Where the outputs of this test lie."""
        return self.folder / "out"

    async def client(
        self, *processors: Callable[..., Any], identity: str | None = None, **plugin: Any
    ) -> Client:
        """Return a client whose workers run these processors."""
        plugin.setdefault("store", self.store)
        plugin.setdefault("allowed_roots", [self.folder])
        made = Plugin([as_processor(one) for one in processors], **plugin)
        return await Client.connect(
            self.server.address, namespace=self.server.namespace, plugins=[made], identity=identity
        )

    @asynccontextmanager
    async def worker(
        self,
        *processors: Callable[..., Any],
        shutdown_timeout: float = SHUTDOWN,
        deployment: WorkerDeploymentConfig | None = None,
        **plugin: Any,
    ) -> AsyncIterator[Client]:
        """Run a worker in this process; yield its client."""
        client = await self.client(*processors, **plugin)
        stop, ready = asyncio.Event(), asyncio.Event()
        worker = asyncio.create_task(
            run_worker(
                client,
                self.queue,
                stop=stop,
                shutdown_timeout=shutdown_timeout,
                deployment=deployment,
                ready=ready.set,
            )
        )
        waiting = asyncio.create_task(ready.wait())
        try:
            await asyncio.wait({worker, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if worker.done():
                worker.result()
            yield client
        finally:
            stop.set()
            waiting.cancel()
            await worker

    async def start(
        self, client: Client, processor: Callable[..., Any] | str, reader: Any, **arguments: Any
    ) -> fanout.Run:
        """Start a run on the test's queue, with an id of its own and quick retries."""
        arguments.setdefault("id", f"{self.queue}-{len(self.started)}")
        arguments.setdefault("retry_initial", 0.02)
        run = await fanout.start(client, processor, reader, task_queue=self.queue, **arguments)
        self.started.append((client, run))
        return run

    async def run(
        self, client: Client, processor: Callable[..., Any] | str, reader: Any, **arguments: Any
    ) -> Done:
        """Run to the end, and return what came of it."""
        return await done(await self.start(client, processor, reader, **arguments))

    async def histories(self, run: fanout.Run) -> Node:
        """Return the tree of a run's workflows."""
        return await tree(run.client, run.id, (await run.info()).execution)


@dataclass
class Done:
    """A run that has ended, with its rows."""

    run: fanout.Run
    result: RunResult
    results: dict[int, Any]
    failures: dict[int, fanout.Failure]
    folder: Path

    def failed(self, index: int) -> tuple[str, str, int]:
        """Return type, message and attempts of a failure."""
        failure = self.failures[index]
        return failure.error_type, failure.message, failure.attempts


async def done(run: fanout.Run) -> Done:
    """Wait for a run, and read its rows through the handle."""
    result = await run.result()
    results = [row async for row in run.results(ordered=True)]
    failures = [row async for row in run.failures()]
    assert [row.index for row in results] == sorted({row.index for row in results})
    assert [row.index for row in failures] == sorted({row.index for row in failures})
    assert (len(results), len(failures)) == (result.succeeded, result.failed)
    return Done(
        run,
        result,
        {row.index: row.output for row in results},
        {row.index: row for row in failures},
        to_path(result.output),
    )


def published(folder: Path) -> dict[int, str]:
    """Parse the published folders as a stranger would, and check that no index is there twice.

    Returns:
        The kind of outcome of each index.
    """
    seen: Counter[int] = Counter()
    kinds: dict[int, str] = {}
    for kind in ("results", "failures"):
        for name in glob.glob(f"{folder}/{kind}/**/*", recursive=True):  # noqa: PTH207 - what a person would use
            for line in Path(name).read_bytes().splitlines():
                index = json.loads(line)["index"]
                seen[index] += 1
                kinds[index] = kind
    assert not [index for index, count in seen.items() if count > 1]
    return kinds


def write_lines(path: Path, items: Iterable[Any]) -> Path:
    """Write a JSON Lines file."""
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path
