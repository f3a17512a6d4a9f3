"""A run's numbers, put together from nodes that start, settle items, end and fall silent while they are asked."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from fanout.messages import NodeProgress
from fanout.models import Progress, Status, Totals
from fanout.runs.info import RunInfo
from fanout.runs.nodes import Nodes, Tree
from fanout.runs.progress import never_back, told

INFO = RunInfo("run", Status.RUNNING, "p", "q", datetime.now(UTC), None, "file:///out", "x", current="x")


@dataclass
class Node:
    """A workflow as the server has it: what it did itself, and which of its children it knows to have ended."""

    name: str
    items: int
    children: list[Node] = field(default_factory=list)
    succeeded: int = 0
    failed: int = 0
    ended: bool = False
    broken: bool = False
    live: list[Node] = field(default_factory=list)
    noted: list[Node] = field(default_factory=list)

    def walk(self) -> list[Node]:
        return [self, *(below for child in self.children for below in child.walk())]

    def totals(self) -> Totals:
        """What its own workflow knows of."""
        own = Totals(succeeded=self.succeeded, failed=self.failed)
        return sum((child.totals() for child in self.noted), own)

    def answer(self) -> NodeProgress:
        return NodeProgress(
            total=self.items,
            planned=True,
            totals=self.totals(),
            children=[child.name for child in self.live],
            partition=None if self.children else 0,
        )

    def step(self, dice: random.Random) -> None:
        """Do one thing that a workflow may do next."""
        if self.ended:
            return
        if not self.children:
            self._settle(dice)
            return
        waiting = [child for child in self.children if child not in (*self.live, *self.noted)]
        done = [child for child in self.live if child.ended and not child.broken]
        if done and dice.random() < 0.5:
            self.live.remove(done[0])
            self.noted.append(done[0])
        elif waiting:
            self.live.append(waiting[0])
        elif len(self.noted) == len(self.children):
            self.ended = True

    def _settle(self, dice: random.Random) -> None:
        left = self.items - self.succeeded - self.failed
        good = dice.randint(0, left)
        self.succeeded += good
        self.failed += dice.randint(0, left - good)
        broken = dice.random() < 0.05
        self.ended = broken or self.succeeded + self.failed == self.items
        self.broken = broken and self.succeeded + self.failed < self.items


class World:
    """A run that goes on at every moment in which something is asked of it."""

    def __init__(self, dice: random.Random, silence: float) -> None:
        self.dice = dice
        self.silence = silence
        groups = [
            Node(f"g{g}", 30, [Node(f"g{g}p{p}", 10) for p in range(3)]) for g in range(dice.randint(0, 2))
        ]
        partitions = [Node(f"p{p}", 10) for p in range(dice.randint(1, 4))]
        below = [*groups, *partitions]
        self.root = Node("run", sum(child.items for child in below), below)
        self.nodes = {node.name: node for node in self.root.walk()}

    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            begun = [self.root, *(node for one in self.nodes.values() for node in one.live)]
            self.dice.choice(begun).step(self.dice)

    async def ask(self, name: str, _: str | None = None) -> NodeProgress | None:
        self.go_on(self.dice.randint(0, 4))
        if self.dice.random() < self.silence:
            return None
        return self.nodes[name].answer()

    @property
    def committed(self) -> Totals:
        """What the store holds: at least what any workflow knows of."""
        leaves = [node for node in self.nodes.values() if not node.children]
        return sum((leaf.totals() for leaf in leaves), Totals())


def check(before: Progress | None, seen: Progress, world: World) -> None:
    assert seen.done <= seen.total == world.root.items
    assert seen.succeeded <= world.committed.succeeded
    assert seen.failed <= world.committed.failed
    if before is not None:
        assert seen.succeeded >= before.succeeded
        assert seen.failed >= before.failed


@given(st.randoms(use_true_random=False))
async def test_numbers_of_nodes_that_answer_never_go_back_even_for_who_sees_them_first(
    dice: random.Random,
) -> None:
    world, before = World(dice, silence=0), None
    for _ in range(12):
        world.go_on(dice.randint(0, 3))
        tree = await Nodes(world.ask).look("run")
        assert tree is not None
        assert tree.silent == 0
        seen = told(INFO, tree)
        check(before, seen, world)
        before = seen


@given(st.randoms(use_true_random=False))
async def test_numbers_of_one_handle_never_go_back_whoever_is_silent(dice: random.Random) -> None:
    world, nodes = World(dice, silence=0.3), None
    nodes, before = Nodes(world.ask), None
    for _ in range(12):
        world.go_on(dice.randint(0, 3))
        tree = await nodes.look("run")
        found = _stale(world) if tree is None else told(INFO, tree)
        seen = never_back(before, found)
        check(before, seen, world)
        before = seen


@given(st.randoms(use_true_random=False))
async def test_a_node_that_falls_silent_counts_by_its_last_answer(dice: random.Random) -> None:
    world = World(dice, silence=0)
    nodes = Nodes(world.ask)
    world.go_on(20)
    before = await nodes.look("run")
    below = set(world.nodes) - {"run"}

    async def only_the_root(name: str, _: str | None) -> NodeProgress | None:
        return None if name in below else await world.ask(name)

    nodes._ask = only_the_root
    after = await nodes.look("run")
    assert before is not None
    assert after is not None
    check(told(INFO, before), told(INFO, after), world)
    assert (after.silent > 0) == bool(after.root.children)


def _stale(world: World) -> Progress:
    totals = world.committed
    return Progress(
        Status.RUNNING,
        total=world.root.items,
        planned=True,
        succeeded=totals.succeeded,
        failed=totals.failed,
        stale=True,
    )


def test_a_run_says_when_it_will_have_ended_and_by_what() -> None:
    going = Progress(Status.RUNNING, 100, True, succeeded=20, rate=4.0, basis="at 4/s")
    assert never_back(None, going).eta == 20
    assert never_back(None, going).basis == "at 4/s"
    for status in (Status.PAUSED, Status.DRAINING, Status.SUCCEEDED):
        still = never_back(None, Progress(status, 100, True, succeeded=20, rate=4.0, basis="at 4/s"))
        assert (still.eta, still.basis) == (None, "")
    assert never_back(None, Progress(Status.RUNNING, 100, True, succeeded=20)).eta is None


def test_only_a_search_has_matches() -> None:
    root = NodeProgress(total=100, planned=True, totals=Totals(succeeded=20, matched=3))
    assert told(_started(10), Tree(root, {"run": root}, 0)).matched is None
    root = replace(root, searching=True)
    found = told(_started(10), Tree(root, {"run": root}, 0))
    assert found.matched == 3
    # An answer of a node that was late counts less.
    assert never_back(found, replace(found, succeeded=10, matched=1)).matched == 3
    assert never_back(found, replace(found, succeeded=30, matched=4)).matched == 4


def test_the_basis_of_an_estimate_is_told_in_words() -> None:
    recently = [int(datetime.now(UTC).timestamp() // 5), 550]
    root = NodeProgress(total=10_000, planned=False, totals=Totals(succeeded=550), recent=recently)
    old = told(_started(1000), Tree(root, {"run": root}, 0))
    assert old.basis.startswith("at ")
    assert "/s over the last minute, and by an estimate of how many items there are" in old.basis
    young = told(_started(20), Tree(root, {"run": root}, 0))
    assert "over the 20 s so far" in young.basis


def _started(ago: float) -> RunInfo:
    started = datetime.fromtimestamp(datetime.now(UTC).timestamp() - ago, UTC)
    return RunInfo("run", Status.RUNNING, "p", "q", started, None, "file:///out", "x", current="x")
