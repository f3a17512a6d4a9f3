"""Looking at processes from outside."""

from __future__ import annotations

import re
from pathlib import Path


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; an orphan that has ended may stay a zombie where nobody reaps."""
    try:
        return re.sub(r".*\) ", "", Path(f"/proc/{pid}/stat").read_text())[0] != "Z"
    except FileNotFoundError:
        return False
