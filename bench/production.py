"""fanout on a production Temporal server with PostgreSQL, and DBOS on PostgreSQL, in turn at the job of `peers`."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import fanout
from bench import bare
from bench.items import items_file
from bench.jobs import noop
from bench.outputs import parts
from bench.peers.comparison import CHUNK, DBOS, WARM_UP, Bout, in_turn, run_peer
from bench.report import Figure, Report, Target
from bench.scales import Sizes
from bench.stage import Stage, stage, staged
from tools.production.cluster import cluster
from tools.production.config import USER
from tools.services import HOST, program

PRODUCTION = "fanout, production server on PostgreSQL"
DEVELOPMENT = "fanout, dev server in memory"
ROLES = {"frontend": 1, "history": 1, "matching": 1, "worker": 1}


async def measure(sizes: Sizes) -> Report:
    """Run them in turn; only one of them is there at any time."""
    with tempfile.TemporaryDirectory(prefix="fanout-bench-production-") as name:
        bout = Bout(sizes.items, Path(name))
        await bare.measure([(items_file(sizes.items), bout.folder / "rows", 0)])
        contenders: list[Callable[[Bout, int], Awaitable[None]]] = [
            partial(_fanout, PRODUCTION, _production),
            partial(_fanout, DEVELOPMENT, stage),
            partial(run_peer, DBOS),
        ]
        for turn in range(sizes.peer_rounds):
            for contender in in_turn(contenders, turn):
                await contender(bout, turn)
        cost = await _cost(sizes.items)
    ratios = [
        Figure.median_of(f"production / {name}", bout.ratios(PRODUCTION, name), "x", target=Target("≥", 2))
        for name in map(DBOS.called, (CHUNK, DBOS.best))
        if name in bout.seconds
    ]
    return Report(
        title=f"{sizes.items:,} typed items that do nothing, with what is done in PostgreSQL",
        figures=[*bout.speeds(), *ratios, *cost, *bout.wrong()],
        raw={"seconds": bout.seconds, "errors": bout.errors},
    )


@asynccontextmanager
async def _production() -> AsyncIterator[Stage]:
    async with _with_database() as (here, _):
        yield here


@asynccontextmanager
async def _with_database() -> AsyncIterator[tuple[Stage, int]]:
    with tempfile.TemporaryDirectory(prefix="fanout-bench-") as name:
        folder = Path(name)
        async with cluster(folder, roles=ROLES) as temporal:
            server = [member.pid for member in temporal.members]
            async with staged(folder, temporal.address, server) as here:
                yield here, temporal.database


async def _cost(count: int) -> list[Figure]:
    """Run once more, and look at what that did to the database."""
    async with _with_database() as (here, port):
        here.forget(await here.run(noop, fanout.JsonLines(items_file(WARM_UP)), id="warm-up"))
        before = await asyncio.to_thread(_database, port)
        await here.run(noop, fanout.JsonLines(items_file(count)), id="run")
        after = await asyncio.to_thread(_database, port)
    writes, log, size = (late - early for early, late in zip(before, after, strict=True))
    return [
        Figure("transactions that wrote to PostgreSQL", writes),
        Figure("bytes of its log per item", log / count, "bytes"),
        Figure("growth of its databases per item", size / count, "bytes"),
    ]


def _database(port: int) -> tuple[int, int, int]:
    """Return the number of its next transaction, the length of its log, and the size of the cluster's databases."""
    asked = "select txid_current(), pg_current_wal_lsn() - '0/0', sum(pg_database_size(oid)) from pg_database"
    command = [
        program("psql"),
        "-h",
        HOST,
        "-p",
        str(port),
        "-U",
        USER,
        "-d",
        "postgres",
        "-AtF,",
        "-c",
        asked,
    ]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    next_one, log, size = map(int, said.split(","))
    return next_one, log, size


async def _fanout(
    name: str, on: Callable[[], AbstractAsyncContextManager[Stage]], bout: Bout, turn: int
) -> None:
    async with on() as here:
        here.forget(await here.run(noop, fanout.JsonLines(items_file(WARM_UP)), id="warm-up"))
        run = await here.run(noop, fanout.JsonLines(items_file(bout.count)), id="run")
        bout.add(name, run.seconds, parts(run.output, "results"))
