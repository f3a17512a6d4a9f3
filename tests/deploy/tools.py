"""The tools that understand what is in deploy/: `make deploy` puts them into an environment of their own."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
TOOLS = ROOT / ".venv-deploy/bin"


def tool(
    name: str,
    *words: str | Path,
    stdin: str | None = None,
    cwd: Path | None = None,
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run one of the tools to its end."""
    return subprocess.run(
        [TOOLS / name, *words],
        input=stdin,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def passes(name: str, *words: str | Path, stdin: str | None = None, cwd: Path | None = None) -> str:
    """Run one of the tools, which must be content, and return what it says."""
    done = tool(name, *words, stdin=stdin, cwd=cwd)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout
