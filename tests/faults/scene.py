"""One scenario: its items, its workers, its run, and the verdict over what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from temporalio.client import Client

import fanout
from fanout.models import RunResult
from tests.faults import oracle
from tests.faults.files import Files, at
from tests.faults.fleet import Fleet
from tests.faults.items import Expected, Item, expect, make, write
from tests.faults.jobs import Fingerprints, digest
from tests.faults.oracle import Verdict
from tests.faults.report import Line
from tests.faults.scale import Scale
from tests.faults.watcher import Watcher
from tests.integration.engine import assert_never_stuck, tree
from tests.waiting import eventually


@dataclass
class Scene:
    """What a scenario's test works with.

    Attributes:
        scale: Its size.
        dice: Its random numbers.
        folder: Its folder.
        queue: Its task queue; also the id of its run.
        server: The address of the Temporal server, for clients.
        store: Where outputs go.
        line: Its line in the report.
        fleet: Its workers.
        s3: A client of boto3, where the store is a bucket.
        far: Whether its items lie in that bucket, too.
        watchers: Who looks at the numbers of its runs.
    """

    scale: Scale
    dice: random.Random
    folder: Path
    queue: str
    server: str
    store: str
    line: Line
    fleet: Fleet
    s3: Any = None
    far: bool = False
    items: list[Item] = field(default_factory=list)
    began: float = 0.0
    watchers: dict[Watcher, asyncio.Task[None]] = field(default_factory=dict)

    async def client(self) -> Client:
        """Return a client that goes straight to the server."""
        plugin = fanout.Plugin([digest], store=self.store, allowed_roots=[self.folder])
        return await Client.connect(self.server, plugins=[plugin])

    @property
    def source(self) -> Path:
        """The file that the items are read from."""
        return self.folder / "items.jsonl"

    async def start(
        self,
        made: Sequence[Item] | None = None,
        *,
        limit: int | None = None,
        watched: bool = True,
        **options: Any,
    ) -> fanout.Run:
        """Start the run over the scenario's usual items, or over others.

        Args:
            made: The items.
            limit: How many of them to run; None for all.
            watched: Whether somebody looks at its numbers all the time: of a run that is reset they may go back.
            **options: Of `fanout.start`.
        """
        self.items = list(made) if made is not None else make(self.scale, self.dice)
        self.line.items = len(self.items)
        reader = fanout.JsonLines(self._place(), key="key")
        self.began = time.monotonic()
        run = await fanout.start(
            await self.client(),
            digest,
            reader if limit is None else reader.limit(limit),
            task_queue=self.queue,
            reduce=Fingerprints,
            **{"id": self.queue, **self.settings(), **options},
        )
        if watched:
            watcher = Watcher(fanout.Run(run.client, run.id, execution=(await run.info()).execution))
            self.watchers[watcher] = asyncio.create_task(watcher.look_on())
        return run

    def _place(self) -> str | Path:
        """Put the items where the workers read them."""
        path = write(self.source, self.items)
        if not self.far:
            return path
        url = f"{self.store}/{path.name}"
        parts = urlsplit(url)
        self.s3.upload_file(str(path), parts.netloc, parts.path.lstrip("/"))
        return url

    def settings(self) -> dict[str, Any]:
        """Return the options of the scenario's runs."""
        return {
            "partition_size": self.scale.partition_size,
            "batch_size": self.scale.batch_size,
            "batch_concurrency": self.scale.batch_concurrency,
            "max_concurrency": self.scale.max_concurrency,
            "history_limit": self.scale.history_limit,
            "heartbeat_timeout": self.scale.heartbeat_timeout,
            "batch_seconds": 1.0,
            "retry_initial": 0.05,
        }

    # ---- moments of the run

    async def reached(self, share: float) -> None:
        """Return when so much of the run's items has been called."""
        wanted = share * len(self.items)
        await eventually(lambda: self.fleet.count_calls() >= wanted, within=self.scale.within)

    async def moments(self, count: int, first: float = 0.1, last: float = 0.8) -> AsyncIterator[int]:
        """Yield at random moments of the run; each time a fault is injected."""
        for number, share in enumerate(sorted(self.dice.uniform(first, last) for _ in range(count))):
            await self.reached(share)
            yield number
            self.line.faults += 1

    async def trouble(self, run: fanout.Run) -> str:
        """Wait until the run says why it does not get on."""
        await until(run.trouble, within=self.scale.within)
        return await run.trouble() or "gone again"

    # ---- the end

    async def result(self, run: fanout.Run) -> RunResult:
        """Wait for the end of the run, past any time without a server."""
        deadline = time.monotonic() + self.scale.within
        while True:
            try:
                return await asyncio.wait_for(run.result(), deadline - time.monotonic())
            except fanout.NoServer:
                await asyncio.sleep(0.2)
            except TimeoutError:
                trouble = await run.trouble()
                raise AssertionError(f"no end after {self.scale.within:g} s; trouble: {trouble}") from None
            finally:
                self.line.seconds = time.monotonic() - self.began

    async def finish(self, run: fanout.Run) -> Verdict:
        """Wait for the end, and judge everything: rows, manifest, histories."""
        return await self.inspect(run, await self.result(run))

    async def inspect(self, run: fanout.Run, result: RunResult, *, stuck: bool = True) -> Verdict:
        """Judge a run that has ended.

        Args:
            run: The run.
            result: What it says of itself.
            stuck: Whether to look for workflow tasks that failed and nodes that were terminated.
        """
        verdict = self.judge(at(result.output, self.s3))
        assert result.items == len(self.items)
        await self.assert_continued(run)
        if stuck:
            assert_never_stuck(await tree(run.client, run.id, (await run.info()).execution))
        return verdict

    def judge(
        self,
        files: Files,
        *,
        complete: bool = True,
        only: range | None = None,
        before: Verdict | None = None,
    ) -> Verdict:
        """Judge the rows and the manifest, put the figures into the report, and fail where anything is wrong.

        Args:
            files: Of the output.
            complete: Whether all items must have a row.
            only: The indexes of the run's items, where these are not all.
            before: What was found in the output that the run continues.
        """
        expected = expect(self.items)
        wanted = expected if only is None else {index: expected[index] for index in only}
        verdict = oracle.judge(wanted, files, complete=complete, before=before)
        self.line.lost += len(verdict.lost)
        self.line.duplicated += len(verdict.duplicated)
        self.count_again(expected)
        verdict.check()
        return verdict

    def count_again(self, expected: Mapping[int, Expected]) -> None:
        """Count the calls that were not needed."""
        calls = self.fleet.calls_of()
        self.line.again = sum(max(0, calls.get(i, 0) - wanted.calls) for i, wanted in expected.items())

    def partitions(self) -> Iterable[str]:
        """Return the workflow ids of the run's partitions."""
        count = -(-len(self.items) // self.scale.partition_size)
        return (f"{self.queue}/partition-{number:06}" for number in range(count))

    async def assert_continued(self, run: fanout.Run, items: int | None = None) -> None:
        """Assert that each partition but the last, which may be small, continued as new in the middle.

        Args:
            run: The run.
            items: How many items it had; None for all.
        """
        whole = (len(self.items) if items is None else items) // self.scale.partition_size
        for name in list(self.partitions())[:whole]:
            assert await continued(run.client, name), f"{name} did not continue as new"


async def continued(client: Client, workflow_id: str) -> bool:
    """Say whether the latest execution of a workflow continues an earlier one."""
    async for event in client.get_workflow_handle(workflow_id).fetch_history_events(page_size=1):
        return bool(event.workflow_execution_started_event_attributes.continued_execution_run_id)
    return False


async def until(condition: Callable[[], Awaitable[object]], *, within: float = 30.0) -> None:
    """Return as soon as the server says that something holds; fail when it does not in time."""
    deadline = time.monotonic() + within
    while not await condition():
        assert time.monotonic() < deadline, f"{condition} does not hold after {within:g} s"
        await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def scene(
    scale: Scale, dice: random.Random, folder: Path, queue: str, server: str, line: Line, **more: Any
) -> AsyncIterator[Scene]:
    """Make a scene, and end its workers with it."""
    store = str(more.pop("store", folder / "out"))
    fleet = Fleet(folder, queue, store, server)
    made = Scene(scale, dice, folder, queue, server, store, line, fleet, **more)
    try:
        yield made
        line.looks = ", ".join(watcher.check() for watcher in made.watchers)
    finally:
        for looking in made.watchers.values():
            looking.cancel()
        await asyncio.gather(*made.watchers.values(), return_exceptions=True)
        await fleet.close()
