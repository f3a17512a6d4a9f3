from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fanout import processors, reducing
from fanout.cli import targets
from fanout.errors import UsageError
from fanout.processors import Processor


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of its own, with modules that no other test has imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(processors, "_registry", {})
    monkeypatch.setattr(reducing, "_registry", dict(reducing.registered()))
    before = set(sys.modules)
    (tmp_path / "photos.py").write_text(
        "import fanout\n"
        "@fanout.processor(name='fetch-it')\n"
        "async def fetch(item: int) -> int: return item\n"
        "def plain(item: int) -> int: return item\n"
        "class Jobs:\n"
        "    inner = fetch\n"
        "@fanout.reducer(name='words')\n"
        "class Words(fanout.reducers.Counts): pass\n"
    )
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "deep.py").write_text("from photos import fetch\n")
    (tmp_path / "broken.py").write_text("x = 1\nraise RuntimeError('no database')\n")
    (tmp_path / "needs.py").write_text("import surely_not_installed\n")
    (tmp_path / "typo.py").write_text("def f(:\n")
    (tmp_path / "empty.py").write_text("")
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    "target",
    [
        "photos:fetch",
        "photos.py:fetch",
        "photos:fetch-it",
        "photos:Jobs.inner",
        "jobs.deep:fetch",
        "jobs/deep.py:fetch",
    ],
)
def test_a_processor_is_found_by_module_and_name(target: str) -> None:
    found = targets.load_processor(target)
    assert isinstance(found, Processor)
    assert found.name == "fetch-it"


@pytest.mark.parametrize(
    ("target", "name"), [("photos:Words", "words"), ("photos.py:words", "words"), ("elsewhere", "elsewhere")]
)
def test_a_reducer_is_found_by_module_and_name(target: str, name: str) -> None:
    assert targets.load_reducer(target) == name


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("photos:Jobs", "photos:Jobs is no reducer: decorate it with @fanout.reducer"),
        ("photos:Wrods", "module 'photos' has no reducer 'Wrods'; did you mean 'words'"),
        ("photos:nothing", "module 'photos' has no reducer 'nothing'; it has: words"),
        ("empty:words", "has no reducer 'words', nor any other: decorate a class with @fanout.reducer"),
        ("gone:words", "there is no module 'gone'"),
    ],
)
def test_a_reducer_that_is_not_there_is_told(target: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        targets.load_reducer(target)


def test_a_name_alone_is_left_to_the_workers() -> None:
    assert targets.load_processor("thumbnail") == "thumbnail"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("photo:fetch", "did you mean 'photos'"),
        ("nowhere.at.all:fetch", "no module 'nowhere.at.all'"),
        ("photos:fetc", "did you mean 'fetch'"),
        ("photos:zzz", "it has: fetch"),
        ("photos:plain", "decorate it with @fanout.processor"),
        ("empty:fetch", "nor any other"),
        ("photos.py", "photos:NAME"),
        ("photos", "photos:NAME"),
        ("my photos:fetch", "not the name of a module"),
        ("broken:fetch", r"RuntimeError at broken.py:2: no database"),
        ("needs:fetch", "No module named 'surely_not_installed'"),
        ("typo:fetch", "SyntaxError at typo.py:1"),
    ],
)
def test_what_cannot_be_found_is_told_with_what_to_do(target: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        targets.load_processor(target)


def test_a_worker_gets_all_processors_of_its_modules() -> None:
    assert [found.name for found in targets.load_processors(["photos", "empty"])] == ["fetch-it"]


def test_a_module_without_processors_is_refused() -> None:
    with pytest.raises(UsageError, match="no processor in empty"):
        targets.load_processors(["empty"])
