"""`python -m fanout.cli`: the command, where it is not on PATH."""

from __future__ import annotations

from fanout.cli import main

if __name__ == "__main__":
    main()
