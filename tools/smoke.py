"""Run one small job with an installed `fanout`, in the current, empty folder, and check every result.

python smoke.py path/to/fanout
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ITEMS = 1_000

JOBS = """\
import fanout
from pydantic import BaseModel


class Number(BaseModel):
    id: str
    n: int


@fanout.processor
async def square(number: Number) -> int:
    return number.n**2
"""


def run(fanout: str, *arguments: str) -> str:
    """Run one command; its stderr is ours to see, its stdout is the data."""
    print("$ fanout", *arguments, flush=True)
    done = subprocess.run([fanout, *arguments], stdout=subprocess.PIPE, text=True, timeout=300, check=False)
    if done.returncode != 0:
        sys.exit(f"smoke: `fanout {' '.join(arguments)}` ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def main(fanout: str) -> None:
    Path("jobs.py").write_text(JOBS)
    with Path("items.jsonl").open("w") as items:
        items.writelines(json.dumps({"id": f"item-{n}", "n": n}) + "\n" for n in range(ITEMS))

    run(fanout, "run", "jobs:square", "items.jsonl", "--key", "id", "--id", "smoke", "--local")
    found = {(row["key"], row["output"]) for row in rows(run(fanout, "results", "smoke", "--local"))}
    expected = {(f"item-{n}", n**2) for n in range(ITEMS)}
    if found != expected:
        sys.exit(
            f"smoke: {len(found)} results, expected {ITEMS}; "
            f"missing: {sorted(expected - found)[:3]}, surplus: {sorted(found - expected)[:3]}"
        )
    print(f"smoke: {ITEMS} items, {len(found)} results, all right")


if __name__ == "__main__":
    main(*sys.argv[1:])
