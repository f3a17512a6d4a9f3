"""The threads of a worker process that `def` processors run in.

Not a `ThreadPoolExecutor`: that one waits for its threads when the interpreter ends, and a thread that hangs would
keep the process for ever. It also could not make up for the threads that hang.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any


class Threads:
    """A pool of threads that makes up for those that were given up.

    A thread cannot be ended from outside. One whose item was timed out goes on, maybe for ever; the pool starts
    another in its place, up to as many again as it has. Beyond that the process is exhausted.

    Args:
        size: Threads that work.
        name: Prefix of the threads' names.

    Attributes:
        on_exhausted: Called once, in any thread, with the reason.
    """

    def __init__(self, size: int, *, name: str = "fanout-item") -> None:
        self.size = size
        self.on_exhausted: Callable[[str], None] | None = None
        self._name = name
        self._jobs: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._hanging: Counter[str] = Counter()
        self._alive = 0
        self._idle = 0
        self._waiting = 0
        self._made = 0
        self._closed = False

    @property
    def hanging(self) -> int:
        """Threads that were given up and still run."""
        return self._hanging.total()

    def submit(self, function: Callable[..., Any], *args: Any) -> None:
        """Call the function in a thread, as soon as one is free; it must not raise."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the threads of this worker are closed")
            self._waiting += 1
            self._jobs.put(lambda: function(*args))
            self._fill()

    def lose(self, what: str) -> None:
        """Count a thread that hangs in the processor of that name."""
        with self._lock:
            self._hanging[what] += 1
            self._fill()
            reason = self._reason() if self.hanging > self.size else None
            tell, self.on_exhausted = (self.on_exhausted, None) if reason else (None, self.on_exhausted)
        if reason and tell:
            tell(reason)

    def regain(self, what: str) -> None:
        """Count one the less: it has come to its end after all."""
        with self._lock:
            self._hanging[what] -= 1

    def close(self) -> None:
        """Let idle threads end, and the others after what they do; wait for none."""
        with self._lock:
            self._closed = True
            for _ in range(self._alive):
                self._jobs.put(None)

    # ---- private

    def _fill(self) -> None:
        """Start threads for what waits, as many as may be."""
        most = self.size + min(self.hanging, self.size)
        while self._alive < most and self._idle < self._waiting:
            self._alive += 1
            self._idle += 1
            self._made += 1
            threading.Thread(target=self._serve, name=f"{self._name}-{self._made}", daemon=True).start()

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            with self._lock:
                self._waiting -= 1
                self._idle -= 1
            try:
                job()
            finally:
                del job
                with self._lock:
                    surplus = self._alive > self.size + min(self.hanging, self.size)
                    self._alive -= surplus
                    self._idle += not surplus
            if surplus:
                return

    def _reason(self) -> str:
        which = ", ".join(f"{count} in {name}" for name, count in self._hanging.most_common() if count)
        return (
            f"{self.hanging} threads hang after their items were timed out ({which}); "
            f"of {self.size} none is left that could make up for them"
        )
