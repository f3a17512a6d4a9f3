"""How far a run is: asked of its workflows or, where nobody answers for them, of its store."""

from __future__ import annotations

import time
from abc import abstractmethod
from dataclasses import replace
from datetime import UTC, datetime

from fanout import recent
from fanout.errors import NoWorker, StoreError
from fanout.models import PartitionProgress, Progress, RunResult, Status
from fanout.observability.drawing import per_second
from fanout.runs.handle import Handle
from fanout.runs.info import Pollers, RunInfo, read_pollers
from fanout.runs.nodes import Nodes, Tree, asking
from fanout.storage.reading import ended_partitions, stored
from fanout.storage.stores import open_store


class Looks(Handle):
    """Looks at a run's numbers."""

    _nodes: Nodes | None = None
    _seen: Progress | None = None
    _seen_of: str | None = None

    async def progress(self, *, within: float | None = None) -> Progress:
        """Return where the run stands: asked of its workflows, which costs no history.

        Where no worker answers for them, the numbers are those that its store holds, and `stale`. `succeeded` and
        `failed` of one handle never go back, unless somebody resets the run's workflow.

        Args:
            within: Seconds that workflows have to answer; what they say of themselves comes at once, but a worker that
                has just died is waited for. By default each is waited for up to five seconds.

        Raises:
            RunNotFound: The server knows no run of that id.
            NoWorker: No worker answers for the run, nor can its store be read from here.
            NoServer: The server does not answer.
        """
        info = await self.info()
        if info.closed is not None:
            return self._never_back(info, await self._final(info))
        tree, reason = await self._look(info, within)
        found = await self._stale(info, reason) if tree is None else told(info, tree)
        return self._never_back(info, found)

    async def partitions(
        self, *, ended: bool = False, within: float | None = None
    ) -> list[PartitionProgress]:
        """Return the partitions that live now, by number, each with its own numbers.

        One that does not answer just now is not among them, unless this handle knows an earlier answer of it.

        Args:
            ended: With those that have ended, as the run's store has them.
            within: Seconds that workflows have to answer; see `progress`.

        Raises:
            RunNotFound: The server knows no run of that id.
            NoWorker: The run goes on, but no worker answers for it.
            NoServer: The server does not answer.
        """
        info = await self.info()
        found: dict[int, PartitionProgress] = {}
        if info.closed is None:
            tree, reason = await self._look(info, within)
            if tree is None:
                raise NoWorker(reason)
            found = {one.partition: one for one in _live_partitions(info, tree)}
        if ended:
            found |= {one.partition: one for one in await self.ended_partitions()}
        return [found[number] for number in sorted(found)]

    async def ended_partitions(self) -> list[PartitionProgress]:
        """Return the partitions that have ended, by number, as the run's store has them; works without workers.

        Raises:
            RunNotFound: Neither the server nor the client's store knows the run.
            NoServer: The server does not answer.
        """
        return [
            PartitionProgress(
                roll_up.partition,
                ended=True,
                items=roll_up.count,
                succeeded=roll_up.totals.succeeded,
                failed=roll_up.totals.failed,
                seconds=roll_up.seconds,
            )
            for roll_up in await ended_partitions(open_store(await self.output()))
        ]

    # ---- for its kinds

    @abstractmethod
    async def _known_result(self) -> RunResult | None:
        """Return what the run did, as far as that is known now that it has ended."""

    # ---- private

    async def _look(self, info: RunInfo, within: float | None = None) -> tuple[Tree | None, str]:
        """Ask the run's workflows; where nobody answers, say why."""
        # Asked first: the server holds a query that nobody answers for many seconds.
        pollers = await read_pollers(self.client, info.task_queue)
        if not pollers.count:
            return None, unserved(info.task_queue, pollers)
        if self._nodes is None or self._seen_of != info.current:
            self._nodes = Nodes(asking(self.client))
        tree = await self._nodes.look(info.id, info.current, within=within)
        return tree, f'the workers that poll "{info.task_queue}" do not answer for {info.id!r} just now'

    async def _stale(self, info: RunInfo, reason: str) -> Progress:
        try:
            found = await stored(open_store(info.output))
        except StoreError as error:
            raise NoWorker(f"{reason}; nor does its store: {error}") from None
        return Progress(
            status=info.status,
            total=info.items or 0,
            planned=info.items is not None,
            succeeded=found.totals.succeeded,
            failed=found.totals.failed,
            ended=found.ended,
            seconds=_age(info),
            counters=found.totals.counters,
            stale=True,
            note=reason,
            as_of=found.at,
            matched=found.matched,
        )

    async def _final(self, info: RunInfo) -> Progress:
        result = await self._known_result()
        items = info.items if result is None else result.items
        found = Progress(
            status=info.status,
            total=items or 0,
            planned=items is not None,
            succeeded=0 if result is None else result.succeeded,
            failed=0 if result is None else result.failed,
            seconds=((info.closed or info.started) - info.started).total_seconds(),
            counters={} if result is None else result.counters,
            ended=0 if result is None else result.partitions,
            matched=None if result is None else result.matched,
        )
        if result is not None and result.status is not Status.FAILED:
            return found
        # Of a run that failed, the result does not count what its broken partitions have committed.
        try:
            there = await stored(open_store(info.output))
        except StoreError:
            if result is None:
                raise
            return found
        totals = there.totals
        return replace(
            found,
            succeeded=totals.succeeded,
            failed=totals.failed,
            counters=totals.counters,
            matched=there.matched,
        )

    def _never_back(self, info: RunInfo, found: Progress) -> Progress:
        # After a reset the run does some of its items again.
        last = self._seen if self._seen_of == info.current else None
        self._seen, self._seen_of = never_back(last, found), info.current
        return self._seen


def never_back(last: Progress | None, found: Progress) -> Progress:
    """Return numbers of which none is below what was said before.

    Args:
        last: What was said before, if anything was.
        found: What was found now.
    """
    if last is not None:
        later = found if found.done >= last.done else last
        # Each is a count of commits, of which none is ever taken back: the higher one is the later one.
        found = replace(
            found,
            succeeded=max(found.succeeded, last.succeeded),
            failed=max(found.failed, last.failed),
            counters=later.counters,
            matched=later.matched,
            total=found.total if found.planned or not last.planned else last.total,
            planned=found.planned or last.planned,
        )
    if not found.planned:
        found = replace(found, total=max(found.total, found.done))
    left = found.total - found.done
    if found.status is not Status.RUNNING or found.stale or found.rate <= 0 or left <= 0:
        return replace(found, eta=None, basis="")
    return replace(found, eta=left / found.rate)


def unserved(task_queue: str, pollers: Pollers) -> str:
    """Return in words that nobody polls a queue."""
    since = "" if pollers.last is None else f" since {_clock(pollers.last)}"
    return f'no worker polls "{task_queue}"{since}'


def told(info: RunInfo, tree: Tree) -> Progress:
    """Return what the nodes of a run say of it as a whole."""
    nodes = tree.nodes.values()
    totals = tree.totals
    rate, seconds = recent.rate(tree.recent, time.time(), info.started.timestamp())
    return Progress(
        status=info.status,
        total=tree.root.total,
        planned=tree.root.planned,
        succeeded=totals.succeeded,
        failed=totals.failed,
        in_flight=sum(node.in_flight for node in nodes),
        partitions=sum(node.partition is not None for node in nodes),
        rate=rate,
        seconds=_age(info),
        counters=totals.counters,
        matched=totals.matched if tree.root.searching else None,
        waiting=sum(node.waiting for node in nodes),
        ended=sum(node.ended for node in nodes),
        silent=tree.silent,
        basis=_basis(rate, seconds, planned=tree.root.planned),
    )


def _basis(rate: float, seconds: float, *, planned: bool) -> str:
    if rate <= 0:
        return ""
    over = "the last minute" if seconds > recent.WINDOW - recent.STEP else f"the {seconds:.0f} s so far"
    guess = "" if planned else ", and by an estimate of how many items there are"
    return f"at {per_second(rate)} over {over}{guess}"


def _live_partitions(info: RunInfo, tree: Tree) -> list[PartitionProgress]:
    now, began = time.time(), info.started.timestamp()
    return [
        PartitionProgress(
            node.partition,
            items=node.total,
            succeeded=node.totals.succeeded,
            failed=node.totals.failed,
            in_flight=node.in_flight,
            waiting=node.waiting,
            rate=recent.rate(node.recent, now, began)[0],
        )
        for node in tree.nodes.values()
        if node.partition is not None
    ]


def _age(info: RunInfo) -> float:
    return (datetime.now(UTC) - info.started).total_seconds()


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).astimezone().strftime("%H:%M:%S")
