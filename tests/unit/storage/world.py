"""A run of one partition: its planner, its processes, what may befall them, and what must hold all the while."""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fanout.errors import StoreError, StoreUnavailable
from fanout.pages import RestRef
from fanout.storage import publishing
from fanout.storage.layout import KINDS, ROLL_UPS, Kind, batch_key
from fanout.storage.records import Commit, RollUp
from fanout.storage.stores import Store
from tests.unit.storage import outputs
from tests.unit.storage.executor import Batch, Executor
from tests.unit.storage.outputs import NONCE, WEIGHT, weight
from tests.unit.storage.real_executor import IndexFold, RealExecutor
from tests.unit.storage.stepping import FAULTS, NONE, Process

MOST_STEPS = 4000
CHAOS_STEPS = 150
ATTEMPTS = 3


@dataclass(frozen=True)
class Chances:
    """How often something befalls the run, of its steps; and how often an execution stores a checkpoint.

    A late reset is one while the run is published.
    """

    die: float = 0.03
    time_out: float = 0.05
    reset: float = 0.02
    late_reset: float = 0.02
    fault: float = 0.15
    checkpoint: float = 0.6


ORDINARY = Chances()


class Violation(AssertionError):
    """The protocol has not kept what it promises."""


@dataclass
class Plan:
    """What the workflow knows: everything that a reset takes back to an earlier moment.

    Attributes:
        planner: Who plans now.
        sequence: Number of the next key.
        keys: The keys that count, by planner.
        pending: Batches that are not decided, by key.
        todo: Ranges that no key names yet.
        waiting: Sets handed back that no key names yet.
    """

    planner: str = "aaaaaaaa"
    sequence: int = 0
    keys: dict[str, list[int]] = field(default_factory=dict)
    pending: dict[str, Batch] = field(default_factory=dict)
    todo: list[list[int]] = field(default_factory=list)
    waiting: list[RestRef] = field(default_factory=list)

    def new_key(self) -> str:
        key = batch_key(0, self.sequence, self.planner)
        first = self.keys.get(self.planner, [self.sequence])[0]
        self.sequence += 1
        self.keys[self.planner] = [first, self.sequence]
        return key


@dataclass
class Current:
    """The execution that the server knows of for one key; others of the key are zombies."""

    process: Process
    attempt: int
    sealing: bool


class World:
    """A run and its surroundings.

    Args:
        store: Where its output lies.
        items: How many items it has.
        seed: Decides what its executions do.
        broken: The mechanism that is left out.
        chances: What befalls it, and how often.
        executor: What runs its batches.
    """

    def __init__(
        self,
        store: Store,
        items: int,
        seed: int,
        broken: str = "",
        chances: Chances = ORDINARY,
        executor: type[Executor] | type[RealExecutor] = Executor,
    ) -> None:
        self.store = store
        self.items = items
        self.chance = random.Random(seed)
        self.broken = broken
        self.chances = chances
        self.executor = executor
        self.plan = Plan(todo=[[0, items]])
        self.past: list[Plan] = []
        self.current: dict[str, Current] = {}
        self.processes: list[Process] = []
        self._all: list[Process] = []
        self.canceled = False
        self.violated = False
        self.roll_up: RollUp | None = None
        self.finalizing = False
        self.over = False
        self._commits: dict[str, bytes] = {}

    # ---- what the workflow does

    async def plan_on(self) -> None:
        """Give every item that waits to a batch; where there are none, publish, and end the run."""
        plan = self.plan
        while not self.canceled and (plan.todo or plan.waiting):
            batch = self._next_batch()
            plan.pending[batch.key] = batch
            await self._begin(batch.key, 1, sealing=False)
        if not plan.pending and not self.over and not self.current:
            await self._begin("publish" if self.roll_up is None else "finalize", 1, sealing=False)

    def _next_batch(self) -> Batch:
        plan = self.plan
        if plan.waiting and (not plan.todo or self.chance.random() < 0.5):
            refs: list[RestRef] = []
            for _ in range(min(len(plan.waiting), self.chance.randint(1, 3))):
                first, other = plan.waiting.pop().cut(self.chance.randint(1, 4))
                plan.waiting += [other] if other else []
                refs.append(first)
            return Batch(plan.new_key(), 0, 0, refs)
        start, count = plan.todo.pop()
        taken = self.chance.randint(1, count) if self.chance.random() < 0.6 else count
        if taken < count:
            plan.todo.append([start + taken, count - taken])
        return Batch(plan.new_key(), start, taken)

    async def _begin(self, key: str, attempt: int, *, sealing: bool) -> None:
        seed = self.chance.getrandbits(64)
        work: Callable[[Store], Awaitable[Any]]
        if key == "publish":
            work = self._publish
        elif key == "finalize":
            work = self._finalize
            self.finalizing = True
        else:
            batch = self.plan.pending[key]

            def work(store: Store) -> Awaitable[Commit]:
                chance = random.Random(seed)
                one = self.executor(store, batch, chance, attempt, self.broken, self.chances.checkpoint)
                return one.seal() if sealing else one.run()

        process = Process(f"{key} #{attempt}{' seal' if sealing else ''}", self.store, work)
        self.processes.append(process)
        self._all.append(process)
        self.current[key] = Current(process, attempt, sealing)
        await process.begin()

    def _publish(self, store: Store) -> Awaitable[RollUp]:
        plan = self.plan
        keys = {} if self.broken == "only planned keys" else copy.deepcopy(plan.keys)
        return publishing.publish(
            store, NONCE, 0, 0, self.items, list(plan.todo), rests=list(plan.waiting), keys=keys,
            fold=IndexFold() if self.executor is RealExecutor else None,
        )  # fmt: skip

    async def _finalize(self, store: Store) -> None:
        assert self.roll_up is not None
        totals = self.roll_up.totals
        not_run = sum(count for _, count in self.roll_up.not_run)
        result = outputs.run_result(self.items, totals.succeeded, totals.failed, not_run)
        await publishing.finalize(store, outputs.record(), result, 1)

    def _decided(self, key: str, commit: Commit) -> None:
        self.plan.pending.pop(key)
        self.plan.todo += [list(part) for part in commit.more]
        self.plan.waiting += [
            RestRef(key, number, sum(run[1] for run in rest.runs), rest.runs[0][0], sum(rest.runs[-1][:2]))
            for number, rest in enumerate(commit.rests)
        ]
        self.past.append(copy.deepcopy(self.plan))

    # ---- what befalls it

    async def step(self, process: Process, fault: str = NONE) -> None:
        """Let a process make one request; the workflow learns of its end."""
        destructive = process.operation in ("create", "delete")
        await process.step(fault)
        if destructive:
            await self.check_commits()
        if process.done:
            await self._ended(process)

    async def _ended(self, process: Process) -> None:
        self.processes.remove(process)
        key = next((key for key, now in self.current.items() if now.process is process), None)
        try:
            result = process.result()
        except StoreUnavailable:
            if key is not None:
                await self.retry(key)
            return
        except StoreError as error:
            if key is not None:
                self.fail(f"{process.name} raised {type(error).__name__}: {error}")
            return
        if key is None:
            return
        del self.current[key]
        if key == "publish":
            self.roll_up = result
        elif key == "finalize":
            self.over = True
        else:
            self._decided(key, result)
        await self.plan_on()

    async def retry(self, key: str) -> None:
        """Begin a further execution of what has died, or is thought to have; after some, seal the batch."""
        now = self.current.pop(key)
        if key in ("publish", "finalize"):
            await self._begin(key, now.attempt + 1, sealing=False)
        elif self.broken == "seal before planning anew" and now.attempt >= ATTEMPTS:
            batch = self.plan.pending.pop(key)
            half = max(batch.count // 2, 1)
            if batch.refs:
                self.plan.waiting += batch.refs
            else:
                pieces = [[batch.start, half], [batch.start + half, batch.count - half]]
                self.plan.todo += [piece for piece in pieces if piece[1]]
            await self.plan_on()
        else:
            sealing = now.sealing or now.attempt >= ATTEMPTS or (self.canceled and key in self.plan.pending)
            await self._begin(key, now.attempt + 1, sealing=sealing)

    async def die(self, process: Process) -> None:
        """Kill a process: nothing of it runs any more."""
        self.processes.remove(process)
        await self.time_out(process)

    async def time_out(self, process: Process) -> None:
        """Think that a process is dead; it may go on later."""
        for key, now in list(self.current.items()):
            if now.process is process:
                await self.retry(key)

    async def cancel(self) -> None:
        """Begin nothing new, and seal what is in flight; its executions may run on."""
        self.canceled = True
        for key in list(self.plan.pending):
            now = self.current.get(key)
            if now is not None and not now.sealing:
                await self._begin(key, now.attempt + 1, sealing=True)

    async def reset(self, back: int) -> None:
        """Take the workflow back to an earlier moment; it then plans under keys of its own."""
        if self.over or not self.past:
            return
        planner = f"{int(self.plan.planner, 16) + 1:08x}"
        self.plan = replace(copy.deepcopy(self.past[-1 - back % len(self.past)]), planner=planner)
        self.roll_up = None
        self.current.clear()
        for key in list(self.plan.pending):
            await self._begin(key, 1, sealing=self.canceled)
        await self.plan_on()

    # ---- to the end

    async def finish(self) -> None:
        """Run all processes in a random order until the run has ended, and its zombies too."""
        for number in range(MOST_STEPS):
            if not self.processes:
                break
            await self._something(chaos=number < CHAOS_STEPS)
        else:
            self.fail(f"the run does not end: {[process.name for process in self.processes]}")
        await self.check_end()

    async def _something(self, *, chaos: bool) -> None:
        process = self.chance.choice(self.processes)
        dice = self.chance.random() if chaos else 1.0
        chances = self.chances
        if dice < (limit := chances.die):
            await self.die(process)
        elif dice < (limit := limit + chances.time_out):
            await self.time_out(process)
        elif dice < (limit := limit + (chances.late_reset if "publish" in self.current else chances.reset)):
            await self.reset(self.chance.randint(0, 5))
        else:
            fault = self.chance.choice(FAULTS) if dice < limit + chances.fault else NONE
            await self.step(process, fault)

    async def close(self) -> None:
        """Take away what is left; nothing of it may touch the store any more."""
        for process in self._all:
            await process.end()

    # ---- what must hold

    def fail(self, text: str) -> None:
        """Say what is wrong."""
        self.violated = True
        raise Violation(text)

    async def check_commits(self) -> None:
        """Check that commits never change, and that what they name is there until it is published."""
        found = {
            stored.path: await self.store.read(stored.path) for stored in await self.store.list("_commits")
        }
        for path, data in self._commits.items():
            if found.get(path) != data:
                self.fail(f"{path} has changed")
        new = [json.loads(data) for path, data in found.items() if path not in self._commits]
        self._commits = found
        for commit in new:
            await self._check_rows(commit)
        if not self.finalizing:
            named = {
                data["path"]: data["size"]
                for commit in map(json.loads, found.values())
                for data in (*_data(commit), *filter(None, [commit["reduced"]]))
            }
            there = {stored.path: stored.size for stored in await self.store.list("_data")}
            gone = [path for path, size in named.items() if there.get(path) != size]
            if gone:
                self.fail(f"committed, and gone or changed: {gone}")

    async def _check_rows(self, commit: dict[str, Any]) -> None:
        """Check that a new commit's data are there and are what it says: they never change afterwards."""
        for data in _data(commit) if not self.finalizing else ():
            if not await self.store.exists(data["path"]):
                self.fail(f"{commit['key']} is committed, and {data['path']} does not exist")
            rows = (await self.store.read(data["path"])).splitlines()
            if len(rows) != data["rows"]:
                self.fail(f"{data['path']} has {len(rows)} rows where {data['rows']} are committed")

    async def check_end(self) -> None:
        """Check that the published folders, as anybody would read them, hold each item once."""
        if not self.over:
            self.fail("the run has not ended")
        found: Counter[int] = Counter()
        for kind in KINDS:
            found.update(await outputs.published(self.store, kind))
        self._check_counted(found)
        await self._check_reduced()
        found.update(await self._not_run())
        lost = [index for index in range(self.items) if not found[index]]
        twice = [index for index, times in found.items() if times > 1]
        if lost or twice or len(found) != self.items:
            self.fail(f"lost {lost}, twice {twice}, in all {len(found)}")

    def _check_counted(self, found: Counter[int]) -> None:
        """Check that counters are the sums over the items that have an outcome, each once."""
        assert self.roll_up is not None
        counted = self.roll_up.totals.counters.get(WEIGHT, 0.0)
        if counted != sum(map(weight, found.elements())):
            self.fail(f"counted {counted}, of {sorted(found)}")

    async def _check_reduced(self) -> None:
        """Check that the reducer's value is made of the items that have succeeded, each once."""
        if self.executor is not RealExecutor:
            return
        assert self.roll_up is not None
        reduced = self.roll_up.reduced
        found = [] if reduced is None else json.loads(await self.store.read(reduced.path))
        succeeded = sorted(await outputs.published(self.store, "results"))
        if found != succeeded:
            self.fail(f"reduced {found}, succeeded {succeeded}")

    async def _not_run(self) -> list[int]:
        indexes: list[int] = []
        for stored in await self.store.list(ROLL_UPS):
            for start, count in json.loads(await self.store.read(stored.path))["not_run"]:
                indexes += range(start, start + count)
        if indexes and not self.canceled:
            self.fail(f"not run: {indexes}")
        return indexes


def _data(commit: dict[str, Any]) -> Sequence[dict[str, Any]]:
    kinds: tuple[Kind, ...] = KINDS
    return [data for kind in kinds for data in commit[kind]]
