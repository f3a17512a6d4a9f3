"""An S3 server that can be told to misbehave: it stands behind an application that fails requests on purpose."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from tests.s3server import Application, S3Server

BUCKET: Final = "faults"
UNAVAILABLE: Final = "503 Slow Down"


class Moody:
    """Passes requests on, and answers some of them with an error: half of those it has carried out nevertheless.

    Args:
        inner: Does the work.
        dice: Decides.
    """

    def __init__(self, inner: Application, dice: random.Random) -> None:
        self._inner = inner
        self._dice = dice
        self._lock = threading.Lock()
        self.share = 0.0
        self.faults = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with self._lock:
            fails, done = self._dice.random() < self.share, self._dice.random() < 0.5
            self.faults += fails
        if not fails:
            return self._inner(environ, start_response)
        if done:
            b"".join(self._inner(environ, lambda *_: None))
        else:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response(UNAVAILABLE, [("Content-Length", "0")])
        return []


class MoodyServer(S3Server):
    """One with moods.

    Attributes:
        moods: Decides which requests fail.

    Args:
        dice: Random numbers for the failures.
    """

    moods: Moody

    def __init__(self, dice: random.Random) -> None:
        super().__init__(BUCKET, self._with_moods(dice))

    def _with_moods(self, dice: random.Random) -> Callable[[Application], Moody]:
        def around(inner: Application) -> Moody:
            self.moods = Moody(inner, dice)
            return self.moods

        return around
