"""The `fanout` command."""

from __future__ import annotations

from typing import NoReturn


def main() -> NoReturn:
    """Run the command line, and end the process with its exit code."""
    from fanout.cli.app import app
    from fanout.cli.exits import leave

    leave(app() or 0)


__all__ = ["main"]
