"""The `fanout` command."""

from __future__ import annotations


def main() -> int:
    """Run the command line and return its exit code."""
    from fanout.cli.app import app

    return app() or 0


__all__ = ["main"]
