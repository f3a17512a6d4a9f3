"""The example of a fan-out of fan-outs, and what it prints, against a count by other means."""

from __future__ import annotations

import asyncio
import email
import html
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def lines_of(package: Any) -> str:
    """Count with an own loop what the example prints of a package."""
    files = list(Path(package.__file__).parent.rglob("*.py"))
    lines = sum(len(path.read_bytes().splitlines()) for path in files)
    return f"{package.__name__}: {lines:,} lines in {len(files)} files"


def test_the_example_counts_the_lines_of_packages() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "examples.fan_out_of_fan_outs"],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    printed = ran.stdout.splitlines()
    for package in (asyncio, email, html):
        assert lines_of(package) in printed
    assert printed[-2:] == [
        "no_such_package: there is no package 'no_such_package'",
        "8 of 9 packages, 8 runs inside workflows",
    ]
