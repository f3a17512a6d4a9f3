"""How many lines of Python some packages of the standard library have: a run of workflows, each with a run of its own.

The outer run has a workflow for each package. That takes a step, an activity which lists the package's files, and then
starts an inner run with an item for each file.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

import fanout
from fanout.devserver import start_dev_server

PACKAGES = [
    "asyncio",
    "collections",
    "concurrent",
    "email",
    "html",
    "http",
    "json",
    "logging",
    "no_such_package",
]
QUEUE = "lines-of-code"


@activity.defn
def list_files(package: str) -> list[str]:
    """Return the files of a package."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ApplicationError(f"there is no package {package!r}", type="NoPackage", non_retryable=True)
    return sorted(map(str, Path(found.origin).parent.rglob("*.py")))


@fanout.processor
def count_lines(path: str) -> int:
    """Count the lines of one file."""
    lines = len(Path(path).read_bytes().splitlines())
    fanout.count("lines", lines)
    return lines


@fanout.processor(retries=0)
@workflow.defn
class CountPackage:
    """Counts the lines of one package, by a run over its files."""

    @workflow.run
    async def run(self, package: str) -> dict[str, int]:
        """Return how many files and lines there are."""
        files = await workflow.execute_activity(
            list_files, package, start_to_close_timeout=timedelta(seconds=30)
        )
        result = await fanout.workflow.execute(count_lines, files, id=f"lines-of-{package}")
        return {"files": result.succeeded, "lines": int(result.counters["lines"])}


async def main() -> None:
    """Run the fan-out of fan-outs on a dev server and a worker of its own, and print what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        plugin = fanout.Plugin([count_lines, CountPackage], store=folder)
        async with await start_dev_server() as server:
            client = await Client.connect(server.address, plugins=[plugin])
            async with Worker(
                client, task_queue=QUEUE, activities=[list_files], activity_executor=ThreadPoolExecutor(4)
            ):
                await fan_out(client)


async def fan_out(client: Client) -> None:
    """Start the outer run, and read its results."""
    run = await fanout.start(client, CountPackage, PACKAGES, id="packages", task_queue=QUEUE)
    result = await run.result()
    async for row in run.results(ordered=True):
        print(f"{PACKAGES[row.index]}: {row.output['lines']:,} lines in {row.output['files']} files")
    async for failure in run.failures():
        print(f"{failure.input}: {failure.message}")
    inner = await fanout.list_runs(client, processor="count_lines")
    print(f"{result.succeeded} of {result.items} packages, {len(inner)} runs inside workflows")


if __name__ == "__main__":
    # Temporal says of each failed attempt what is printed here once.
    logging.disable(logging.WARNING)
    asyncio.run(main())
