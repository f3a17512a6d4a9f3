"""How a peer is spoken to: it says `ready`, and then answers each line, a job, with the seconds that this took.

It is started with a job to warm up with, ends with its standard input, and takes with it whatever it has started.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """What a peer is to do.

    Attributes:
        source: JSON Lines.
        target: An empty folder for the rows; the files in it, in order of their names, hold them in order.
        chunk: Items of a task.
    """

    source: Path
    target: Path
    chunk: int

    def to_line(self) -> str:
        """Return the job as the line that the peer reads."""
        return json.dumps({"source": str(self.source), "target": str(self.target), "chunk": self.chunk})

    @classmethod
    def from_line(cls, line: str) -> Job:
        """Return the job of a line."""
        said = json.loads(line)
        return cls(Path(said["source"]), Path(said["target"]), said["chunk"])


Run = Callable[[Job], None]
"""Does a job, on workers that are there."""


def serve(cluster: Callable[[], AbstractContextManager[Run]]) -> None:
    """Be a peer.

    Args:
        cluster: Starts workers and what else is needed, yields what runs a job there, and stops all of it.
    """
    # Libraries talk on standard output too.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with cluster() as run:
        run(Job.from_line(sys.argv[1]))
        print("ready", file=answers, flush=True)
        for line in sys.stdin:
            job = Job.from_line(line)
            began = time.perf_counter()
            run(job)
            print(time.perf_counter() - began, file=answers, flush=True)
