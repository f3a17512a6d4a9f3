"""The disk of the output is full."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import PROCESSES, Stage
from tests.faults.report import Line
from tests.faults.scale import Scale
from tests.faults.scene import Scene

INSIDE = "FANOUT_FAULTS_INSIDE"
BYTES_PER_ITEM = 2_000
"""Of data objects, commits and published rows, with much to spare."""
LEFT = 64 * 1024


@pytest.fixture
def small_disk(request: pytest.FixtureRequest, tmp_path: Path, scale: Scale) -> Iterator[Path | None]:
    """A file system of a few megabytes; None where this test has run in a namespace that may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    size = scale.items * BYTES_PER_ITEM
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode == 0:
        yield folder
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        return
    assert INSIDE not in os.environ, "even a namespace of one's own may not mount a tmpfs"
    again = [
        "unshare",
        "--map-root-user",
        "--mount",
        sys.executable,
        "-m",
        "pytest",
        request.node.nodeid,
        "-q",
    ]
    done = subprocess.run(
        [*again, "-p", "no:cacheprovider"],
        env={**os.environ, INSIDE: "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    yield None


@pytest.fixture
async def cramped(
    stage: Stage,
    small_disk: Path | None,
    scale: Scale,
    line: Line,
    undisturbed: Callable[..., Any],
) -> AsyncIterator[Scene | None]:
    """A scene whose output goes to a small disk."""
    if small_disk is None:
        line.passed = True
        yield None
        return
    line.undisturbed = await undisturbed("local", scale)
    async with stage(store=small_disk / "out") as made:
        yield made


async def test_the_disk_is_full_until_somebody_makes_room(cramped: Scene | None, tmp_path: Path) -> None:
    if cramped is None:
        return
    await cramped.fleet.start(PROCESSES)
    run = await cramped.start()
    await cramped.reached(0.4)
    filler = tmp_path / "disk" / "filler"
    fill(filler)
    cramped.line.faults += 1
    reason = await cramped.trouble(run)
    assert "space" in reason or "full" in reason, reason
    assert (await run.info()).closed is None
    filler.unlink()
    await cramped.finish(run)


def fill(path: Path) -> None:
    """Write a file until its disk is full."""
    block = bytes(LEFT)
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(block)
        except OSError:
            return
