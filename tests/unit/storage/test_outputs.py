from __future__ import annotations

import asyncio

import pytest

from fanout.errors import ObjectMissing, UsageError
from fanout.models import RunResult
from fanout.storage import codec, markers
from fanout.storage.layout import MANIFEST
from fanout.storage.outputs import find_output
from fanout.storage.records import Manifest
from fanout.storage.stores import Store, open_store
from tests.unit.storage.outputs import record, run_result


async def claim(store: Store, execution: str) -> Store:
    """Begin an execution of the run."""
    output = open_store(f"{store.url}/urls/{execution}")
    await markers.claim(output, record(nonce=execution, execution=execution))
    return output


async def end(output: Store, written: str, result: RunResult | None = None) -> None:
    """Write the manifest of an execution."""
    run = await markers.load_run(output, None)
    manifest = Manifest(run, result or run_result(1, 1, 0), [], written, "1")
    await output.create(MANIFEST, codec.encode(manifest))


async def test_the_folders_of_a_store_are_those_directly_below_it(store: Store) -> None:
    assert list(await store.folders()) == []
    for path in ("b/c/d", "a/x", "a/y/z", "file", "ab/x"):
        await store.create(path, b"")
    assert list(await store.folders()) == ["a", "ab", "b"]


async def test_a_store_says_when_an_object_was_created(store: Store) -> None:
    with pytest.raises(ObjectMissing):
        await store.modified("a")
    await store.create("a", b"")
    first = await store.modified("a")
    number = 0

    async def later() -> bool:
        nonlocal number
        number += 1
        await store.create(f"b{number}", b"")
        return await store.modified(f"b{number}") > first

    async with asyncio.timeout(10):
        while not await later():
            pass
    assert await store.modified("a") == first


async def test_of_several_executions_the_one_that_ended_last_is_found(store: Store) -> None:
    for execution, day in (("e1", "02"), ("e2", "03"), ("e3", "01")):
        await end(await claim(store, execution), f"2026-01-{day}T00:00:00+00:00")
    await claim(store, "e4")
    found = await find_output(store.url, "urls")
    assert found is not None
    assert found.url == f"{store.url}/urls/e2"
    assert found.manifest is not None
    assert found.manifest.run.execution == "e2"


async def test_a_certain_execution_is_found_whatever_else_is_there(store: Store) -> None:
    await end(await claim(store, "e1"), "2026-01-01T00:00:00+00:00")
    await end(await claim(store, "e2"), "2026-01-02T00:00:00+00:00")
    found = await find_output(store.url, "urls", "e1")
    assert found is not None
    assert found.url == f"{store.url}/urls/e1"
    assert await find_output(store.url, "urls", "e3") is None


async def test_where_none_has_ended_the_one_that_began_last_is_found(store: Store) -> None:
    first = await claim(store, "e9")
    number = 0
    began = await first.modified("_RUN")
    async with asyncio.timeout(10):
        while True:
            number += 1
            last = await claim(store, f"e{number:04}")
            if await last.modified("_RUN") > began:
                break
    found = await find_output(store.url, "urls")
    assert found is not None
    assert found.url == last.url
    assert found.manifest is None


async def test_of_outputs_that_go_on_from_each_other_the_last_one_is_found(store: Store) -> None:
    for number, execution in enumerate(("e3", "e1", "e2")):
        output = open_store(f"{store.url}/urls/{execution}")
        previous = f"{store.url}/urls/{('', 'e3', 'e1')[number]}" if number else None
        await markers.claim(output, record(nonce=execution, execution=execution, previous=previous))
        if number < 2:
            # As a terminated one, the last one has no manifest.
            await end(output, f"2026-01-0{number + 1}T00:00:00+00:00")
    found = await find_output(store.url, "urls")
    assert found is not None
    assert found.url == f"{store.url}/urls/e2"


async def test_staged_items_and_strangers_are_no_output(store: Store) -> None:
    await store.create("urls/_items/n/000000.jsonl", b"1")
    await store.create("urls/notes/readme", b"")
    await store.create("urls/a-file", b"")
    assert await find_output(store.url, "urls") is None
    assert await find_output(store.url, "another") is None
    with pytest.raises(UsageError, match="cannot be a run id"):
        await find_output(store.url, "../urls")
