"""What cannot run is refused, by `start` or by the run at once: each test looks at what a person reads."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import fanout
from fanout.models import Status
from tests.integration.engine import Engine, write_lines
from tests.integration.plain_processors import Item, length, name_of


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


@pytest.mark.parametrize("run_id", ["a/b", "../up", "x" * 201, "-dash", "tab\t", "ü", 5])
async def test_an_id_that_cannot_name_a_folder_is_refused(engine: Engine, run_id: Any) -> None:
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
        with pytest.raises(fanout.UsageError, match="if_exists is 'fail', 'attach' or 'new', not 'replace'"):
            await engine.start(client, name_of, [{"id": 2}], id=f"{engine.queue}-other", if_exists="replace")
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
    seen = await run.progress()
    assert (seen.stale, seen.note) == (True, f'no worker polls "{engine.queue}"')
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
    assert f"`--allow-root {elsewhere.resolve()}`" in said
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
