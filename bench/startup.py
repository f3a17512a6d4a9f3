"""How long a fresh interpreter takes for `import fanout` and `fanout --help`, against what it is built on."""

from __future__ import annotations

import asyncio
import sys
import time

from bench.report import Figure, Report, Target
from bench.scales import Sizes

BASE = "import temporalio, pydantic, structlog"
PARTS = "import temporalio.client, temporalio.worker, pydantic, structlog"
IMPORT = "import fanout"
NAMES = "from fanout import *"
HELP = "fanout --help"

_BARE = "pass"

_COMMANDS = {
    **{code: ["-c", code] for code in (_BARE, BASE, PARTS, IMPORT, NAMES)},
    HELP: ["-m", "fanout.cli", "--help"],
}

_COMPARED = [(IMPORT, BASE, Target("≤", 1.3)), (HELP, BASE, Target("≤", 1.3)), (NAMES, PARTS, None)]


async def measure(sizes: Sizes) -> Report:
    """Time all of them in turn; a first turn, which writes the compiled modules, does not count."""
    took: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    for turn in range(1 + sizes.starts):
        for name, arguments in _COMMANDS.items():
            seconds = await _seconds(arguments)
            if turn:
                took[name].append(1000 * seconds)
    medians = {name: Figure.median_of(f"`{name}`", samples, "ms") for name, samples in took.items()}
    ratios = [
        Figure(
            f"`{ours}` / `{theirs}`",
            medians[ours].value / medians[theirs].value,
            "x",
            target=target,
        )
        for ours, theirs, target in _COMPARED
    ]
    return Report(
        title=f"processes from their start to their end, {sizes.starts} times each, compiled modules warm",
        figures=[*ratios, *medians.values()],
    )


async def _seconds(arguments: list[str]) -> float:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.DEVNULL
    )
    status = await process.wait()
    if status:
        raise RuntimeError(f"python {' '.join(arguments)} ended with {status}")
    return time.perf_counter() - began
