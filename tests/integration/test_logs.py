"""The lines of Temporal's Rust core, which go to stdout unless someone sends them elsewhere."""

from __future__ import annotations

import asyncio
import json
import sys

from tests.conftest import TestServer

WORKER = """
import asyncio, logging, sys
from temporalio import activity
from temporalio.client import Client
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.worker import Worker
from fanout.observability.logs import configure_logging, core_logging

configure_logging(json=True, level="debug")
Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=core_logging("debug"))))

seen = []
logging.getLogger("temporalio.core").addFilter(lambda record: seen.append(record) or True)

@activity.defn
async def nothing() -> None: ...

async def main() -> None:
    client = await Client.connect(sys.argv[1])
    async with Worker(client, task_queue=sys.argv[2], activities=[nothing]):
        while not seen:  # the core hands its lines over every few milliseconds
            await asyncio.sleep(0.01)

asyncio.run(main())
"""


async def test_the_rust_cores_lines_go_to_stderr_and_leave_stdout_to_data(
    dev_server: TestServer, task_queue: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", WORKER, dev_server.address, task_queue),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, out) == (0, b""), err.decode()
    written = [json.loads(line) for line in err.splitlines()]
    assert any(line["logger"] == "temporalio.core" and line["target"] for line in written), written
