"""Bad input gets an answer: each test looks at what a person reads, and at the other items' results being whole."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

import fanout
from fanout.models import Status
from tests.integration.engine import Engine, published, write_lines


class Item(BaseModel):
    id: int
    name: str = ""


class Wide(BaseModel):
    a: int
    b: int
    c: int
    d: int
    e: int


class Fussy(BaseModel):
    id: int

    @field_validator("id")
    @classmethod
    def look(cls, value: int) -> int:
        return {1: 1, 2: 2}[value]


@fanout.processor
async def name_of(item: Item) -> str:
    return item.name or str(item.id)


@fanout.processor
async def length(item: Any) -> int:
    return len(item)


@fanout.processor
async def resize(item: int, *, px: int, mode: str = "fit") -> str:
    return f"{item} {px} {mode}"


async def failing_run(run: fanout.Run) -> str:
    """Return the message with which a run fails."""
    with pytest.raises(fanout.RunFailed) as caught:
        await asyncio.wait_for(run.result(), 15)
    assert caught.value.status == Status.FAILED
    return str(caught.value)


# ------------------------------------------------------------------------------------ before the run begins


async def test_a_missing_file_is_named_before_the_run_starts(engine: Engine) -> None:
    client = await engine.client(name_of)
    with pytest.raises(fanout.SourceError, match=r"^no such file: .*/nowhere\.jsonl$"):
        await engine.start(client, name_of, fanout.JsonLines(engine.folder / "nowhere.jsonl"))


async def test_a_glob_that_matches_nothing_is_named_before_the_run_starts(engine: Engine) -> None:
    client = await engine.client(name_of)
    with pytest.raises(fanout.SourceError, match=r"^no file matches .*/none-\*\.jsonl$"):
        await engine.start(client, name_of, fanout.JsonLines(engine.folder / "none-*.jsonl"))


async def test_a_folder_in_place_of_a_file_is_answered_with_how_to_name_its_files(engine: Engine) -> None:
    client = await engine.client(name_of)
    with pytest.raises(fanout.SourceError, match=r"is a folder; name its files, such as .*/\*\.jsonl"):
        await engine.start(client, name_of, fanout.JsonLines(engine.folder))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_concurency": 5}, r"^unknown option 'max_concurency'; did you mean 'max_concurrency'\?$"),
        ({"colour": "red"}, r"^unknown option 'colour'; there are batch_concurrency, batch_seconds, "),
        ({"max_concurrency": 0}, r"^option max_concurrency: .*greater than or equal to 1, got 0$"),
        ({"batch_size": "many"}, r"^option batch_size: .*valid integer.*, got 'many'$"),
        ({"timeout": -1}, r"^option timeout: .*greater than 0, got -1$"),
        ({"heartbeat_timeout": 0.1}, r"^option heartbeat_timeout: .*greater than or equal to 1, got 0\.1$"),
        ({"non_retryable": 5}, r"^option non_retryable: .*tuple, got 5$"),
    ],
)
async def test_a_wrong_option_is_refused_with_what_is_allowed(
    engine: Engine, settings: dict[str, Any], message: str
) -> None:
    client = await engine.client(name_of)
    with pytest.raises(fanout.UsageError, match=message):
        await engine.start(client, name_of, fanout.Range(3), **settings)


async def test_a_wrong_option_in_the_environment_is_refused(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FANOUT_MAX_CONCURRENCY", "lots")
    client = await engine.client(name_of)
    with pytest.raises(fanout.UsageError, match=r"max_concurrency: .*integer.*, got 'lots'"):
        await engine.start(client, name_of, fanout.Range(3))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"px": 5, "colour": 1}, r"^processor 'resize' has no parameter 'colour'; it takes px, mode$"),
        ({}, r"^parameter 'px' of processor 'resize': field required$"),
        ({"px": "wide"}, r"^parameter 'px' of processor 'resize': .*valid integer"),
    ],
)
async def test_a_wrong_parameter_is_refused_before_the_run_starts_and_by_the_run_itself(
    engine: Engine, params: dict[str, Any], message: str
) -> None:
    async with engine.worker(resize) as client:
        with pytest.raises(fanout.UsageError, match=message):
            await engine.start(client, resize, fanout.Range(3), params=params)
        # By name the starter knows nothing of the function.
        run = await engine.start(client, "resize", fanout.Range(3), params=params)
        said = await failing_run(run)
    with pytest.raises(fanout.UsageError, match=message):
        raise fanout.UsageError(said.partition(" failed: ")[2])


@pytest.mark.parametrize("run_id", ["a/b", "../up", "x" * 201, "-dash", "tab\t", "ü"])
async def test_an_id_that_cannot_name_a_folder_is_refused(engine: Engine, run_id: str) -> None:
    client = await engine.client(name_of)
    with pytest.raises(fanout.UsageError, match="cannot be a run id"):
        await engine.start(client, name_of, fanout.Range(3), id=run_id)


async def test_a_path_alone_is_answered_with_how_to_say_it(engine: Engine) -> None:
    client = await engine.client(name_of)
    with pytest.raises(fanout.UsageError, match=r"say how 'urls.csv' is read: fanout.Csv"):
        await engine.start(client, name_of, "urls.csv")


async def test_an_item_that_json_cannot_express_is_named_before_the_run_starts(engine: Engine) -> None:
    client = await engine.client(name_of)
    with pytest.raises(fanout.UsageError, match=r"^item 2 cannot be written as JSON: it is a object"):
        await engine.start(client, name_of, [1, 2, object()])


# ------------------------------------------------------------------------------------ an id that exists


async def test_an_id_that_exists_is_refused_joined_or_started_anew_as_one_says(engine: Engine) -> None:
    async with engine.worker(name_of) as client:
        first = await engine.run(client, name_of, [{"id": 1}], id=f"{engine.queue}-same")
        with pytest.raises(fanout.RunExists, match="exists; watch it with .*if_exists='attach'"):
            await engine.start(client, name_of, [{"id": 2}], id=f"{engine.queue}-same")
        joined = await engine.run(client, name_of, [{"id": 2}], id=f"{engine.queue}-same", if_exists="attach")
        assert joined.result == first.result
        assert joined.results == {0: "1"}
        anew = await engine.run(client, name_of, [{"id": 2}], id=f"{engine.queue}-same", if_exists="new")
        assert anew.results == {0: "2"}
        assert anew.result.output != first.result.output
        # The handle of the first run stays one of the first run.
        assert await first.run.result() == first.result
        assert [row.output async for row in first.run.results()] == ["1"]


async def test_a_new_run_in_place_of_one_that_still_runs_is_refused(engine: Engine) -> None:
    client = await engine.client(name_of)
    run = await engine.start(client, name_of, [{"id": 1}], id=f"{engine.queue}-same")
    with pytest.raises(fanout.RunExists, match="is still running; cancel it first, or use another id"):
        await engine.start(client, name_of, [{"id": 1}], id=run.id, if_exists="new")
    await run.terminate()
    assert (await engine.start(client, name_of, [{"id": 1}], id=run.id, if_exists="new")).id == run.id


async def test_a_start_that_is_refused_leaves_no_staged_items(engine: Engine) -> None:
    client = await engine.client(name_of)
    many = [{"id": number, "text": "x" * 1000} for number in range(100)]
    run = await engine.start(client, name_of, many, id=f"{engine.queue}-same")
    staged = set(engine.store.rglob("*.jsonl"))
    assert len(staged) == 1
    with pytest.raises(fanout.RunExists):
        await engine.start(client, name_of, many, id=run.id)
    assert set(engine.store.rglob("*.jsonl")) == staged
    await run.terminate()


async def test_a_run_nobody_knows_is_not_found(engine: Engine) -> None:
    client = await engine.client(name_of)
    run = fanout.get_run(client, "never-was")
    for ask in (run.info, run.progress, run.result, run.cancel, run.terminate, run.pollers):
        with pytest.raises(fanout.RunNotFound, match="no run 'never-was'"):
            await ask()


async def test_a_queue_that_nobody_polls_is_named_by_the_progress(engine: Engine) -> None:
    client = await engine.client(name_of)
    run = await engine.start(client, name_of, [{"id": 1}])
    with pytest.raises(
        fanout.NoWorker, match=f"^no worker polls '{engine.queue}': start one with `fanout worker"
    ):
        await run.progress()
    assert await run.pollers() == 0
    assert (await run.info()).status is Status.RUNNING
    # Nothing is lost meanwhile.
    async with engine.worker(name_of):
        assert (await run.result()).succeeded == 1


# ------------------------------------------------------------------------------------ runs that fail at once


async def test_a_processor_that_no_worker_has_fails_the_run_with_those_there_are(engine: Engine) -> None:
    async with engine.worker(name_of, length) as client:
        run = await engine.start(client, "nobody", fanout.Range(3))
        said = await failing_run(run)
    assert said == (
        f"run '{run.id}' failed: worker {client.identity}: no processor 'nobody' is registered here; "
        "there are: length, name_of"
    )
    info = await run.info()
    assert info.status is Status.FAILED
    assert (await run.progress()).status is Status.FAILED


async def test_an_output_outside_the_workers_roots_fails_the_run_with_how_to_allow_it(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    async with engine.worker(name_of) as client:
        said = await failing_run(await engine.start(client, name_of, [{"id": 1}], output=elsewhere))
    assert f"{elsewhere}" in said
    assert "is outside the allowed roots" in said
    assert "--allow-root" in said
    assert not list(elsewhere.rglob("_RUN"))


async def test_a_source_outside_the_workers_roots_fails_the_run_with_how_to_allow_it(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write_lines(tmp_path_factory.mktemp("elsewhere") / "x.jsonl", [{"id": 1}])
    link = engine.folder / "link.jsonl"
    link.symlink_to(path)
    async with engine.worker(name_of) as client:
        for source in (path, link):
            said = await failing_run(await engine.start(client, name_of, fanout.JsonLines(source)))
            assert "is outside the allowed roots" in said
            assert "--allow-root" in said


async def test_a_source_that_vanishes_before_planning_fails_the_run(engine: Engine) -> None:
    path = write_lines(engine.folder / "x.jsonl", [{"id": 1}])
    client = await engine.client(name_of)
    run = await engine.start(client, name_of, fanout.JsonLines(path))
    path.unlink()
    async with engine.worker(name_of):
        assert (await failing_run(run)).endswith(f"no such file: {path}")


async def test_a_source_that_changes_after_planning_fails_the_run_and_keeps_what_was_done(
    engine: Engine,
) -> None:
    path = write_lines(engine.folder / "x.jsonl", ({"id": n} for n in range(40)))

    @fanout.processor(name="touches")
    async def touches(item: Item) -> int:
        if item.id == 10:
            path.write_bytes(path.read_bytes().replace(b"39", b"40"))
        return item.id

    async with engine.worker(touches) as client:
        run = await engine.start(
            client, touches, fanout.JsonLines(path), batch_size=5, max_concurrency=1, partition_size=10
        )
        said = await failing_run(run)
        assert said.endswith("changed since the run was planned; start a new run over the file as it is now")
        assert [row.index async for row in run.results(ordered=True)] == list(range(15))


# ------------------------------------------------------------------------------------ empty sources


@pytest.mark.parametrize("content", [b"", b"\n \n\r\n", b"\xef\xbb\xbf"])
async def test_a_file_without_items_succeeds_with_none(engine: Engine, content: bytes) -> None:
    path = engine.folder / "empty.jsonl"
    path.write_bytes(content)
    async with engine.worker(name_of) as client:
        ended = await engine.run(client, name_of, fanout.JsonLines(path))
        assert (await ended.run.info()).status is Status.SUCCEEDED
        assert await ended.run.item(0) is None
    assert (ended.result.status, ended.result.items) == (Status.SUCCEEDED, 0)
    assert json.loads((ended.folder / "manifest.json").read_bytes())["result"]["items"] == 0


async def test_no_items_at_all_succeed_from_every_source(engine: Engine) -> None:
    path = engine.folder / "empty.csv"
    path.write_text("id,name\n")
    async with engine.worker(name_of) as client:
        readers: list[Any] = [
            fanout.Range(0),
            [],
            fanout.Csv(path),
            fanout.Range(5).skip(9),
            fanout.Items([1]).skip(1),
        ]
        for reader in readers:
            ended = await engine.run(client, name_of, reader)
            assert (ended.result.status, ended.result.items, ended.result.not_run) == (Status.SUCCEEDED, 0, 0)


# ------------------------------------------------------------------------------------ items that cannot be read


async def test_an_invalid_value_in_line_17_is_one_failure_with_its_line(engine: Engine) -> None:
    items: list[dict[str, Any]] = [{"id": n, "name": f"n{n}"} for n in range(30)]
    items[16]["id"] = "seventeen"
    path = write_lines(engine.folder / "x.jsonl", items)
    async with engine.worker(name_of) as client:
        ended = await engine.run(client, name_of, fanout.JsonLines(path, key="name"))
    assert ended.result.status is Status.COMPLETED_WITH_FAILURES
    assert ended.results == {n: f"n{n}" for n in range(30) if n != 16}
    failure = ended.failures.pop(16)
    assert not ended.failures
    assert (failure.source, failure.key, failure.input) == ("x.jsonl:17", "n16", items[16])
    assert (failure.error_type, failure.attempts) == ("InvalidItem", 0)
    assert failure.message == (
        "id: Input should be a valid integer, unable to parse string as an integer (got 'seventeen')"
    )
    assert ended.result.error_types == {"InvalidItem": 1}


async def test_unusual_but_readable_lines_are_all_items(engine: Engine) -> None:
    path = engine.folder / "x.jsonl"
    path.write_bytes(
        b"\xef\xbb\xbf"  # a byte order mark
        b'{"id": 0}\r\n'  # CRLF
        b"\n   \n\t\r\n"  # blank lines
        b'  {"id": 1, "name": "\xc3\xa9"}  \n' + b'{"id": 2, "name": "' + b"x" * 5_000_000 + b'"}\n'
        b'{"id": 3, "name": "no final newline"}'
    )
    async with engine.worker(name_of, length) as client:
        ended = await engine.run(client, name_of, fanout.JsonLines(path), max_item_bytes=6_000_000)
    assert not ended.failures
    assert {n: (len(v) if n == 2 else v) for n, v in ended.results.items()} == {
        0: "0",
        1: "é",
        2: 5_000_000,
        3: "no final newline",
    }


async def test_lines_that_cannot_be_read_are_one_failure_each(engine: Engine) -> None:
    path = engine.folder / "x.jsonl"
    path.write_bytes(
        b'{"id": 0}\n'
        b'{"id": 1, "name": }\n'  # no JSON
        b"\n"
        b'{"id": 2, "name": "\xff\xfe"}\n'  # no UTF-8
        b'{"id": 3}\n'
        b'{"id": 4, "name": "' + b"x" * 5_000_000 + b'"}\n'  # above max_item_bytes
        b'{"id": 5}\n'
        b'{"id": 6'  # torn, without a final newline
    )
    async with engine.worker(name_of) as client:
        ended = await engine.run(client, name_of, fanout.JsonLines(path))
    assert ended.results == {0: "0", 3: "3", 5: "5"}
    assert {n: (f.source, f.error_type, f.attempts) for n, f in ended.failures.items()} == {
        1: ("x.jsonl:2", "InvalidItem", 0),
        2: ("x.jsonl:4", "InvalidUtf8", 0),
        4: ("x.jsonl:6", "ItemTooLarge", 0),
        6: ("x.jsonl:8", "InvalidItem", 0),
    }
    messages = {n: f.message for n, f in ended.failures.items()}
    assert messages[1].startswith("not valid JSON: expected value at line 1 column")
    assert messages[2] == "not valid UTF-8 at byte 19 of the line"
    assert re.search(r"5,000,02\d bytes, .*4,194,304", messages[4])
    assert messages[6].startswith("not valid JSON: EOF while parsing")
    assert len((ended.folder / "failures").joinpath("part-000000-00000.jsonl").read_bytes()) < 50_000


async def test_a_csv_row_that_does_not_fit_is_one_failure_with_its_line(engine: Engine) -> None:
    path = engine.folder / "x.csv"
    path.write_text('id,name\n1,"two\nlines"\nx,bad\n3,good\n')
    async with engine.worker(name_of) as client:
        ended = await engine.run(client, name_of, fanout.Csv(path, key="id"))
    assert ended.results == {0: "two\nlines", 2: "good"}
    assert (ended.failures[1].source, ended.failures[1].key) == ("x.csv:4", "x")
    assert ended.failures[1].message.startswith("id: Input should be a valid integer")


async def test_of_many_problems_of_an_item_the_first_ones_are_told(engine: Engine) -> None:
    @fanout.processor(name="wide")
    async def wide(item: Wide) -> int:
        return item.a

    async with engine.worker(wide) as client:
        ended = await engine.run(client, wide, [{}])
    assert ended.failures[0].message == "a: Field required; b: Field required; c: Field required; and 2 more"


async def test_a_validator_that_breaks_fails_its_item_alone(engine: Engine) -> None:
    @fanout.processor(name="fussy")
    async def fussy(item: Fussy) -> int:
        return item.id

    @fanout.processor(name="fussy-thread")
    def fussy_thread(item: Fussy) -> int:
        return item.id

    async with engine.worker(fussy, fussy_thread) as client:
        for processor in (fussy, fussy_thread):
            run = await engine.start(client, processor, [{"id": 1}, {"id": 7}, {"id": 2}])
            result = await asyncio.wait_for(run.result(), 15)
            assert (result.succeeded, result.error_types) == (2, {"InvalidItem": 1})
            assert [f.message async for f in run.failures()] == ["KeyError: 7"]


# ------------------------------------------------------------------------------------ processors that misbehave


class Broken(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Base(BaseException):
    pass


def circular() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


def raises(error: BaseException) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


MISBEHAVIOURS: list[tuple[Callable[[], Any], str, str]] = [
    (raises(ValueError("bad luck")), "ValueError", "bad luck"),
    (raises(ValueError()), "ValueError", "ValueError"),
    (
        raises(ExceptionGroup("two", [ValueError("a"), KeyError("b")])),
        "ExceptionGroup",
        "two (2 sub-exceptions)",
    ),
    (raises(SystemExit(3)), "SystemExit", "the processor called sys.exit(3)"),
    (raises(StopIteration()), "RuntimeError", "coroutine raised StopIteration"),
    (raises(ValueError("\udcff")), "ValueError", r"\udcff"),
    (raises(Broken()), "Broken", "Broken"),
    (raises(Base("not an Exception")), "Base", "not an Exception"),
    (raises(asyncio.CancelledError("mine")), "CancelledError", "mine"),
    (raises(fanout.StoreError("mine")), "StoreError", "mine"),
    (object, "Unserializable", "the processor returned object, which JSON cannot express: "),
    (lambda: b"\xff", "Unserializable", "the processor returned bytes, which JSON cannot express: "),
    (lambda: "\ud800", "Unserializable", "the processor returned str, which JSON cannot express: "),
    (circular, "Unserializable", "the processor returned list, which JSON cannot express: "),
]


async def test_what_an_async_processor_does_wrong_is_its_items_failure_alone(engine: Engine) -> None:
    @fanout.processor(name="misbehaves", retries=0)
    async def misbehaves(number: int) -> Any:
        await asyncio.sleep(0)
        return MISBEHAVIOURS[number // 2][0]() if number % 2 else number

    async with engine.worker(misbehaves) as client:
        run = await engine.start(client, misbehaves, fanout.Range(2 * len(MISBEHAVIOURS)))
        await check_misbehaviours(run)


async def test_what_a_threaded_processor_does_wrong_is_its_items_failure_alone(engine: Engine) -> None:
    @fanout.processor(name="misbehaves", retries=0)
    def misbehaves(number: int) -> Any:
        return MISBEHAVIOURS[number // 2][0]() if number % 2 else number

    async with engine.worker(misbehaves) as client:
        run = await engine.start(client, misbehaves, fanout.Range(2 * len(MISBEHAVIOURS)))
        await check_misbehaviours(run)


async def check_misbehaviours(run: fanout.Run) -> None:
    result = await asyncio.wait_for(run.result(), 15)
    outputs = {row.index: row.output async for row in run.results()}
    assert outputs == {n: n for n in range(0, result.items, 2)}
    failures = {f.index: f async for f in run.failures()}
    assert sorted(failures) == list(range(1, result.items, 2))
    for index, failure in failures.items():
        _, kind, message = MISBEHAVIOURS[index // 2]
        if kind == "RuntimeError" and failure.error_type == "StopIteration":
            continue  # only a coroutine turns it into another error
        assert failure.error_type == kind, failure
        assert failure.message.startswith(message), failure
        assert failure.attempts == 1
        assert failure.source == f"item {index}"


async def test_a_traceback_shows_the_processors_own_lines_and_none_of_ours(engine: Engine) -> None:
    async def deeper() -> None:
        raise LookupError("down here")

    @fanout.processor(name="traced", retries=0)
    async def traced(number: int) -> None:
        await deeper()

    async with engine.worker(traced) as client:
        ended = await engine.run(client, traced, fanout.Range(1))
    trace = ended.failures[0].traceback
    assert "in deeper" in trace
    assert "in traced" in trace
    assert "async_window" not in trace
    assert ended.failures[0].worker
    assert ended.failures[0].version == "1"


async def test_an_item_that_times_out_for_good_fails_and_the_run_ends(engine: Engine) -> None:
    """Also where it takes longer than a batch may last: its attempts are counted on."""

    @fanout.processor(name="hangs", timeout=0.3, retries=2)
    async def hangs(number: int) -> int:
        if number == 3:
            await asyncio.Event().wait()
        return number

    async with engine.worker(hangs) as client:
        run = await engine.start(client, hangs, fanout.Range(8), batch_seconds=0.1)
        result = await asyncio.wait_for(run.result(), 15)
        failure = [f async for f in run.failures()][0]
    assert (result.succeeded, result.failed) == (7, 1)
    assert (failure.error_type, failure.attempts) == ("TimeoutError", 3)
    assert failure.message == "the item took longer than its timeout of 0.3 s"


async def test_an_item_whose_backoffs_outlast_its_batch_fails_in_the_end(engine: Engine) -> None:
    @fanout.processor(name="always", retries=3)
    async def always(number: int) -> int:
        raise ValueError("always")

    async with engine.worker(always) as client:
        run = await engine.start(
            client, always, fanout.Range(3), batch_seconds=0.1, retry_initial=0.3, retry_coefficient=1
        )
        result = await asyncio.wait_for(run.result(), 15)
        assert [f.attempts async for f in run.failures()] == [4, 4, 4]
    assert result.failed == 3


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_list_processor_that_returns_another_number_of_outputs_fails_that_list_alone(
    engine: Engine, kind: str
) -> None:
    def outputs(numbers: list[int]) -> Any:
        if 0 in numbers:
            return numbers[1:]
        if 5 in numbers:
            return None
        if 10 in numbers:
            return dict.fromkeys(numbers, 1)
        return numbers

    @fanout.processor(name="async", list_size=5)
    async def asynchronous(numbers: list[int]) -> list[int]:
        found: list[int] = outputs(numbers)
        return found

    @fanout.processor(name="thread", list_size=5)
    def threaded(numbers: list[int]) -> list[int]:
        found: list[int] = outputs(numbers)
        return found

    async with engine.worker(asynchronous, threaded) as client:
        ended = await engine.run(client, kind, fanout.Range(20), max_concurrency=5)
    assert ended.results == {n: n for n in range(15, 20)}
    assert ended.failed(0) == ("WrongOutputs", "the processor got 5 items and returned 4 outputs", 1)
    assert ended.failed(5) == (
        "WrongOutputs",
        "the processor got a list of 5 items and returned NoneType",
        1,
    )
    assert ended.failed(10) == ("WrongOutputs", "the processor got a list of 5 items and returned dict", 1)
    assert published(ended.folder) == {n: "results" if n >= 15 else "failures" for n in range(20)}
