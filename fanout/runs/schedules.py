"""Runs that Temporal starts by itself, by a schedule."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from temporalio.client import Client, ScheduleActionStartWorkflow

from fanout import messages, searchattributes, templates, wire
from fanout.errors import UsageError
from fanout.observability import details
from fanout.options import check, from_environment
from fanout.plugin import store_of
from fanout.processors import Processor, as_processor
from fanout.readers import Items, Reader
from fanout.readers.items import StagedItems
from fanout.reducing import Reducer, as_reduction
from fanout.reduction import Reduction
from fanout.runs.starting import default_task_queue
from fanout.stopping import StopWhen, check_condition
from fanout.storage.layout import check_run_id, staged_path
from fanout.storage.roots import to_url
from fanout.storage.stores import open_store

LONGEST_ID = 170
"""Letters of the id: Temporal adds the time to it."""


async def schedule_action(
    client: Client,
    processor: Processor[..., Any] | Callable[..., Any] | str,
    reader: Reader,
    *,
    id: str,
    task_queue: str | None = None,
    output: str | os.PathLike[str] | None = None,
    params: Mapping[str, Any] | None = None,
    time_zone: str = "UTC",
    stop_when: StopWhen | None = None,
    reduce: Reducer | type[Reducer] | Reduction | str | None = None,
    **settings: Any,
) -> ScheduleActionStartWorkflow:
    """Return the action that starts a run whenever a schedule of Temporal's says so.

    It goes into `temporalio.client.Schedule(action=…, spec=…)`. Dates in paths of the reader and in texts of `params`,
    such as `{date:%Y-%m-%d}` or `{date-1d:%Y/%m/%d}`, stand for the time for which a run is scheduled.

    Args:
        client: From `connect`, or any Temporal client.
        processor: What to do with each item; or the name under which workers have registered it.
        reader: Where the items of each run come from; not from memory.
        id: Of the runs: Temporal adds the time to it, as in `nightly-2026-11-27T02:00:00Z`.
        task_queue: Default: the processor's own, else `FANOUT_TASK_QUEUE`, else `"fanout"`.
        output: URL or path of the store that outputs go to, as for `start`.
        params: Keyword-only arguments of the processor.
        time_zone: Of the dates.
        stop_when: What ends a run early, as for `start`.
        reduce: What makes one value of all that the processor returns, as for `start`.
        **settings: Any field of `fanout.Options`.

    Raises:
        UsageError: An option, parameter, date or id does not fit.
        SourceError: The items cannot be read; sources with dates are looked at only when a run begins.
    """
    wanted = processor if isinstance(processor, str) else as_processor(processor)
    name = wanted if isinstance(wanted, str) else wanted.name
    given = dict(params or {})
    if not isinstance(wanted, str):
        given = wanted.check_params(given)
    store_url = store_of(client) if output is None else to_url(output)
    if templates.is_template([store_url]) or "{" in id:
        raise UsageError(
            "dates go into the source and into parameters: every run has its time in its id, and a folder of that name "
            "in the store"
        )
    if len(check_run_id(id)) > LONGEST_ID:
        raise UsageError(
            f"{id[:220]!r} is too long: Temporal adds the time to it; at most {LONGEST_ID} characters"
        )
    templates.zone(time_zone)
    templates.is_template(given)
    order = messages.RunInput(
        nonce="",
        store=store_url,
        processor=name,
        source=(await _prepared(reader, store_url, id)).to_source(),
        params=given,
        settings=check(settings),
        environment=from_environment(dict(os.environ)),
        stop_when=None if stop_when is None else check_condition(stop_when),
        attributes=await searchattributes.registered(client),
        scheduled=messages.Scheduled(time_zone),
        reduce=None if reduce is None else as_reduction(reduce),
    )
    own_queue = None if isinstance(wanted, str) else wanted.task_queue
    return ScheduleActionStartWorkflow(
        wire.RUN_WORKFLOW,
        order,
        id=id,
        task_queue=task_queue or own_queue or default_task_queue(),
        memo={wire.STORE_MEMO: store_url, wire.PROCESSOR_MEMO: name},
        typed_search_attributes=searchattributes.at_start(order.attributes, name),
        static_summary=details.summary(f"{name} over {details.of_source(order.source)}"),
        static_details=details.of_start(f"{id}-TIME", order),
    )


async def _prepared(reader: Reader, store_url: str, id: str) -> Reader:
    if not isinstance(reader, Reader):
        raise UsageError(
            f"a schedule needs a reader, such as fanout.Csv, not a {type(reader).__name__}: each run reads anew"
        )
    if isinstance(reader, Items | StagedItems):
        raise UsageError("a schedule cannot have items from memory: each run reads its source anew")
    if templates.is_template(reader.to_source().args):
        # The file of a later day may not be there yet.
        return reader
    return await reader.prepare(open_store(store_url), staged_path(id, uuid.uuid4().hex))
