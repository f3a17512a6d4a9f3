"""Starting the run that undoes what succeeded in another one: once for each of its items, whoever asks how often."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from temporalio.client import Client

from fanout import messages
from fanout.compensation import Compensator, Undone, compensation_id
from fanout.compensators import check_fits, check_types
from fanout.errors import RunExists, RunNotFound, UsageError
from fanout.inputs import CompensateInput
from fanout.options import check, from_environment
from fanout.processors import Processor, as_processor
from fanout.runs.handle import Handle
from fanout.runs.rerun import ended, look_at_newest
from fanout.runs.starting import begin, default_task_queue
from fanout.selection import Selection
from fanout.storage import chains
from fanout.storage.chains import Link
from fanout.storage.compensated import find
from fanout.storage.layout import check_run_id
from fanout.storage.stores import open_store


@dataclass(frozen=True)
class Started:
    """A compensation.

    Attributes:
        run_id: Its id.
        execution: Its first execution id, where it was started just now; None where it was there.
    """

    run_id: str
    execution: str | None


async def start_compensation(
    handle: Handle,
    processor: Processor[..., Any] | Callable[..., Any] | str | None,
    *,
    params: Mapping[str, Any] | None,
    task_queue: str | None,
    settings: dict[str, Any],
) -> Started:
    """Start the compensation of a run that has ended, or find it.

    Args:
        handle: Of the run.
        processor: What undoes an item; None for what the run was started with.
        params: Of that processor; those of the run hold where it takes them, too.
        task_queue: Instead of the run's own.
        settings: Options.

    Raises:
        UsageError: The run has not ended, nothing succeeded, or there is nothing that undoes it; or an argument does
            not fit.
        RunNotFound: Neither the server nor the store knows the run.
        StoreError: An output of the run cannot be read.
        NoServer: The server does not answer.
    """
    checked = check(settings)
    output, queue, links = await look_at_newest(handle, "its compensation")
    if undone := links[-1].record.undone:
        raise UsageError(
            f"run {handle.id!r} is itself the compensation of run {undone.run_id!r}: to take up again what is left of "
            f"it: fanout rerun {handle.id}"
        )
    wanted = processor or _said(links)
    if wanted is None:
        raise UsageError(f"say which processor undoes run {handle.id!r}: it was started without compensate=")
    wanted = wanted if isinstance(wanted, str) else as_processor(wanted)
    given = dict(params or {})
    if not isinstance(wanted, str):
        check_fits(wanted, {link.record.processor for link in links})
        given = wanted.check_params({**wanted.taken(links[-1].record.params), **given})
    own_queue = None if isinstance(wanted, str) else wanted.task_queue
    name = wanted if isinstance(wanted, str) else wanted.name
    return await _start(
        handle.client,
        output,
        links,
        Compensator(name, task_queue or own_queue or queue or default_task_queue()),
        params=given,
        settings=checked,
        environment=from_environment(dict(os.environ)),
    )


async def start_automatically(
    client: Client, order: CompensateInput, task_queue: str, check: Callable[[str], str]
) -> Started | None:
    """Start the compensation of a run that is about to end, or find it; None where nothing is to be undone.

    Args:
        client: The worker's.
        order: Of the run.
        task_queue: The run's own.
        check: Refuses a URL that must not be read, else returns it.
    """
    links = await chains.look(open_store(order.output), check)
    if not (await chains.totals(links)).succeeded:
        return None
    compensator = Compensator(order.compensate.processor, order.compensate.task_queue or task_queue)
    return await _start(
        client, order.output, links, compensator, params={}, settings={}, environment=order.environment
    )


def compensator_of(
    compensate: Processor[..., Any] | Callable[..., Any] | str,
    processor: Processor[..., Any] | str,
    params: Mapping[str, Any],
    run_id: str,
) -> Compensator:
    """Return what a run is to start by itself where it fails.

    Args:
        compensate: The processor that undoes an item, or its name.
        processor: The run's own, or its name.
        params: The run's.
        run_id: The run's id.

    Raises:
        UsageError: It does not fit the run.
    """
    check_id(run_id)
    if isinstance(compensate, str):
        return Compensator(compensate)
    wanted = as_processor(compensate)
    check_fits(wanted, {processor if isinstance(processor, str) else processor.name})
    if not isinstance(processor, str):
        check_types(wanted, processor)
    wanted.check_params(wanted.taken(params))
    return Compensator(wanted.name, wanted.task_queue)


def check_id(run_id: str) -> None:
    """Check that a run can have a compensation.

    Raises:
        UsageError: Its id is too long.
    """
    try:
        check_run_id(compensation_id(run_id))
    except UsageError:
        raise UsageError(
            f"run {run_id!r} cannot be compensated: with {compensation_id('')!r} its id has more than 200 characters"
        ) from None


async def _start(
    client: Client,
    output: str,
    links: Sequence[Link],
    compensator: Compensator,
    *,
    params: dict[str, Any],
    settings: dict[str, Any],
    environment: dict[str, Any],
) -> Started:
    run_id = links[-1].record.run_id
    check_id(run_id)
    own_id = compensation_id(run_id)
    previous = None
    if found := await find(links):
        if found.link is links[-1]:
            return Started(found.by.run_id, None)
        # A rerun has made further items succeed since.
        previous, _ = await ended(Handle(client, own_id), "a further one")
    elif not (await chains.totals(links)).succeeded:
        raise UsageError(f"nothing succeeded in run {run_id!r}: there is nothing to compensate")
    order = messages.RunInput(
        nonce=uuid.uuid4().hex,
        store=output.rsplit("/", 2)[0],
        processor=compensator.processor,
        source=chains.source_of(links),
        params=params,
        settings=settings,
        environment=environment,
        previous=previous,
        rerun=Selection(failed=False, not_run=False, undone=run_id),
        undone=Undone(run_id, output),
    )
    execution = await begin(
        client,
        order,
        run_id=own_id,
        task_queue=compensator.task_queue or default_task_queue(),
        anew=True,
        summary=f"{compensator.processor} compensates run {run_id}",
    )
    if execution is None and await find_undone(Handle(client, own_id)) != output:
        raise RunExists(f"the compensation of run {run_id!r} needs the id {own_id!r}, which another run has")
    return Started(own_id, execution)


async def find_undone(handle: Handle) -> str | None:
    """Return the output that a run compensates, as the server knows it; None where it is no compensation."""
    with contextlib.suppress(RunNotFound):
        undone = (await handle.info()).undone
        return None if undone is None else undone.output
    return None


def _said(links: Sequence[Link]) -> str | None:
    return next((name for link in reversed(links) if (name := link.record.compensator)), None)
