"""Taking up again what of a run failed, or was not run: a further run under the same id, read as one with it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from pydantic_core import to_json

from fanout import messages
from fanout.compensators import check_ordinary
from fanout.errors import RunExists, RunNotFound, UsageError
from fanout.failurekinds import parse_group
from fanout.options import check
from fanout.processors import Processor, as_processor
from fanout.readers.selecting import Again, failed_items
from fanout.runs.handle import Handle
from fanout.runs.starting import begin, default_task_queue
from fanout.selection import Selection
from fanout.storage import chains
from fanout.storage.chains import Link
from fanout.storage.layout import RUN, staged_path
from fanout.storage.stores import open_store

KEYS = "keys.json"


def select(
    failed: bool | None, not_run: bool | None, error_type: str | None, group: str | None, *, keys: bool
) -> Selection:
    """Return what is to be taken up again.

    Both what failed and what was not run, where neither is said and nothing narrows the failures; where one is said to
    be meant, the other one is not.

    Raises:
        UsageError: That is nothing, or contradicts itself.
    """
    narrowed = error_type is not None or group is not None or keys
    if failed is None and not_run is None:
        failed, not_run = True, not narrowed
    elif failed is None:
        failed = narrowed or not not_run
    elif not_run is None:
        not_run = not failed
    if not (failed or not_run):
        raise UsageError("a rerun is of what failed, of what was not run, or of both: say at least one")
    if narrowed and not failed:
        raise UsageError(
            "error type, group and keys choose among what failed: they do not go with not_run alone"
        )
    return Selection(
        failed=failed,
        not_run=bool(not_run),
        error_type=error_type,
        group=None if group is None else parse_group(group),
    )


async def start_rerun(
    handle: Handle,
    selection: Selection,
    keys: Iterable[str] | None,
    *,
    processor: Processor[..., Any] | Callable[..., Any] | str | None,
    task_queue: str | None,
    settings: dict[str, Any],
) -> str:
    """Start a rerun of the newest execution of a run.

    Args:
        handle: Of the run.
        selection: What is taken up again.
        keys: Of failed items, where the selection is to go by them.
        processor: Instead of the run's own.
        task_queue: Instead of the run's own.
        settings: Options instead of the run's own.

    Returns:
        The first execution id of the rerun.

    Raises:
        UsageError: The run has not ended, or there is nothing to take up again; or an option does not fit.
        RunNotFound: Neither the server nor the store knows the run.
        StoreError: An output of the run cannot be read.
        NoServer: The server does not answer.
    """
    checked = check(settings)
    output, queue, links = await look_at_newest(handle, "a rerun")
    record = links[-1].record
    wanted = record.processor if processor is None else processor
    wanted = wanted if isinstance(wanted, str) else as_processor(wanted)
    if not isinstance(wanted, str) and record.undone is None:
        check_ordinary(wanted)
    given = None if keys is None else frozenset(map(str, keys))
    source = chains.source_of(links)
    await _check_anything(handle.id, Again(selection, source, given, links))
    store_url, nonce = output.rsplit("/", 2)[0], uuid.uuid4().hex
    if given is not None:
        path = f"{staged_path(handle.id, nonce)}/{KEYS}"
        await open_store(store_url).create_own(path, to_json(sorted(given)))
        selection = replace(selection, keys=path)
    own_queue = None if isinstance(wanted, str) else wanted.task_queue
    name = wanted if isinstance(wanted, str) else wanted.name
    order = messages.RunInput(
        nonce=nonce,
        store=store_url,
        processor=name,
        source=source,
        params=record.params if isinstance(wanted, str) else wanted.check_params(record.params),
        settings={**(record.options if record.settings is None else record.settings), **checked},
        environment=record.environment or {},
        previous=output,
        rerun=selection,
        undone=record.undone,
        reduce=record.reduce,
    )
    execution = await begin(
        handle.client,
        order,
        run_id=handle.id,
        task_queue=task_queue or queue or own_queue or default_task_queue(),
        anew=True,
        summary=f"{name} again, over {selection.words}",
    )
    if execution is None:
        raise RunExists(f"run {handle.id!r} is running by now: somebody else has started it again")
    return execution


async def look_at_newest(handle: Handle, what: str) -> tuple[str, str | None, list[Link]]:
    """Return the output of the newest execution of a run, its task queue where that is known, and the chain to there.

    Args:
        handle: Of the run.
        what: What goes on from there, for the error.

    Raises:
        UsageError: It has not ended, or ended before it had an output; or the handle is of another run of that id.
        RunNotFound: Neither the server nor the store knows the run.
    """
    newest = Handle(handle.client, handle.id)
    output, queue = await ended(newest, what)
    links = await chains.look(open_store(output))
    if handle.execution not in {None, newest.execution, *(link.record.execution for link in links)}:
        raise UsageError(
            f"run {handle.id!r} was started anew since: take the handle of the new one by "
            f"fanout.get_run(client, {handle.id!r})"
        )
    return output, queue, links


async def ended(newest: Handle, what: str) -> tuple[str, str | None]:
    """Return the last output of a run that has ended, and its task queue where that is known.

    Args:
        newest: Its newest execution.
        what: What goes on from there, for the error.

    Raises:
        UsageError: It has not ended, or ended before it had an output.
    """
    try:
        info = await newest.info()
    except RunNotFound:
        # The server may have forgotten it: its output has not.
        return await newest.output(), None
    if info.status.live:
        raise UsageError(
            f"run {newest.id!r} is still running: {what} begins once it has ended; "
            f"to end it before its time: fanout drain {newest.id}"
        )
    store = await newest.readable()
    if not await store.exists(RUN):
        raise UsageError(
            f"run {newest.id!r} ended as {info.status} before anything of it was planned, or its output cannot be "
            "seen from here: start it anew"
        )
    return store.url, info.task_queue


async def _check_anything(run_id: str, again: Again) -> None:
    """Check that there is something to take up again, as far as this can be known before the source is planned.

    Raises:
        UsageError: There is nothing.
    """
    selection = again.selection
    if selection.not_run and await chains.complete_to(again.links[-1].store) is None:
        return
    if selection.failed:
        async for indexes in failed_items(again):
            if indexes:
                return
    words = [f"nothing failed{_narrowed(again)} in run {run_id!r}"] if selection.failed else []
    words += [f"all items of run {run_id!r} were run"] if selection.not_run else []
    raise UsageError(f"{', and '.join(words)}: there is nothing to run again")


def _narrowed(again: Again) -> str:
    selection = again.selection
    return "".join(
        [
            f" with {selection.error_type}" if selection.error_type is not None else "",
            f" of group {selection.group}" if selection.group is not None else "",
            f" with any of the {len(again.keys):,} keys" if again.keys is not None else "",
        ]
    )
