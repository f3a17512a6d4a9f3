"""Source files: found and read under the allowed roots, on disk, in buckets and on web servers."""

from __future__ import annotations

import fnmatch
import os
import re
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import obstore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.errors import NotAllowed, SourceError, UsageError
from fanout.readers import JsonLines
from fanout.storage import objects, roots
from fanout.storage.files import Files, SourceFile, Unreachable
from fanout.storage.globs import Glob
from fanout.storage.roots import Roots
from tests.unit.readers.helpers import Bench, tiny


def names(found: list[SourceFile], folder: Path) -> list[str]:
    return [str(roots.to_path(file.url).relative_to(folder)) for file in found]


async def listed(bench: Bench, pattern: str, after: str | None = None, limit: int = 100) -> list[str]:
    url = roots.to_url(str(bench.folder / pattern))
    floor = roots.to_url(bench.folder / after) if after else None
    return names(await bench.files.list(url, after=floor, limit=limit), bench.folder)


@pytest.fixture
def tree(bench: Bench) -> Bench:
    for name in [
        "b.jsonl",
        "a.jsonl",
        "a.csv",
        "x/c.jsonl",
        "x/y/d.jsonl",
        "z[1].jsonl",
        ".h.jsonl",
        "q?.jsonl",
    ]:
        bench.write(name, "1\n")
    return bench


async def test_globs_find_files_by_name(tree: Bench) -> None:
    assert await listed(tree, "*.jsonl") == [".h.jsonl", "a.jsonl", "b.jsonl", "q?.jsonl", "z[1].jsonl"]
    assert await listed(tree, "[ab].jsonl") == ["a.jsonl", "b.jsonl"]
    assert await listed(tree, "[!ab]*.jsonl") == [".h.jsonl", "q?.jsonl", "z[1].jsonl"]
    assert await listed(tree, "?.*") == ["a.csv", "a.jsonl", "b.jsonl"]
    assert await listed(tree, "*/*.jsonl") == ["x/c.jsonl"]
    assert await listed(tree, "**/[cd].jsonl") == ["x/c.jsonl", "x/y/d.jsonl"]
    assert await listed(tree, "x/**") == ["x/c.jsonl", "x/y/d.jsonl"]
    assert await listed(tree, "**/a.jsonl") == ["a.jsonl"]


async def test_a_file_whose_name_looks_like_a_glob_is_taken_as_it_is(tree: Bench) -> None:
    assert await listed(tree, "z[1].jsonl") == ["z[1].jsonl"]
    assert await listed(tree, "q?.jsonl") == ["q?.jsonl"]
    assert await listed(tree, "z[1].jsonl", after="z[1].jsonl") == []


async def test_lists_go_on_after_a_file(tree: Bench) -> None:
    assert await listed(tree, "*.jsonl", limit=2) == [".h.jsonl", "a.jsonl"]
    assert await listed(tree, "*.jsonl", after="a.jsonl", limit=2) == ["b.jsonl", "q?.jsonl"]
    assert await listed(tree, "*.jsonl", after="z[1].jsonl") == []
    assert await listed(tree, "a.jsonl", after="a.jsonl") == []


async def test_what_is_not_there_is_named(tree: Bench) -> None:
    for pattern, message in [
        ("no.jsonl", r"no such file: .*no\.jsonl"),
        ("a.csv/b", "no such file"),
        ("x", r"/x is a folder; name its files, such as .*/x/\*\.jsonl"),
        ("*.parquet", "no file matches"),
        ("no/*", "no file matches"),
    ]:
        with pytest.raises(SourceError, match=message):
            await listed(tree, pattern)
    with pytest.raises(UsageError, match="not a valid glob"):
        await listed(tree, "[z-a].jsonl")


async def test_what_is_no_regular_file_is_refused(tree: Bench) -> None:
    os.mkfifo(tree.folder / "pipe")
    with pytest.raises(SourceError, match="not a regular file"):
        await listed(tree, "pipe")


async def test_nothing_outside_the_roots_is_listed_or_read(tree: Bench, tmp_path: Path) -> None:
    files = Files(Roots([str(tree.folder / "x")]))
    outside = tree.write("secret.jsonl", "1\n")
    (tree.folder / "x" / "link.jsonl").symlink_to(outside)
    for path in ("secret.jsonl", "*.jsonl", "x/../secret.jsonl", "x/link.jsonl", "x/*.jsonl"):
        with pytest.raises(NotAllowed):
            await files.list(roots.to_url(str(tree.folder / path)))
    (file,) = await Files(None).list(roots.to_url(outside))
    with pytest.raises(NotAllowed):
        await files.read(file, 0, 1)
    with pytest.raises(NotAllowed):
        await files.read(replace(file, url=roots.to_url(tree.folder / "x" / "link.jsonl")), 0, 1)


async def test_links_to_folders_are_followed_but_not_by_two_stars(tree: Bench) -> None:
    (tree.folder / "x" / "round").symlink_to(tree.folder)
    assert await listed(tree, "**/d.jsonl") == ["x/y/d.jsonl"]
    assert await listed(tree, "x/*/b.jsonl") == ["x/round/b.jsonl"]


async def test_ranges_are_read_and_changes_noticed(bench: Bench) -> None:
    path = bench.write("a", b"0123456789")
    (file,) = await bench.files.list(roots.to_url(path))
    assert await bench.files.read(file, 2, 5) == b"234"
    assert await bench.files.read(file, 3, 3) == b""
    assert await bench.files.read_all([(file, 0, 2), (file, 8, 10)]) == [b"01", b"89"]
    os.utime(path, ns=(1, 1))
    with pytest.raises(SourceError, match="changed since the run was planned; start a new run"):
        await bench.files.read(file, 2, 5)
    path.unlink()
    with pytest.raises(SourceError, match="no such file"):
        await bench.files.read(file, 2, 5)


async def test_a_file_that_may_not_be_read_is_unreachable(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bench.write("a", b"0")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (file,) = await bench.files.list(roots.to_url(path))
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(Unreachable, match="no permission to read"):
        await bench.files.read(file, 0, 1)


PIECES = st.sampled_from(["a", "b", ".", "*", "?", "[ab]", "[!a]", "**", "/", "x", "("])


@given(st.lists(PIECES, min_size=1, max_size=8).map("".join), st.text("ab.x/(", max_size=8))
def test_globs_without_two_stars_agree_with_fnmatch_segment_by_segment(pattern: str, name: str) -> None:
    glob = Glob.parse(f"/{pattern}")
    if glob is None or "**" in pattern or "//" in f"/{pattern}/" or "//" in f"/{name}/":
        return
    rest = f"/{pattern}"[len(glob.folder.rstrip("/")) + 1 :]
    expected = len(rest.split("/")) == len(name.split("/")) and all(
        re.fullmatch(fnmatch.translate(one), part)
        for one, part in zip(rest.split("/"), name.split("/"), strict=True)
    )
    assert glob.matches(name) is bool(expected)


# ------------------------------------------------------------------------------------------------ buckets


@pytest.fixture
def bucket() -> str:
    return f"bucket-{uuid.uuid4()}"


def put(bucket: str, **contents: bytes) -> None:
    for name, data in contents.items():
        obstore.put(objects._bucket("memory", bucket), name.replace("__", "/"), data)


async def test_a_bucket_is_listed_and_read_like_a_folder(bucket: str) -> None:
    put(
        bucket, **{"in__b.jsonl": b"34\n", "in__a.jsonl": b"12\n", "in__x__c.jsonl": b"5\n", "out.jsonl": b""}
    )
    files = Files(Roots([f"memory://{bucket}/in"]))
    found = await files.list(f"memory://{bucket}/in/*.jsonl")
    assert [file.url for file in found] == [f"memory://{bucket}/in/{name}.jsonl" for name in "ab"]
    assert await files.read_all([(file, 1, 3) for file in found]) == [b"2\n", b"4\n"]
    assert await files.read(found[0], 1, 1) == b""
    deep = f"memory://{bucket}/in/**/*.jsonl"
    assert [file.size for file in await files.list(deep, limit=2)] == [3, 3]
    assert [file.size for file in await files.list(deep, after=found[1].url)] == [2]
    (plain,) = await files.list(found[0].url)
    assert plain == found[0]
    assert await files.list(found[0].url, after=found[0].url) == []
    for path, message in [
        ("in/no.jsonl", "no such file: memory://"),
        ("in", r"/in is a folder; name its files, such as .*/in/\*\.jsonl"),
        ("in/*.csv", "no file matches"),
    ]:
        with pytest.raises(SourceError, match=message):
            await files.list(f"memory://{bucket}/{path}")
    with pytest.raises(NotAllowed):
        await files.list(f"memory://{bucket}/out.jsonl")
    with pytest.raises(SourceError, match="is a folder"):
        await Files(None).list(f"memory://{bucket}")


async def test_an_object_that_is_replaced_is_refused(bucket: str) -> None:
    put(bucket, a=b"12")
    files = Files(Roots([f"memory://{bucket}"]))
    (file,) = await files.list(f"memory://{bucket}/a")
    put(bucket, a=b"34")
    for end in (2, 0):
        with pytest.raises(SourceError, match="changed since the run was planned"):
            await files.read(file, 0, end)
    obstore.delete(objects._bucket("memory", bucket), "a")
    with pytest.raises(SourceError, match="no such file"):
        await files.read_all([(file, 0, 1), (file, 1, 2)])


async def test_json_lines_in_a_bucket_are_planned_and_read(bucket: str, bench: Bench) -> None:
    lines = [b"%d" % n for n in range(500)]
    for part in range(10):
        put(bucket, **{f"in__{part}.jsonl": b"\n".join(lines[part * 50 : part * 50 + 50])})
    bench.files = Files(Roots([f"memory://{bucket}"]))
    reader = tiny(JsonLines(f"memory://{bucket}/in/*.jsonl"))
    plan = await bench.plan(await reader.prepare(bench.store, "n"))
    assert await plan.values() == lines
    assert (await plan.read(120, 1)) == [(b"120", "2.jsonl:21")]


# --------------------------------------------------------------------------------------------- web servers


class Web(BaseHTTPRequestHandler):
    """Serves one file, by ranges; its tag can be changed."""

    content = b"1\n22\n333\n"
    tag = "one"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        if self.path != "/data/in%20put.jsonl":
            self.send_error(403 if "secret" in self.path else 404)
            return
        data, status = self.content, 200
        if match := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            data, status = data[int(match[1]) : int(match[2]) + 1], 206
        self.send_response(status)
        if match:
            self.send_header("Content-Range", f"bytes {match[1]}-{match[2]}/{len(self.content)}")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{self.tag}"')
        self.send_header("Last-Modified", "Mon, 01 Jun 2026 00:00:00 GMT")
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/data"
        server.shutdown()
        thread.join()


async def test_a_file_of_a_web_server_is_read_by_ranges(
    web: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.files = Files(Roots([web]))
    reader = await JsonLines(f"{web}/in put.jsonl").prepare(bench.store, "n")
    plan = await bench.plan(tiny(reader))
    assert await plan.read() == [
        (b"1", "in put.jsonl:1"),
        (b"22", "in put.jsonl:2"),
        (b"333", "in put.jsonl:3"),
    ]
    monkeypatch.setattr(Web, "tag", "two")
    with pytest.raises(SourceError, match="changed since"):
        await plan.values()


async def test_a_web_server_that_refuses_is_explained(web: str, bench: Bench) -> None:
    files = Files(Roots([web]))
    with pytest.raises(SourceError, match="no such file: http"):
        await files.list(f"{web}/no.jsonl")
    with pytest.raises(Unreachable, match="no permission to read"):
        await files.list(f"{web}/secret.jsonl")
    with pytest.raises(SourceError, match="with a query"):
        await files.list(f"{web}/a.jsonl?page=1")
    # What workers may reach and the client may not is theirs to judge.
    assert await JsonLines(f"{web}/secret.jsonl").prepare(bench.store, "n") is not None
