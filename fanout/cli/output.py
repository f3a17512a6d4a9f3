"""What came of a run's items: `results`, `item`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from fanout.cli import exits, say
from fanout.cli.connection import Connection
from fanout.cli.flags import command
from fanout.cli.inspect import AsJson, RunId
from fanout.errors import RunNotFound, UsageError
from fanout.models import Failure, ItemResult
from fanout.observability.drawing import amount

if TYPE_CHECKING:
    from fanout.runs.run import Run

STDOUT = "-"

Index = Annotated[int | None, typer.Argument(min=0, help="Position of the item in the source, from 0.")]
Key = Annotated[str | None, typer.Option(help="Its key instead.")]


@command
async def results(
    connection: Connection,
    run: RunId,
    file: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="A file to write; - for stdout.")
    ] = STDOUT,
    ordered: Annotated[bool, typer.Option("--ordered", help="In the order of the items.")] = False,
    matches: Annotated[
        bool, typer.Option("--matches", help="Only those whose output is not null: what a search has found.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many.")] = None,
) -> int:
    """Write a run's results as JSON Lines, also while it runs: those committed so far."""
    if file != STDOUT and Path(file).suffix not in {".jsonl", ".ndjson", ".json"}:
        raise UsageError(
            f"results are written as JSON Lines: name the file {Path(file).stem}.jsonl, not {file}"
        )
    from fanout import client as api

    async with connection.client() as client:
        handle = api.get_run(client, run)
        count = 0
        with _opened(file) as out:
            found = handle.rows("results", ordered=ordered)
            async for rows in limited(_matching(found) if matches else found, limit):
                out.write(b"\n".join(rows) + b"\n")
                count += len(rows)
    if file != STDOUT:
        say.note(f"{count:,} results in {file}")
    return exits.SUCCEEDED


@command
async def item(
    connection: Connection,
    run: RunId,
    index: Index = None,
    key: Key = None,
    as_json: AsJson = False,
) -> int:
    """Show all that is known of one item; exit code 1 when it has no outcome yet."""
    check_which(index, key)
    from fanout import client as api

    async with connection.client() as client:
        handle = api.get_run(client, run)
        found = await handle.item(index, key=key)
        if found is None:
            say.error(await _none_yet(handle, index, key))
            return exits.ERROR
    show(found, as_json=as_json)
    return exits.SUCCEEDED


def check_which(index: int | None, key: str | None) -> None:
    """Check that an item is named in one way.

    Raises:
        UsageError: It is named in none, or in both.
    """
    if (index is None) == (key is None):
        raise UsageError("say which item: by its INDEX, or by --key")


async def _none_yet(handle: Run, index: int | None, key: str | None) -> str:
    which = f"item {index}" if key is None else f"an item with key {key!r}"
    try:
        info = await handle.info()
    except RunNotFound:
        return f"run {handle.id} has no outcome of {which} in its output"
    if info.closed is None:
        return f"run {handle.id} has no outcome of {which} yet; it is running: fanout status {handle.id}"
    ended = f"it ended as {info.status}, and has no such item or did not reach it"
    return f"run {handle.id} has no outcome of {which}: {ended}"


def show(found: ItemResult | Failure, *, as_json: bool, counters: Mapping[str, float] | None = None) -> None:
    """Print the outcome of an item, on stdout.

    Args:
        found: The outcome.
        as_json: Whether as JSON.
        counters: What the item has counted, where it was run here.
    """
    if as_json:
        outcome = "failed" if isinstance(found, Failure) else "succeeded"
        say.data({"outcome": outcome, **asdict(found), **({"counters": counters} if counters else {})})
    else:
        _describe(found, counters or {})


def _describe(found: ItemResult | Failure, counters: Mapping[str, float]) -> None:
    from rich.text import Text

    rows: list[tuple[str, object]] = [("index", found.index), ("key", found.key)]
    rows += [(f"counted {name}", amount(value)) for name, value in sorted(counters.items())]
    if isinstance(found, ItemResult):
        rows += [("outcome", Text("succeeded", style="green")), ("output", _pretty(found.output))]
        say.pairs(rows)
        return
    rows += [
        ("outcome", Text("failed", style="red")),
        ("source", found.source),
        ("error", f"{found.error_type}: {found.message}"),
        ("attempts", found.attempts),
        ("failed at", say.when(datetime.fromtimestamp(found.at, UTC)) if found.at else ""),
        ("worker", found.worker),
        ("version", found.version),
        ("input", _pretty(found.input)),
    ]
    say.pairs((name, value) for name, value in rows if value != "")
    if found.traceback:
        say.console().print(f"\n{found.traceback.rstrip()}")


def _pretty(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, indent=2)


@contextlib.contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    if file == STDOUT:
        with say.stdout() as out:
            yield out
        return
    # Written beside and renamed: a file of that name is whole, or not there.
    target = Path(file)
    draft = target.with_name(f".{target.name}.part")
    try:
        with draft.open("wb") as out:
            yield out
        draft.replace(target)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)


async def _matching(rows: AsyncIterator[list[bytes]]) -> AsyncIterator[list[bytes]]:
    from fanout.writers.jsonl import is_match

    async for some in rows:
        yield list(filter(is_match, some))


async def limited(rows: AsyncIterator[list[bytes]], limit: int | None) -> AsyncIterator[list[bytes]]:
    """Yield rows until there were so many."""
    given = 0
    async for some in rows:
        kept = some if limit is None else some[: limit - given]
        given += len(kept)
        if kept:
            yield kept
        if given == limit:
            return
