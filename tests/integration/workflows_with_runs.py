"""Workflows of a user that start runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

from temporalio import workflow

import fanout
import fanout.reducers
import fanout.workflow

with workflow.unsafe.imports_passed_through():
    from fanout import client as clients


@fanout.processor(retries=0, version=2)
async def halve(number: int, *, wait: bool = False, minus: int = 0) -> int:
    """Halve even numbers; wait for ever where that is asked for."""
    if wait:
        await asyncio.Event().wait()
    if number % 2:
        raise fanout.ItemError("odd", retryable=False)
    return number // 2 - minus


@fanout.processor
async def double(number: int) -> int:
    """Undo `halve`."""
    return number


@fanout.reducer
@dataclass(frozen=True)
class Above:
    """Sums up outputs above a limit."""

    limit: int = 0

    def zero(self) -> int:
        """Return nothing."""
        return 0

    def add(self, total: int, output: int) -> int:
        """Add one that is above."""
        return total + (output if output > self.limit else 0)

    def merge(self, total: int, other: int) -> int:
        """Add both."""
        return total + other


REDUCERS: dict[str, Any] = {
    "above": Above(2),
    "class": Above,
    "ready": fanout.reducers.Sum(),
    "named": "Above",
}
VALUES: dict[str, Any] = {
    "decimal": Decimal(1),
    "object": object(),
    "number": 5,
    "pairs": [1, 2],
    "bytes": b"store",
}
"""By name: not all of them can travel to the workflow."""


@workflow.defn
class Halves:
    """Runs one run, with what it is told."""

    @workflow.run
    async def run(self, items: list[int] | None, said: dict[str, Any]) -> list[Any]:
        """Return what came of the run."""
        reader: Any = fanout.Range(10) if items is None else items
        for name, wrong in said.pop("wrong", {}).items():
            said[name] = VALUES[wrong]
        reader = said.pop("reader", reader)
        if "folder" in said:
            said["output"] = PurePosixPath(said.pop("folder"))
        if said.pop("search", False):
            said["stop_when"] = fanout.FirstSuccess()
        if "reduce" in said:
            said["reduce"] = REDUCERS.get(said["reduce"], said["reduce"])
        if "minus" in said:
            said["params"] = {"minus": VALUES[said.pop("minus")]}
        if said.pop("undone", False):
            said["compensate"] = double
        result = await fanout.workflow.execute(said.pop("processor", halve), reader, **said)
        return [result.status, result.succeeded, result.failed, result.matched, result.run_id, result.reduced]


@workflow.defn
class Several:
    """Starts runs side by side, and goes on where one of them fails."""

    @workflow.run
    async def run(self, name: str) -> list[str]:
        """Return how each ended."""
        runs = [
            await fanout.workflow.start(halve, fanout.Range(n), id=f"{name}-{n}", tolerated_failures=most)
            for n, most in ((6, "100%"), (8, 0))
        ]
        ends = []
        for run in runs:
            try:
                ends.append((await run.result()).status)
            except fanout.workflow.RunFailed as error:
                ends.append(error.status)
        return list(map(str, ends))


@workflow.defn
class Misplaced:
    """Calls what is for clients."""

    @workflow.run
    async def run(self, what: str, imported: bool) -> None:
        """Fail."""
        home: Any = clients if imported else fanout
        nobody: Any = None
        if what == "connect":
            await home.connect()
        elif what == "start":
            await home.start(nobody, halve, [1])
        elif what == "map":
            await home.map(nobody, halve, [1])
        elif what == "list_runs":
            await home.list_runs(nobody)
        elif what == "local":
            async with home.local():
                pass
