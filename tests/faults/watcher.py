"""Somebody who looks at a run's numbers all the time, whatever is being done to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import fanout
from fanout.models import Progress
from fanout.observability.bar import is_outage

PAUSE = 0.25
"""Seconds between two looks."""


@dataclass(eq=False)
class Watcher:
    """What one handle of a run has said, and a stranger at the same time, who remembers nothing.

    Attributes:
        run: The handle.
        seen: What the handle has said.
        wrong: What must not be.
        outages: How many looks had no answer at all.
        stale: How many were answered by the store.
        silent: How many met a node that did not answer.
        strangers: How many looks of strangers were answered by all workflows.
    """

    run: fanout.Run
    seen: list[Progress] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    outages: int = 0
    stale: int = 0
    silent: int = 0
    strangers: int = 0
    _stranger: Progress | None = None
    _total: int | None = None

    async def look_on(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                async with asyncio.timeout(30):
                    # Impatient, so that it meets partitions whose worker has just died.
                    self._note(await self.run.progress(within=1))
                    self._note_stranger(await self._new_handle().progress(within=5))
            except Exception as error:
                if not (is_outage(error) or isinstance(error, fanout.NoWorker | fanout.RunNotFound)):
                    self.wrong.append(f"{type(error).__name__}: {error}")
                self.outages += 1
            await asyncio.sleep(PAUSE)

    def _new_handle(self) -> fanout.Run:
        # The id may be given to another run.
        return fanout.Run(self.run.client, self.run.id, execution=self.run._execution)

    def check(self) -> str:
        """Fail where any number was wrong; return how often there were numbers, silent nodes, and stale ones."""
        assert not self.wrong, "\n".join(self.wrong)
        assert self.seen, "nobody has seen a number"
        return f"{len(self.seen) + self.strangers}/{self.silent}/{self.stale}"

    def _note(self, now: Progress) -> None:
        self.stale += now.stale
        self.silent += now.silent > 0
        if self.seen:
            self._compare("the handle", self.seen[-1], now)
        self._bound("the handle", now)
        self.seen.append(now)

    def _note_stranger(self, now: Progress) -> None:
        self._bound("a stranger", now)
        # The store knows of commits before workflows hear of them; of who is silent a stranger knows nothing.
        if now.silent or now.stale:
            return
        self.strangers += 1
        if self._stranger is not None:
            self._compare("a stranger", self._stranger, now)
        self._stranger = now

    def _compare(self, who: str, before: Progress, now: Progress) -> None:
        if now.succeeded < before.succeeded or now.failed < before.failed:
            self.wrong.append(f"{who} saw numbers go back: {before} then {now}")

    def _bound(self, who: str, now: Progress) -> None:
        if now.planned and self._total is None:
            self._total = now.total
        # Until all is planned the total is an estimate, but never below what is done.
        if now.done > now.total > 0 or now.done > (self._total or now.done):
            self.wrong.append(f"{who} saw more done than there are items: {now}")
        if now.planned and now.total != self._total:
            self.wrong.append(f"{who} saw another total: {now}")
