"""`fanout failures`: which items of a run failed, one by one or by kind."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from fanout.cli import exits, say
from fanout.cli.connection import Connection
from fanout.cli.flags import command
from fanout.cli.inspect import AsJson, RunId
from fanout.cli.output import limited
from fanout.models import FailureKind
from fanout.observability.drawing import one_line


@command
async def failures(
    connection: Connection,
    run: RunId,
    by_type: Annotated[
        bool, typer.Option("--by-type", help="Count them by error type, and by what their messages share.")
    ] = False,
    error_type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only those of this error type.")
    ] = None,
    as_json: AsJson = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many.")] = None,
) -> int:
    """Show which items failed, where they stand, and why.

    A table on a terminal; JSON Lines, with input and traceback, in a pipe or with --json. With --by-type a table, or
    JSON Lines with --json.
    """
    from fanout import client as api

    async with connection.client() as client:
        handle = api.get_run(client, run)
        if by_type:
            kinds = await handle.failure_kinds(error_type=error_type)
            _show_kinds(run, kinds[:limit], error_type, as_json=as_json)
            return exits.SUCCEEDED
        rows = limited(_of_type(handle.rows("failures", ordered=True), error_type), limit)
        if as_json or not sys.stdout.isatty():
            count = 0
            with say.stdout() as out:
                async for some in rows:
                    out.write(b"\n".join(some) + b"\n")
                    count += len(some)
            if not count:
                _say_none(run, error_type)
            return exits.SUCCEEDED
        shown = [json.loads(row) async for some in rows for row in some]
    if not shown:
        _say_none(run, error_type)
        return exits.SUCCEEDED
    say.table(
        ["INDEX", "KEY", "SOURCE", "ERROR", "ATTEMPTS"],
        (
            [
                row["index"],
                row["key"],
                row.get("source", ""),
                f"{row['error_type']}: {one_line(row['message'])}",
                row.get("attempts", ""),
            ]
            for row in shown
        ),
        right=["INDEX", "ATTEMPTS"],
    )
    say.note(f"all of one, with its input and traceback: fanout item {run} {shown[0]['index']}")
    return exits.SUCCEEDED


def _show_kinds(run: str, kinds: list[FailureKind], error_type: str | None, *, as_json: bool) -> None:
    if as_json:
        for kind in kinds:
            say.data(asdict(kind))
        return
    if not kinds:
        _say_none(run, error_type)
        return
    say.table(
        ["COUNT", "GROUP", "ERROR", "FIRST", "LAST", "FOR EXAMPLE"],
        (
            [
                f"{kind.count:,}",
                kind.group,
                f"{kind.error_type}: {one_line(kind.message)}",
                _when(kind.first),
                _when(kind.last),
                ", ".join(f"{one_line(one.key, 40)} ({one.source})" for one in kind.samples),
            ]
            for kind in kinds
        ),
        right=["COUNT"],
    )
    say.note(f"all of one, with its input and traceback: fanout item {run} {kinds[0].samples[0].index}")
    if kinds[0].group:
        say.note(f"a group again, once its cause is mended: fanout rerun {run} --group {kinds[0].group}")


def _say_none(run: str, error_type: str | None) -> None:
    if error_type is None:
        say.note(f"no failures of run {run}")
    else:
        say.note(f"no failures of type {error_type} in run {run}; its types: fanout failures {run} --by-type")


def _when(moment: float | None) -> str:
    return "" if moment is None else say.when(datetime.fromtimestamp(moment, UTC))


async def _of_type(rows: AsyncIterator[list[bytes]], error_type: str | None) -> AsyncIterator[list[bytes]]:
    async for some in rows:
        yield (
            some
            if error_type is None
            else [row for row in some if json.loads(row)["error_type"] == error_type]
        )
