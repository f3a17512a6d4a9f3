"""`make demo`: the flights that left New York in 2013, on a dev server and two worker processes of its own."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from temporalio.client import Client

import fanout
from examples.flights import data, flights, summary
from fanout.cli.connection import Connection
from fanout.cli.local import workers
from fanout.devserver import DEFAULT_UI_PORT
from fanout.storage.roots import display

RUN = "flights"
PROCESSES = 2


def main(report: Path | None) -> int:
    """Run the demo.

    Args:
        report: Where to write the numbers as JSON.

    Returns:
        0 when every flight has exactly one outcome.
    """
    console = Console(highlight=False, markup=False)
    data.unpack()
    console.print(f"{data.FLIGHTS}: {data.count_flights():,} flights", style="bold")
    found, web = asyncio.run(fan_out())
    summary.show(found, look_again(web), console)
    if report is not None:
        report.write_text(json.dumps(found.as_json(), indent=1))
    mistakes = found.mistakes(data.count_flights())
    for text in mistakes:
        console.print(f"does not add up: {text}", style="red")
    return 1 if mistakes else 0


async def fan_out() -> tuple[summary.Summary, str]:
    """Run the processor over the file; return what came of it, and the run's page in Temporal Web."""
    # The same pieces as `fanout run --local`: this folder's dev server, and worker processes beside it.
    async with Connection(local=True).located() as place:
        client = await place.connect()
        async with workers(
            place, [flights.__name__], processes=PROCESSES, task_queue=None, roots=[], store=None
        ) as serving:
            run = await start(client)
            result = await show(run, serving)
        return await summary.read(run, result), str(fanout.get_run(client, RUN).web_url)


async def start(client: Client) -> fanout.Run:
    """Start the run, or go on with the one that somebody interrupted."""
    reader = fanout.Csv(data.FLIGHTS, columns=list(flights.Flight.model_fields), null_values=["NA"])
    try:
        return await fanout.start(client, flights.leg, reader, id=RUN, if_exists="new")
    except fanout.RunExists:
        return fanout.get_run(client, RUN)


async def show(run: fanout.Run, serving: asyncio.Task[None]) -> fanout.RunResult:
    """Show the bar until the run ends, or until the workers turn out not to start."""
    showing = asyncio.ensure_future(run.show())
    try:
        await asyncio.wait({showing, serving}, return_when=asyncio.FIRST_COMPLETED)
        if not showing.done():
            serving.result()
        return await showing
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)


def look_again(web: str) -> str:
    """Return how to see the run in Temporal Web: the server has ended, its database file is there."""
    port = urlsplit(web).port
    flag = "" if port == DEFAULT_UI_PORT else f" --ui-port {port}"
    return f"{command()} dev{flag}, then {web}"


def command() -> str:
    """Return how to call `fanout` from here: the virtual environment need not be active."""
    return "fanout" if shutil.which("fanout") else display(str(Path(sys.executable).with_name("fanout")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there, too")
    try:
        sys.exit(main(parser.parse_args().json))
    except fanout.FanoutError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("stopped; `make demo` goes on with this run", file=sys.stderr)
        sys.exit(130)
