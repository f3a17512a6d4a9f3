"""The registry: workers make readers by kind, never by import path."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from fanout.errors import UnknownReader, UsageError
from fanout.pages import Source
from fanout.readers import Range, from_source, kinds, register, registry


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    # Other tests of this process may have registered some of theirs.
    ours = {kind: made for kind, made in registry._kinds.items() if made.__module__.startswith("fanout.")}
    monkeypatch.setattr(registry, "_kinds", ours)


def test_the_kinds_of_fanout_are_known() -> None:
    assert kinds() == ["csv", "items", "jsonl", "range", "staged"]


def test_an_unknown_kind_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UnknownReader, match=r"no reader of the kind 'os\.system' here; there are csv, items"):
        from_source(Source("os.system"))


def test_a_reader_of_ones_own_is_made_by_its_kind() -> None:
    @register
    class Evens(Range):
        kind: ClassVar[str] = "evens"

    reader = from_source(Source("evens", {"start": 0, "stop": 9, "step": 2}, key="k", skip=1, limit=2))
    assert type(reader) is Evens
    source = reader.to_source()
    assert (source.kind, source.args) == ("evens", {"start": 0, "stop": 9, "step": 2})
    assert (source.key, source.skip, source.limit) == ("k", 1, 2)


def test_a_kind_that_is_taken_is_refused() -> None:
    class Mine(Range):
        kind: ClassVar[str] = "csv"

    with pytest.raises(UsageError, match="a reader of the kind 'csv' exists"):
        register(Mine)


def test_a_module_that_is_imported_twice_may_register_twice() -> None:
    def define() -> Any:
        class Twice(Range):
            kind: ClassVar[str] = "twice"

        return register(Twice)

    define()
    again = define()
    assert type(from_source(Source("twice", {"start": 0, "stop": 1, "step": 1}))) is again


def test_a_reader_without_a_kind_is_refused() -> None:
    class Nameless(Range):
        kind: ClassVar[str] = ""

    with pytest.raises(UsageError, match="needs a name for workers"):
        register(Nameless)


def test_skip_and_limit_make_a_changed_copy_and_check_their_counts() -> None:
    reader = Range(9)
    assert (reader.skip(2).limit(3).to_source().skip, reader.to_source().skip) == (2, 0)
    with pytest.raises(UsageError, match="limit must be at least 1"):
        reader.limit(0)
    with pytest.raises(UsageError, match="skip must be at least 0"):
        reader.skip(-1)
