"""A page of the runbooks, and what it stands on: a folder, a service, a server, workers, a run with its fault."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.conftest import Project, wait_for
from tests.frontdoor import Door
from tests.runbooks.service import Service

FOLDER = Path(__file__).parents[2] / "docs" / "runbooks"

_MARK = re.compile(
    r"^<!-- (?P<what>test|scene|web): (?P<name>[^\n]+?) -->\n"
    r"(?:```\w+\n(?P<block>.*?)^```$|(?P<paragraph>([^<\n][^\n]*\n)+))?",
    re.MULTILINE | re.DOTALL,
)
_EXIT = re.compile(r".*, exit (\d+)")
_OURS = re.compile(r"(?<![\w/-])urls(?![\w./-])")


@dataclass(frozen=True)
class Mark:
    """A place of a page at which the test does something.

    Attributes:
        what: `test` for a block that is run or compared, `scene` where something happens (`name` says what), `web`
            for a paragraph about the run's page in Temporal Web (`name` says which tab).
        name: What stands after the colon.
        body: The block or the paragraph.
        line: At which it begins.
    """

    what: str
    name: str
    body: str
    line: int


def marks(page: Path) -> Iterator[Mark]:
    """Yield the places of a page at which the test does something."""
    text = page.read_text()
    for found in _MARK.finditer(text):
        line = text.count("\n", 0, found.start()) + 2
        yield Mark(found["what"], found["name"], found["block"] or found["paragraph"] or "", line)


def pattern(words: str) -> re.Pattern[str]:
    """Return what finds words of a page; `…` stands for anything."""
    return re.compile(".*".join(re.escape(part) for part in words.split("…")))


@dataclass
class Stage:
    """What the commands of a page meet.

    Attributes:
        project: The folder, its environment and its processes.
        service: What the items call.
        run_id: The id of the run that the page calls `urls`.
        port: For a server of its own.
        shown: What the last block has printed.
        server: The server of its own, where it has one.
        door: What stands before the server, where it asks for a key.
        at_end: What is to be done when the page has ended.
        workers: Those that were started, the oldest first.
    """

    project: Project
    service: Service
    run_id: str
    port: int
    shown: str = ""
    server: subprocess.Popen[str] | None = None
    door: Door | None = None
    at_end: list[Callable[[], object]] = field(default_factory=list)
    workers: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        shutil.copy(Path(__file__).parent / "images.py", self.project.folder)
        environment = self.project.environment
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        # Nothing that a page shows depends on how wide the terminal is.
        environment["COLUMNS"] = "160"
        self.write_urls(200)

    def write_urls(self, count: int, broken: tuple[int, ...] = ()) -> None:
        """Write `urls.csv`."""
        rows = [[n, "broken:" if n in broken else f"{self.service.url}/{n}.png"] for n in range(count)]
        with (self.project.folder / "urls.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["id", "url"], *rows])

    @property
    def web_url(self) -> str:
        """Where Temporal Web of its server is."""
        return self.project.environment["FANOUT_WEB_URL"]

    def worker(self, *words: str) -> subprocess.Popen[str]:
        """Start a worker, and return when it polls."""
        process = self.project.spawn("worker", "images", *words)
        wait_for(lambda: '"worker ready"' in self.project.log(process), lambda: self.project.log(process))
        self.workers.append(process)
        return process

    def start(self, *words: str) -> None:
        """Start the run and leave it."""
        done = self.project.fanout(
            *("run", "images:fetch", "urls.csv", "--key", "id", "--id", self.run_id, "--detach", *words)
        )
        assert done.returncode == 0, done.stderr

    def status(self) -> dict[str, Any]:
        """Return what is known of the run."""
        done = self.project.fanout("status", self.run_id, "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def failed(self) -> int:
        """Return how many items have failed for good."""
        return int(self.status()["progress"]["failed"])

    def done(self) -> int:
        """Return how many items have an outcome."""
        numbers = self.status()["progress"]
        return int(numbers["succeeded"] + numbers["failed"])

    def run(self, mark: Mark, page: Path) -> None:
        """Run or compare a block."""
        where = f"{page.name}:{mark.line}"
        body = _OURS.sub(self.run_id, mark.body)
        if mark.name == "shows":
            self._compare(body, where)
            return
        expected = int(found[1]) if (found := _EXIT.fullmatch(mark.name)) else 0
        done = subprocess.run(
            ["bash", "-ec", body],
            cwd=self.project.folder,
            env=self.project.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=90,
            check=False,
        )
        self.shown = done.stdout
        if os.environ.get("FANOUT_RUNBOOKS_SHOW"):
            sys.stderr.write(f"\n--- {where}\n{body}\n{self.shown.replace(self.run_id, 'urls')}")
        assert done.returncode == expected, f"{where} ended with {done.returncode}:\n{self.shown}"

    def _compare(self, body: str, where: str) -> None:
        """Check that each line of a block was printed, in this order; `…` stands for anything."""
        rest = [" ".join(line.split()) for line in self.shown.splitlines()]
        for line in filter(None, (" ".join(line.split()) for line in body.splitlines())):
            place = next((n for n, said in enumerate(rest) if pattern(line).fullmatch(said)), None)
            assert place is not None, f"{where}: {line!r} was not printed:\n{self.shown}"
            rest = rest[place + 1 :]

    def stop(self, process: subprocess.Popen[str], how: int = signal.SIGTERM) -> None:
        """End a process that was spawned."""
        process.send_signal(how)
        process.wait(60)
