"""The commit protocol as a state machine over the real storage code, and the proof that it can fail."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fanout.children import execution
from fanout.storage import commits, merging, once, parts, publications
from fanout.storage.records import Commit, DataObject, Publication
from fanout.storage.stores import Store, open_store
from tests.unit.storage.conftest import BUCKET, memory_store
from tests.unit.storage.executor import Executor
from tests.unit.storage.faulty import FaultyStore
from tests.unit.storage.real_executor import RealExecutor
from tests.unit.storage.stepping import FAULTS, NONE
from tests.unit.storage.world import ORDINARY, Chances, Violation, World

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
WHO = st.integers(0, 11)

MECHANISMS = {
    "create only if absent": ORDINARY,
    "read back": ORDINARY,
    "act on commits": ORDINARY,
    # Two executions of one key store checkpoints of other items, and a third resumes from both.
    "one checkpoint": Chances(die=0, time_out=0.12, reset=0, late_reset=0, fault=0, checkpoint=1.0),
    "seal before planning anew": ORDINARY,
    "keep the inherited": ORDINARY,
    "data first": ORDINARY,
    "unique tokens": ORDINARY,
    "only planned keys": ORDINARY,
    # A reset between the first part and the roll-up.
    "one publication": Chances(die=0, time_out=0, reset=0, late_reset=0.2),
}
"""What is left out, and what befalls a run so that it soon shows."""

SEARCH = settings(
    max_examples=3000,
    # Most of each schedule comes from its seed: quicker, where nobody has to read it.
    stateful_step_count=5,
    phases=[Phase.generate],
    derandomize=True,
    database=None,
    report_multiple_bugs=False,
    print_blob=False,
)
"""Until a schedule is found that breaks the promise."""


class OverwritingStore(FaultyStore):
    """Creates objects whether or not they are there."""

    async def create(self, path: str, data: bytes | Sequence[bytes]) -> None:
        await self.inner.delete(path)
        await self.inner.create(path, data)


class ProtocolMachine(RuleBasedStateMachine):
    """Executions, planner, faults, deaths and zombies in any order."""

    broken = ""
    chances = ORDINARY
    executor: type[Executor] | type[RealExecutor] = Executor
    fewest = 1
    where = "memory"
    schedules = 0

    @initialize(seed=st.integers(0, 2**32 - 1), items=st.integers(0, 6))
    def begin(self, seed: int, items: int) -> None:
        self.loop = asyncio.new_event_loop()
        store = new_store(self.where)
        if self.broken == "create only if absent":
            store = OverwritingStore(store)
        self.world = World(store, self.fewest + items, seed, self.broken, self.chances, self.executor)
        self.wait(self.world.plan_on())

    @precondition(lambda self: self.world.processes)
    @rule(who=WHO, steps=st.integers(1, 12), fault=st.just(NONE) | st.sampled_from(FAULTS))
    def goes_on(self, who: int, steps: int, fault: str) -> None:
        process = self.process(who)
        for number in range(steps):
            if not process.done:
                self.wait(self.world.step(process, fault if number == steps - 1 else NONE))

    @precondition(lambda self: self.world.processes)
    @rule(who=WHO, really=st.integers(0, 1))
    def dies(self, who: int, really: int) -> None:
        if not really:
            self.wait(self.world.die(self.process(who)))

    @precondition(lambda self: self.world.processes)
    @rule(who=WHO, really=st.integers(0, 1))
    def is_thought_dead(self, who: int, really: int) -> None:
        if not really:
            self.wait(self.world.time_out(self.process(who)))

    @precondition(lambda self: self.world.processes and not self.world.canceled)
    @rule(really=st.integers(0, 7))
    def is_canceled(self, really: int) -> None:
        if not really:
            self.wait(self.world.cancel())

    @precondition(lambda self: self.world.past)
    @rule(back=st.integers(0, 7), really=st.integers(0, 3))
    def is_reset(self, back: int, really: int) -> None:
        if not really:
            self.wait(self.world.reset(back))

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            if not self.world.violated:
                type(self).schedules += 1
                self.wait(self.world.finish())
        finally:
            self.loop.run_until_complete(self.world.close())
            self.loop.close()

    def process(self, who: int) -> Any:
        return self.world.processes[who % len(self.world.processes)]

    def wait(self, work: Any) -> None:
        self.loop.run_until_complete(work)


def new_store(where: str) -> Store:
    if where == "memory":
        return memory_store()
    if where == "s3":
        return open_store(f"s3://{BUCKET}/{uuid.uuid4().hex}")
    return open_store(f"{where}/{uuid.uuid4().hex}")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of a few rows are large here: what they become is part of the schedules."""
    monkeypatch.setattr(once, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(execution, "_FIRST_PAUSE", 0.0)
    monkeypatch.setattr(parts, "PART_BYTES", 130)
    monkeypatch.setattr(parts, "SMALL_BYTES", 60)
    monkeypatch.setattr(merging, "BLOCK_BYTES", 50)


async def as_wanted(store: Store, wanted: Publication) -> Publication:
    return wanted


def machine(**changes: object) -> type[ProtocolMachine]:
    return type("Machine", (ProtocolMachine,), {"schedules": 0, **changes})


@pytest.mark.parametrize("executor", [Executor, RealExecutor])
@pytest.mark.parametrize(("where", "examples"), [("memory", 40), ("local", 15), ("s3", 2)])
@pytest.mark.timeout(0 if THOROUGH else 120)
def test_every_item_has_one_outcome_in_every_schedule(
    where: str, examples: int, executor: type[Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if where == "s3":
        request.getfixturevalue("s3_server")
    kind = machine(executor=executor, where=str(tmp_path) if where == "local" else where)
    options = settings(
        max_examples=examples * 100 if THOROUGH else examples,
        stateful_step_count=40,
        # To make a schedule that fails smaller takes minutes.
        phases=list(Phase) if THOROUGH else [Phase.reuse, Phase.generate],
    )
    run_state_machine_as_test(kind, settings=options)
    print(f"{kind.schedules} schedules on {where}")  # noqa: T201


async def nothing(store: Store, value: DataObject) -> bytes:
    return b"[]"


async def delete_all(store: Store, own: Iterable[DataObject], winner: Commit) -> None:
    await commits.discard(store, own, replace(winner, reduced=None))


@pytest.mark.parametrize(
    ("module", "broken"),
    [
        ("values", SimpleNamespace(load=nothing)),
        ("commits", SimpleNamespace(create=commits.create, discard=delete_all)),
    ],
    ids=["goes on from its checkpoint's value", "keeps the inherited value"],
)
def test_a_value_is_lost_in_some_schedule_where_an_execution_does_not_do_so(
    module: str, broken: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, module, broken)
    chances = Chances(die=0, time_out=0.12, reset=0, late_reset=0, fault=0, checkpoint=1.0)
    kind = machine(executor=RealExecutor, fewest=8, chances=chances)
    with pytest.raises(Violation):
        run_state_machine_as_test(kind, settings=SEARCH)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_without_a_mechanism_some_schedule_breaks_the_promise(
    mechanism: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mechanism == "one publication":
        monkeypatch.setattr(publications, "settle", as_wanted)
    kind = machine(broken=mechanism, fewest=8, chances=MECHANISMS[mechanism])
    with pytest.raises(Violation):
        run_state_machine_as_test(kind, settings=SEARCH)
    print(f"found after {kind.schedules} schedules")  # noqa: T201
