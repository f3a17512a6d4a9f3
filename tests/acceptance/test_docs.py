"""The documentation is run: every block after `<!-- test: … -->` in the README and in docs/.

What stands after `test:` says what is done with the block that follows:

- a file's name, such as `images.py`: the block is written to that file;
- `shows`: each line of the block appears in what the blocks before have printed, in this order;
- anything else: the block is run, as Python (`await` is allowed, as in a notebook) or as a shell script. `…, exit 3`
  is the exit code that a script must have.

The blocks of a page share a folder and their Python names. `client` is a client with a worker that runs all processors,
workflows and activities known so far, on the task queue `QUEUE`. `fanout.local`, and the command in that folder, use
the server of the test run.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import csv
import io
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from temporalio.client import Client

import fanout
from fanout.client import connect
from fanout.devserver import _lock
from fanout.patterns.limits import (
    HISTORY_BYTES,
    HISTORY_EVENTS,
    PENDING_ACTIVITIES,
    PENDING_CHILDREN,
    WORKFLOW_TASK_BYTES,
)
from fanout.processors import processor_of
from fanout.readers import registry
from fanout.workers.worker import run_worker
from tests.conftest import TestServer

HERE = Path(__file__).parents[2]
SOURCES = HERE / "fanout"

PATIENCE = 40.0
"""Seconds for one block: a run that hangs must not hang the tests."""

ENOUGH = 14
"""Letters of a message that must be those of the sources."""

_BLOCK = re.compile(
    r"^<!-- test: (?P<name>[^\n]+?) -->\n```(?P<kind>\w+)[^\n]*\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
_FILE = re.compile(r"[\w/.-]+\.\w+")
_EXIT = re.compile(r"(?:.*), exit (\d+)")


@dataclass(frozen=True)
class Block:
    """One block of a page: what to do with it, its language, its text, and the line at which that begins."""

    name: str
    kind: str
    body: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(found["name"], found["kind"], found["body"], text.count("\n", 0, found.start("body")) + 1)
        for found in _BLOCK.finditer(text)
    ]


PAGES = sorted(
    page
    for page in [HERE / "README.md", *HERE.glob("docs/**/*.md")]
    # Those have scenes of their own: tests/runbooks.
    if page.parent.name != "runbooks" and blocks(page)
)


@dataclass
class Page:
    """Runs the blocks of a page."""

    path: Path
    folder: Path
    address: str
    environment: dict[str, str]

    def __post_init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "docs_page", "QUEUE": self.environment["FANOUT_TASK_QUEUE"]}
        self.output = ""

    async def run(self, block: Block) -> None:
        if _FILE.fullmatch(block.name):
            (self.folder / block.name).write_text(block.body)
        elif block.name == "shows":
            self._check_shown(block)
        elif block.kind == "python":
            await self._run_python(block)
        else:
            await self._run_shell(block)

    def _check_shown(self, block: Block) -> None:
        rest = [_plain(line) for line in self.output.splitlines()]
        for line in filter(None, map(_plain, block.body.splitlines())):
            assert line in rest, f"{self._where(block)}: {line!r} was not printed:\n{self.output}"
            rest = rest[rest.index(line) + 1 :]

    async def _run_shell(self, block: Block) -> None:
        expected = int(found[1]) if (found := _EXIT.fullmatch(block.name)) else 0
        process = await asyncio.create_subprocess_exec(
            *("bash", "-e", "-c", block.body),
            cwd=self.folder,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            output, _ = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        self.output += output.decode()
        assert process.returncode == expected, (
            f"{self._where(block)} ended with {process.returncode}:\n{self.output}"
        )

    async def _run_python(self, block: Block) -> None:
        tree = ast.parse(block.body)
        ast.increment_lineno(tree, block.line - 1)
        shown = io.StringIO()
        async with AsyncExitStack() as stack:
            stack.enter_context(contextlib.redirect_stdout(shown))
            for statement in tree.body:
                if _uses_client(statement) and "client" not in self.names:
                    self.names["client"] = await stack.enter_async_context(self._worker())
                await self._execute(statement)
        self.names.pop("client", None)
        self.output += shown.getvalue()

    async def _execute(self, statement: ast.stmt) -> None:
        if "asyncio.run(" in ast.unparse(statement):
            # A whole program, whose loop cannot run inside ours.
            await asyncio.to_thread(exec, self._code(statement), self.names)
            return
        result = eval(self._code(statement), self.names)
        if asyncio.iscoroutine(result):
            await result

    def _code(self, statement: ast.stmt) -> CodeType:
        module = ast.Module([statement], type_ignores=[])
        code: CodeType = compile(module, str(self.path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        return code

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator[Client]:
        """A client as those of the documentation, and a worker with the page's processors."""
        known = self.names.values()
        mine = [value for value in known if processor_of(value)]
        client = await connect(plugin=fanout.Plugin(mine, store=self.folder / "fanout-output"))
        stop, ready = asyncio.Event(), asyncio.Event()
        queue = self.environment["FANOUT_TASK_QUEUE"]
        worker = asyncio.create_task(
            run_worker(
                client,
                queue,
                stop=stop,
                shutdown_timeout=5,
                ready=ready.set,
                workflows=[value for value in known if hasattr(value, "__temporal_workflow_definition")],
                activities=[value for value in known if hasattr(value, "__temporal_activity_definition")],
            )
        )
        try:
            yield client
        finally:
            stop.set()
            await worker

    def _where(self, block: Block) -> str:
        return f"{self.path.relative_to(HERE)}:{block.line}"


def _plain(line: str) -> str:
    return " ".join(line.split())


def _uses_client(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.AsyncWith):
        return False
    return any(isinstance(node, ast.Name) and node.id == "client" for node in ast.walk(statement))


class _Shared:
    """The server of the test run, as `fanout.local` takes it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.namespace = "default"

    async def __aenter__(self) -> _Shared:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


@pytest.fixture
def page(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dev_server: TestServer,
    task_queue: str,
) -> Iterator[Page]:
    async def shared(**_: object) -> AbstractAsyncContextManager[Any]:
        return _Shared(dev_server.address)

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    # What a page registers is its own.
    monkeypatch.setattr("fanout.readers.registry._kinds", dict(registry._kinds))
    monkeypatch.setattr("fanout.processors._registry", {})
    monkeypatch.setenv("FANOUT_TASK_QUEUE", task_queue)
    monkeypatch.setattr("fanout.session.start_dev_server", shared)
    environment = dict(os.environ)
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    environment.pop("TEMPORAL_ADDRESS", None)
    monkeypatch.setenv("TEMPORAL_ADDRESS", dev_server.address)
    before = set(sys.modules)
    with _lock(tmp_path / ".fanout" / "temporal.db", dev_server.address):
        # As `fanout dev` would: commands in this folder find the server.
        yield Page(request.param, tmp_path, dev_server.address, environment)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def _prepare(page: Page) -> None:
    """Put into the folder what a page takes as the reader's own."""
    if page.path.name == "README.md":
        rows = [[n if n != 17 else "x17", "data:,hello" if n != 31 else "nowhere"] for n in range(1000)]
        with (page.folder / "urls.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["id", "url"], *rows])


@pytest.mark.parametrize("page", PAGES, indirect=True, ids=lambda page: str(page.relative_to(HERE)))
async def test_what_a_page_says_is_so(page: Page) -> None:
    _prepare(page)
    for block in blocks(page.path):
        await asyncio.wait_for(page.run(block), PATIENCE)


# ---- figures


def test_the_limits_that_the_docs_name_are_those_of_the_patterns() -> None:
    page = (HERE / "docs/patterns/index.md").read_text()
    assert f"at most {PENDING_ACTIVITIES:,} and {PENDING_CHILDREN:,} are in flight" in page
    assert f"at most {WORKFLOW_TASK_BYTES // 2**20} MiB of arguments in one workflow task" in page
    assert f"at {HISTORY_EVENTS:,} or {HISTORY_BYTES // 2**20} MiB" in page


# ---- messages


Pieces = list[str | None]
"""The literal parts of a text in the sources; None stands for what is filled in."""


def _texts() -> list[Pieces]:
    found: list[Pieces] = []
    for file in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                found.append(
                    [str(part.value) if isinstance(part, ast.Constant) else None for part in node.values]
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append([node.value])
    return found


def _begins_like(message: str, text: Pieces) -> bool:
    """Tell whether a message, which may be cut off, is this text with something filled in."""
    at = said = 0
    for piece in text:
        if piece is None:
            continue
        place = message.find(piece, at)
        if place < 0:
            cut = next((n for n in range(len(piece), 0, -1) if message.endswith(piece[:n], at)), 0)
            return said + cut >= ENOUGH and cut > 0
        at, said = place + len(piece), said + len(piece)
    return said >= ENOUGH


def test_the_messages_that_the_docs_explain_are_those_of_the_code() -> None:
    messages = re.findall(r"^### `(.+)`$", (HERE / "docs/errors.md").read_text(), re.MULTILINE)
    texts = _texts()
    unknown = [message for message in messages if not any(_begins_like(message, text) for text in texts)]
    assert len(messages) > 15
    assert not unknown
