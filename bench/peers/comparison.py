"""fanout and what people would use instead, in turn at the same job: items per second, and who is how much faster."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from rich.markup import escape

import fanout
from bench import bare
from bench.items import items_file
from bench.jobs import noop
from bench.outputs import parts, same_bytes
from bench.peers.process import peer, versions
from bench.peers.protocol import Job
from bench.report import Figure, Report, Target
from bench.scales import Sizes
from bench.stage import stage

FANOUT = "fanout, two worker processes, no option set"
BARE = "bare loop, one process"
TWO_BARE = "bare loops, two processes on half each"

WARM_UP = 20_000
CHUNK = 1_000


@dataclass(frozen=True)
class Peer:
    """One that fanout is compared with.

    Attributes:
        name: For people.
        module: Of `bench.peers`, that runs as it.
        best: Items of a task that one sweep showed to be good; each runs with `CHUNK` as well.
    """

    name: str
    module: str
    best: int

    def called(self, chunk: int) -> str:
        """Return the name of the peer with so many items a task."""
        return f"{self.name}, {chunk:,} items a task"


DBOS = Peer("DBOS, PostgreSQL", "dbos_postgres", 5_000)
PEERS = (
    Peer("Ray tasks", "ray_tasks", 20_000),
    Peer("Ray Data", "ray_data", 5_000),
    Peer("Dask bag", "dask_bag", 20_000),
    Peer("Celery, Redis", "celery_redis", 20_000),
    Peer("dramatiq, Redis", "dramatiq_redis", 20_000),
    DBOS,
)

T = TypeVar("T")


@dataclass
class Bout:
    """The rounds: who took how long, and who could not."""

    count: int
    folder: Path
    seconds: dict[str, list[float]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    differing: list[str] = field(default_factory=list)

    def add(self, name: str, seconds: float, written: Sequence[Path]) -> None:
        """Note a run, and look at its rows."""
        self.seconds.setdefault(name, []).append(seconds)
        if not same_bytes(list(written), [self.folder / "rows"]):
            self.differing.append(name)

    def job(self, count: int, chunk: int) -> Job:
        """Return a job that writes to an empty folder."""
        target = self.folder / "target"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        return Job(items_file(count), target, chunk)

    def speeds(self) -> list[Figure]:
        """Return the speed of each."""
        return [
            Figure.median_of(name, [self.count / each for each in seconds], "items/s")
            for name, seconds in self.seconds.items()
        ]

    def ratios(self, ours: str, name: str) -> list[float]:
        """Return the speed of one of ours over another's, round by round."""
        # One that failed has fewer rounds.
        return [other / mine for mine, other in zip(self.seconds[ours], self.seconds[name], strict=False)]

    def wrong(self) -> list[Figure]:
        """Return who could not, and whose rows differ."""
        errors = [
            Figure(f"{name} did not run", 1, target=Target("=", 0, must=True), note=escape(error))
            for name, error in self.errors.items()
        ]
        differing = Figure(
            "runs whose rows are not those of the bare loop",
            len(self.differing),
            target=Target("=", 0, must=True),
            note=", ".join(self.differing),
        )
        return [differing, *errors]


async def measure(sizes: Sizes) -> Report:
    """Run all contenders in turn; only one of them is there at any time."""
    with tempfile.TemporaryDirectory(prefix="fanout-bench-peers-") as name:
        bout = Bout(sizes.items, Path(name))
        await bare.measure([(items_file(sizes.items), bout.folder / "rows", 0)])
        contenders: list[Callable[[Bout, int], Awaitable[None]]]
        contenders = [_fanout, _one_bare, _two_bare, *(partial(run_peer, which) for which in PEERS)]
        for turn in range(sizes.peer_rounds):
            for contender in in_turn(contenders, turn):
                await contender(bout, turn)
    return Report(
        title=f"{sizes.items:,} typed items that do nothing, JSON Lines to JSON Lines",
        figures=_figures(bout),
        raw={"seconds": bout.seconds, "errors": bout.errors, "versions": await versions()},
    )


def in_turn(contenders: list[T], turn: int) -> list[T]:
    """Return who comes when: each round begins elsewhere, and every other one goes backwards."""
    first = turn * (len(contenders) // 2) % len(contenders)
    order = contenders[first:] + contenders[:first]
    return order if turn % 2 == 0 else order[::-1]


async def _fanout(bout: Bout, turn: int) -> None:
    async with stage() as here:
        here.forget(await here.run(noop, fanout.JsonLines(items_file(WARM_UP)), id="warm-up"))
        run = await here.run(noop, fanout.JsonLines(items_file(bout.count)), id="run")
        bout.add(FANOUT, run.seconds, parts(run.output, "results"))


async def _one_bare(bout: Bout, turn: int) -> None:
    await _bare(BARE, bout, [0, bout.count])


async def _two_bare(bout: Bout, turn: int) -> None:
    await _bare(TWO_BARE, bout, [0, bout.count // 2, bout.count])


async def _bare(name: str, bout: Bout, bounds: list[int]) -> None:
    work = [
        (items_file(end - first, first), bout.folder / f"bare-{first}", first)
        for first, end in pairwise(bounds)
    ]
    timed = await bare.measure(work)
    bout.add(name, timed.seconds, [target for _, target, _ in work])


async def run_peer(which: Peer, bout: Bout, turn: int) -> None:
    """Let a peer do the job, with tasks of both sizes, and note what it took."""
    if which.name in bout.errors:
        return
    chunks = [CHUNK, which.best] if turn % 2 == 0 else [which.best, CHUNK]
    log = bout.folder / f"{which.module}.log"
    try:
        async with peer(which.module, bout.job(WARM_UP, CHUNK), log) as ask:
            for chunk in chunks:
                job = bout.job(bout.count, chunk)
                bout.add(which.called(chunk), await ask(job), sorted(job.target.iterdir()))
    except Exception as error:
        bout.errors[which.name] = str(error) or type(error).__name__


def _figures(bout: Bout) -> list[Figure]:
    ratios = [
        Figure.median_of(
            f"fanout / {name}",
            bout.ratios(FANOUT, name),
            "x",
            target=None if name in (BARE, TWO_BARE) else Target("≥", 1),
        )
        for name in bout.seconds
        if name != FANOUT
    ]
    return [*bout.speeds(), *ratios, *bout.wrong()]
