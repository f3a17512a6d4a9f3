"""What patterns in a workflow cost: events, bytes of history, and the actions that Temporal Cloud would bill."""

from __future__ import annotations

import asyncio
import re
import tempfile
import urllib.request
from collections import Counter
from dataclasses import asdict, dataclass, field
from uuid import uuid4

from temporalio.client import Client
from temporalio.worker import Worker

import fanout
from bench import patterned
from bench.histories import executions
from bench.jobs import number
from bench.report import Figure, Report
from bench.scales import Sizes
from fanout.devserver import start_dev_server
from fanout.ports import free_port

ITEMS = 100
QUEUE = "costs"
FEW = patterned.WINDOW

BY_HAND = "`asyncio.gather`, by hand"
A_RUN = "a run, no option set"

_ACTIONS = re.compile(r'^action\{action_type="(\w+)",namespace="default".*\} (\d+)$', re.MULTILINE)
_HEARTBEAT = "grpc_RecordActivityTaskHeartbeat"
_STEADY = 1.5
"""Seconds: the server's counters lag about one behind."""

WORKFLOWS: dict[str, type] = {
    BY_HAND: patterned.Plain,
    "`gather`": patterned.Gather,
    "`gather`, where one item in ten fails twice": patterned.PartialResults,
    "`as_completed`": patterned.AsCompleted,
    f"`chunked`, {FEW} at a time": patterned.Chunked,
    f"`sliding_window`, {FEW} in flight": patterned.SlidingWindow,
    "`first_success`, all others cancelled": patterned.FirstSuccess,
    "`gather` over child workflows of one activity": patterned.Children,
}


@dataclass(frozen=True)
class Cost:
    """What one workflow has cost, its children included.

    Attributes:
        executions: Workflow executions.
        largest: Events of the longest history.
        events: Events of all histories.
        size: Bytes of all histories.
        actions: What Temporal Cloud would bill, by the server's own counter; retries are in it.
        heartbeats: As many actions more: how many depends on how long activities take.
    """

    executions: int
    largest: int
    events: int
    size: int
    actions: int
    heartbeats: int


async def measure(sizes: Sizes) -> Report:
    """Run each pattern once over as many items, at every scale: events need no large numbers."""
    costs: dict[str, Cost] = {}
    metrics_port = free_port("127.0.0.1")
    with tempfile.TemporaryDirectory(prefix="fanout-bench-") as store:
        async with await start_dev_server(
            ui=False, extra_arguments=("--metrics-port", str(metrics_port))
        ) as server:
            client = await fanout.connect(server.address, plugin=fanout.Plugin([number], store=store))
            async with Worker(
                client,
                task_queue=QUEUE,
                workflows=[*WORKFLOWS.values(), patterned.OneActivity],
                activities=[patterned.echo, patterned.wait_unless_first, patterned.fail_some],
            ):
                meter = _Meter(client, f"http://127.0.0.1:{metrics_port}/metrics")
                for name, pattern in WORKFLOWS.items():
                    costs[name] = await meter.run(pattern)
                costs[A_RUN] = await meter.run_of_ours()
    return Report(
        title=f"{ITEMS} items that do nothing, each by an activity or child workflow of its own",
        figures=[_figure(name, cost) for name, cost in costs.items()],
        raw={name: asdict(cost) for name, cost in costs.items()},
    )


@dataclass
class _Meter:
    """Runs one thing at a time, and reads off the server what it has cost."""

    client: Client
    metrics_url: str
    _before: Counter[str] = field(default_factory=Counter)

    async def run(self, pattern: type) -> Cost:
        workflow_id = f"{pattern.__name__}-{uuid4()}"
        await self.client.execute_workflow(pattern.__name__, ITEMS, id=workflow_id, task_queue=QUEUE)
        return await self._cost(workflow_id, at_least=1 + ITEMS * (pattern is patterned.Children))

    async def run_of_ours(self) -> Cost:
        run = await fanout.start(
            self.client, number, fanout.Range(ITEMS), id=f"run-{uuid4()}", task_queue=QUEUE
        )
        await run.result()
        return await self._cost(run.id, at_least=1)

    async def _cost(self, workflow_id: str, *, at_least: int) -> Cost:
        found = await executions(self.client, workflow_id, at_least=at_least)
        total = await self._actions()
        actions, self._before = total - self._before, total
        return Cost(
            executions=len(found),
            largest=max(one.events for one in found),
            events=sum(one.events for one in found),
            size=sum(one.size for one in found),
            actions=actions.total() - actions[_HEARTBEAT],
            heartbeats=actions[_HEARTBEAT],
        )

    async def _actions(self) -> Counter[str]:
        """Return the actions that the server has counted so far, by their type."""
        before, now = None, await asyncio.to_thread(self._read)
        while now != before:
            await asyncio.sleep(_STEADY)
            before, now = now, await asyncio.to_thread(self._read)
        return now

    def _read(self) -> Counter[str]:
        with urllib.request.urlopen(self.metrics_url) as answer:
            text = answer.read().decode()
        return Counter({kind: int(count) for kind, count in _ACTIONS.findall(text)})


def _figure(name: str, cost: Cost) -> Figure:
    note = f"{cost.actions:,} actions, {cost.size / 1024:,.0f} KiB of history"
    if cost.heartbeats:
        note += ", and heartbeats"
    if cost.executions > 1:
        note += f"; {cost.executions} histories, the longest of {cost.largest} events"
    return Figure(name, cost.events, "events", note=note)
