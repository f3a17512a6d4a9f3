"""Looking at runs: `list`, `status`, `watch`, `wait`."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from fanout.cli import exits, say
from fanout.cli.connection import Connection
from fanout.cli.flags import command
from fanout.cli.forgotten import describe_forgotten
from fanout.cli.outcome import settle, style_of
from fanout.cli.reducing import read_reduced, words
from fanout.cli.sources import parse_duration
from fanout.errors import FanoutError, NoServer, NoWorker, RunFailed, RunNotFound, UsageError
from fanout.models import Progress, RunResult, Status
from fanout.observability.bar import advice, no_worker, show
from fanout.observability.drawing import amount, clock, one_line, per_second

if TYPE_CHECKING:
    from fanout.runs.info import RunInfo
    from fanout.runs.run import Run

WORKERS_WITHIN = 2.5
STORE_WITHIN = 3.0
"""Seconds in which workers answer for a run, and after that its store, before `status` does without."""

LONGEST_TROUBLE = 1000
"""Characters: whoever asks for the status wants to know it whole, with what to do."""

RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@command
async def list_(
    connection: Connection,
    status: Annotated[
        str | None, typer.Option(help=f"Only runs in this status: {', '.join(Status)}.")
    ] = None,
    processor: Annotated[str | None, typer.Option(help="Only runs of this processor.")] = None,
    task_queue: Annotated[str | None, typer.Option(help="Only runs on this queue.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 100,
    as_json: AsJson = False,
) -> int:
    """List runs, the newest first."""
    from fanout import client as api

    async with connection.client() as client:
        runs = await api.list_runs(
            client, status=status_of(status), processor=processor, task_queue=task_queue, limit=limit
        )
    if as_json:
        for info in runs:
            say.data(asdict(info))
        return exits.SUCCEEDED
    if not runs:
        say.note("no runs")
        return exits.SUCCEEDED
    from rich.text import Text

    say.table(
        ["RUN", "STATUS", "PROCESSOR", "QUEUE", "STARTED", "TOOK"],
        (
            [
                Text(info.id, style="bold"),
                Text(info.status, style=style_of(info.status)),
                _processor(info),
                info.task_queue,
                say.when(info.started),
                clock(_age(info)),
            ]
            for info in runs
        ),
        right=["TOOK"],
    )
    return exits.SUCCEEDED


def _processor(info: RunInfo) -> str:
    if info.undone is not None:
        return f"{info.processor}, undoing"
    return f"{info.processor}, again" if info.rerun else info.processor


@command
async def status(
    connection: Connection,
    run: RunId,
    partitions: Annotated[
        bool, typer.Option("--partitions", help="Each partition that lives, with its own numbers.")
    ] = False,
    all_: Annotated[
        bool, typer.Option("--all", help="With --partitions: those that have ended, too.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Look at a run once: numbers, workers, its address in Temporal Web.

    Answers without workers too: then the numbers are those of the last commit in the run's store.
    """
    from fanout import client as api
    from fanout.cli import partitions as listing

    if all_ and not partitions:
        raise UsageError("--all goes with --partitions")
    async with connection.client() as client:
        handle = api.get_run(client, run)
        try:
            info = await handle.info()
        except RunNotFound:
            return await describe_forgotten(run, await handle.output(), as_json=as_json)
        pollers, trouble, error, progress, compensation = await asyncio.gather(
            handle.pollers(),
            _nothing() if info.closed else handle.trouble(),
            _error(handle) if info.closed else _nothing(),
            _progress(handle),
            _compensation(handle) if info.closed else _nothing(),
        )
        shown, unknown = progress
        answering = shown is not None and not shown.stale
        reduced = await read_reduced(handle) if info.closed else None
        listed = await listing.read(handle, answering=answering, ended=all_) if partitions else None
    if as_json:
        say.data(
            {
                **asdict(info),
                "progress": None if shown is None else asdict(shown),
                "pollers": pollers,
                "trouble": trouble,
                "error": error,
                "web": handle.web_url,
                "compensation": None if compensation is None else asdict(compensation),
                "reduced": reduced,
                **({} if listed is None else {"partitions": [asdict(one) for one in listed.found]}),
            }
        )
        return exits.SUCCEEDED
    _describe(handle, info, shown, pollers, trouble or error, compensation, reduced)
    if listed is not None:
        listing.show(listed, 0 if shown is None else shown.ended)
    for text in (unknown, *_remarks(info, shown)):
        if text:
            say.note(text, style="yellow")
    return exits.SUCCEEDED


async def _compensation(handle: Run) -> RunInfo | None:
    # What is not to be seen from here is nothing to fail for.
    with contextlib.suppress(FanoutError):
        found = await handle.compensation()
        return None if found is None else await found.info()
    return None


async def _error(handle: Run) -> str | None:
    """Return why a run that has ended did not complete."""
    try:
        async with asyncio.timeout(WORKERS_WITHIN):
            await handle.result()
    except RunFailed as error:
        return str(error)
    except (FanoutError, TimeoutError):
        # The store is away, or the run was reset, and goes on.
        return None
    return None


async def _nothing() -> None:
    return None


async def _progress(handle: Run) -> tuple[Progress | None, str]:
    """Return the run's numbers; where there are none, why."""
    try:
        async with asyncio.timeout(WORKERS_WITHIN + STORE_WITHIN):
            return await handle.progress(within=WORKERS_WITHIN), ""
    except NoWorker as error:
        return None, str(error)
    except TimeoutError:
        return None, "no worker answers, and the store takes long to say what is done: numbers are unknown"


def _remarks(info: RunInfo, progress: Progress | None) -> list[str]:
    """Return what is to be said of numbers that are not the latest, or not whole."""
    if progress is None:
        return []
    remarks = []
    if progress.stale:
        remarks += [_as_of(progress), f"{progress.note}: {advice(info.task_queue)}"]
    if progress.silent:
        remarks.append(
            f"{counted(progress.silent, 'partition or group')} did not answer just now: what they have done since "
            "they last did is missing"
        )
    return remarks


def _as_of(progress: Progress) -> str:
    if progress.as_of is None:
        return "nothing is committed yet"
    return f"numbers as of the last commit, {say.when(datetime.fromtimestamp(progress.as_of, UTC))}"


@command
async def watch(connection: Connection, run: RunId, as_json: AsJson = False) -> int:
    """Watch a run until it ends; Ctrl-C leaves it alone."""
    from fanout import client as api

    async with connection.client() as client:
        handle = api.get_run(client, run)
        await handle.info()
        try:
            return await settle(
                show(handle, console=say.console(stderr=True)),
                as_json=as_json,
                flags=" --local" if connection.local else "",
            )
        except asyncio.CancelledError:
            say.note()
            say.note(f"detached: run {run} goes on. Come back with: fanout watch {run}")
            raise


@command
async def wait(
    connection: Connection,
    run: RunId,
    timeout: Annotated[
        str | None,
        typer.Option(help="Give up after so long (90, 15m, 2h); the run goes on.", metavar="DURATION"),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Wait until a run ends; the exit code says how.

    With --timeout: exit code 7 when the time is over and no worker polls the run's queue, else 1.
    """
    from fanout import client as api

    seconds = None if timeout is None else parse_duration(timeout)
    async with connection.client() as client:
        handle = api.get_run(client, run)
        info = await handle.info()
        advising = asyncio.create_task(_advise(handle, info))
        try:
            async with asyncio.timeout(seconds):
                return await settle(_result(handle), as_json=as_json)
        except TimeoutError:
            if not await handle.pollers():
                raise NoWorker(
                    f"run {run} has not ended after {timeout}: {no_worker(info.task_queue)}"
                ) from None
            say.error(f"run {run} has not ended after {timeout}; it goes on")
            return exits.ERROR
        finally:
            advising.cancel()


async def _result(handle: Run) -> RunResult:
    """Wait for the end, also through times in which the server is away."""
    while True:
        try:
            return await handle.result()
        except NoServer as error:
            say.note(f"{error}; trying again", style="yellow")
            await asyncio.sleep(5)


async def _advise(handle: Run, info: RunInfo) -> None:
    """Say once that nobody works on the run, instead of waiting in silence."""
    while info.closed is None:
        await asyncio.sleep(5)
        try:
            if not await handle.pollers():
                say.note(no_worker(info.task_queue), style="yellow")
                return
        except NoServer:
            continue


def _describe(
    handle: Run,
    info: RunInfo,
    progress: Progress | None,
    pollers: int,
    trouble: str | None,
    compensation: RunInfo | None,
    reduced: object,
) -> None:
    from rich.text import Text

    from fanout.storage.roots import display

    rows: list[tuple[str, object]] = [
        ("run", info.id),
        ("status", Text(info.status, style=style_of(info.status))),
        *([("compensates", info.undone.run_id)] if info.undone else []),
        *([("rerun of", info.rerun)] if info.rerun else []),
        *([("compensation", f"{compensation.id}, {compensation.status}")] if compensation else []),
        ("processor", info.processor),
        ("queue", f"{info.task_queue} ({counted(pollers, 'worker')} polled it within a minute)"),
        ("started", f"{say.when(info.started)}, {clock(_age(info))} {'long' if info.closed else 'ago'}"),
    ]
    if progress is not None and (progress.total or info.closed is None):
        rows += _numbers(progress)
    if trouble:
        rows.append(
            ("error" if info.closed else "trouble", Text(one_line(trouble, LONGEST_TROUBLE), style="yellow"))
        )
    if reduced is not None:
        rows.append(("reduced", words(reduced)))
    rows.append(("output", display(info.output)))
    if handle.web_url:
        rows.append(("Temporal Web", handle.web_url))
    say.pairs(rows)


def _numbers(progress: Progress) -> list[tuple[str, object]]:
    from rich.text import Text

    total = f"{progress.total:,}" if progress.planned else f"about {progress.total:,}"
    of = f" of {total}" if progress.total else ""
    rows: list[tuple[str, object]] = [
        ("items", f"{progress.done:,}{of}"),
        ("succeeded", f"{progress.succeeded:,}"),
        ("failed", Text(f"{progress.failed:,}", style="red" if progress.failed else "")),
    ]
    if progress.status.live and not progress.stale:
        rows.append(("in flight", f"{progress.in_flight:,} in {counted(progress.partitions, 'partition')}"))
        if progress.waiting:
            rows.append(("waiting", f"{progress.waiting:,} for another attempt"))
        rows.append(("rate", f"{per_second(progress.rate)} over the last minute"))
    elif progress.done and progress.seconds > 0 and not progress.stale:
        rows.append(("rate", f"{per_second(progress.done / progress.seconds)} on average"))
    if progress.eta is not None:
        rows.append(("left", f"about {clock(progress.eta)}, {progress.basis}"))
    if progress.matched is not None:
        rows.append(("matches", f"{progress.matched:,}"))
    rows += [(f"counted {name}", amount(value)) for name, value in sorted(progress.counters.items())]
    return rows


def counted(number: int, noun: str) -> str:
    """Return a number and its noun: `1 worker`, `2 workers`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _age(info: RunInfo) -> float:
    return max(0.0, ((info.closed or datetime.now(UTC)) - info.started).total_seconds())


def status_of(text: str | None) -> Status | None:
    """Return the status that a person named, in any case, with `-` or `_`.

    Raises:
        UsageError: There is none of that name.
    """
    if text is None:
        return None
    name = text.upper().replace("-", "_")
    if name not in Status.__members__:
        raise UsageError(f"--status {text!r}: choose one of {', '.join(Status)}")
    return Status[name]
