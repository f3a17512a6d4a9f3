"""`fanout report`: a run as one HTML page."""

from __future__ import annotations

from typing import Annotated

import typer

from fanout.cli import exits, say
from fanout.cli.connection import Connection
from fanout.cli.flags import command
from fanout.cli.inspect import RunId
from fanout.cli.output import STDOUT


@command
async def report(
    connection: Connection,
    run: RunId,
    file: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="A file to write, RUN.html by default; - for stdout."
        ),
    ] = None,
) -> int:
    """Write a run as one HTML page: throughput, durations, window, partitions, failures, counters, orders.

    Also while the run goes on, and once the server has forgotten it. The page loads nothing from elsewhere.
    """
    from fanout import client as api
    from fanout.runs import report as reports

    async with connection.client() as client:
        handle = api.get_run(client, run)
        if file == STDOUT:
            page = await reports.report(handle)
            with say.stdout() as out:
                out.write(page.encode())
            return exits.SUCCEEDED
        written = await handle.report(file or f"{run}.html")
    say.note(f"the report of run {run} is in {written}")
    return exits.SUCCEEDED
