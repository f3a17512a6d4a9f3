"""The documentation is run: every block after `<!-- test: … -->` in the README and in docs/.

What stands after `test:` says what is done with the block that follows:

- a file's name, such as `images.py`: the block is written to that file;
- `shows`: each line of the block appears in what the blocks before have printed, in this order;
- anything else: the block is run, as Python (`await` is allowed, as in a notebook) or as a shell script. `…, exit 3`
  is the exit code that a script must have.

The blocks of a page share a folder and their Python names. `client` is a client with a worker that runs all processors
defined so far. `fanout.local`, and the command in that folder, use the server of the test run.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import io
import os
import re
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

import fanout
from fanout.client import connect
from fanout.devserver import _lock
from fanout.worker import run_worker
from tests.conftest import TestServer

HERE = Path(__file__).parents[2]
SOURCES = HERE / "fanout"

_BLOCK = re.compile(
    r"^<!-- test: (?P<name>[^\n]+?) -->\n```(?P<kind>\w+)[^\n]*\n(?P<body>.*?)^```$", re.M | re.S
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


PAGES = sorted(page for page in [HERE / "README.md", *HERE.glob("docs/**/*.md")] if blocks(page))


@pytest.fixture(scope="module")
def namespace(dev_server: TestServer) -> Iterator[str]:
    """A namespace of the documentation's own: its runs have ids that other tests may use."""
    name = f"docs-{uuid.uuid4().hex[:8]}"
    asyncio.run(_register(dev_server.address, name))
    yield name


async def _register(address: str, namespace: str) -> None:
    client = await Client.connect(address)
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=namespace, workflow_execution_retention_period=Duration(seconds=86_400)
        )
    )
    found = await Client.connect(address, namespace=namespace)
    for _ in range(100):
        with contextlib.suppress(RPCError):
            # The server looks for new namespaces every few seconds.
            async for _ in found.list_workflows():
                break
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"the server does not know namespace {namespace}")


@dataclass
class Page:
    """Runs the blocks of a page."""

    path: Path
    folder: Path
    address: str
    environment: dict[str, str]

    def __post_init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "docs_page"}
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
        )
        output, _ = await process.communicate()
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
        return compile(module, str(self.path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator[Client]:
        """A client as those of the documentation, and a worker with the page's processors."""
        mine = [value for value in self.names.values() if isinstance(value, fanout.Processor)]
        client = await connect(plugin=fanout.Plugin(mine, store=self.folder / "fanout-output"))
        stop, ready = asyncio.Event(), asyncio.Event()
        queue = self.environment["FANOUT_TASK_QUEUE"]
        worker = asyncio.create_task(
            run_worker(client, queue, stop=stop, shutdown_timeout=5, ready=ready.set)
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
    namespace: str,
    task_queue: str,
) -> Iterator[Page]:
    async def shared(**_: object) -> AbstractAsyncContextManager[Any]:
        return _Shared(dev_server.address)

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TEMPORAL_NAMESPACE", namespace)
    monkeypatch.setenv("FANOUT_TASK_QUEUE", task_queue)
    monkeypatch.setattr("fanout.session.start_dev_server", shared)
    monkeypatch.setattr("fanout.session.DEFAULT_TASK_QUEUE", task_queue)
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
        rows = [f"{n if n != 17 else 'x17'},{'data:,hello' if n != 31 else 'nowhere'}" for n in range(1000)]
        (page.folder / "urls.csv").write_text("\n".join(["id,url", *rows, ""]))


@pytest.mark.parametrize("page", PAGES, indirect=True, ids=lambda page: str(page.relative_to(HERE)))
async def test_what_a_page_says_is_so(page: Page) -> None:
    _prepare(page)
    for block in blocks(page.path):
        await asyncio.wait_for(page.run(block), timedelta(seconds=60).total_seconds())


# ---- messages


def _templates() -> list[re.Pattern[str]]:
    """Return expressions for all texts in the sources, with anything in place of what is filled in."""
    found: set[str] = set()
    for file in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                parts = [node.value]
            else:
                continue
            literal = sum(len(part) for part in parts if isinstance(part, str))
            if literal >= 12:
                found.add("".join(".*" if part is None else re.escape(str(part)) for part in parts))
    return [re.compile(expression, re.S) for expression in found]


def test_the_messages_that_the_docs_explain_are_those_of_the_code() -> None:
    messages = re.findall(r"^### `(.+)`$", (HERE / "docs/errors.md").read_text(), re.M)
    templates = _templates()
    unknown = [text for text in messages if not any(template.search(text) for template in templates)]
    assert len(messages) > 15
    assert not unknown
