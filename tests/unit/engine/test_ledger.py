"""The ledger of a cell: what a process that is gone has started and done."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from fanout.children.ledger import Ledger

CHILD = """
import os, signal, sys
from pathlib import Path
from fanout.children.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
ledger.start([0, 1, 2, 4])
ledger.done([1, 4])
ledger.start([4])
ledger.failed(4, 2)
ledger.failed(0, 1000)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_marks_outlive_the_process_that_set_them(tmp_path: Path) -> None:
    ledger = Ledger.create(tmp_path / "ledger", 5)
    child = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path / "ledger")], check=False)
    assert child.returncode == -signal.SIGKILL
    assert ledger.started() == [0, 2, 4]
    assert ledger.ended() == [1]
    assert ledger.attempts() == {0: 255, 4: 2}
    ledger.close()


def test_a_new_ledger_has_no_marks(tmp_path: Path) -> None:
    ledger = Ledger.create(tmp_path / "ledger", 3)
    assert (ledger.started(), ledger.ended(), ledger.attempts()) == ([], [], {})
    ledger.close()
