"""Where a run begins: connect, start, get, list, map."""

from __future__ import annotations

import os
import secrets
import uuid
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from temporalio.client import Client
from temporalio.service import RPCError, TLSConfig

from fanout import messages, profiles, refusals, searchattributes, wire
from fanout.compensators import check_ordinary
from fanout.errors import RunExists, RunNotFound, UsageError
from fanout.models import ItemResult, Status
from fanout.observability import details
from fanout.options import check, from_environment
from fanout.outside import refuse_in_workflows
from fanout.plugin import Plugin, store_of
from fanout.processors import Processor, as_processor
from fanout.readers import Items, Reader
from fanout.reducing import Reducer, as_reduction
from fanout.reduction import Reduction
from fanout.runs.compensate import compensator_of
from fanout.runs.info import RunInfo, read_info
from fanout.runs.run import Run
from fanout.runs.starting import begin, default_task_queue
from fanout.stopping import StopWhen, check_condition
from fanout.storage.chains import complete_to
from fanout.storage.layout import RUN, check_run_id, staged_path
from fanout.storage.markers import load_run
from fanout.storage.roots import to_url
from fanout.storage.stores import Store, open_store

DEFAULT_ADDRESS = "localhost:7233"

IfExists = Literal["fail", "attach", "new"]


async def connect(
    address: str | None = None,
    *,
    namespace: str | None = None,
    profile: str | None = None,
    api_key: str | None = None,
    tls: bool | TLSConfig | None = None,
    plugin: Plugin | None = None,
) -> Client:
    """Connect to Temporal, as the `temporal` command does.

    Args:
        address: Of the server. Default: Temporal's profile file and `TEMPORAL_*` variables, else `localhost:7233`.
        namespace: Default: the same, else `default`.
        profile: Of Temporal's profile file.
        api_key: For servers that ask for one.
        tls: Whether, or how, to encrypt.
        plugin: What makes the client speak fanout; one with defaults where it is None.

    Raises:
        NoServer: No Temporal server answers there; `ServerRefuses` where one does, and refuses this client.
        UsageError: What is configured cannot be read, or cannot be.
    """
    refuse_in_workflows("connect")
    found = profiles.load(profile)
    said = {"target_host": address, "namespace": namespace, "api_key": api_key, "tls": tls}
    found.update({name: value for name, value in said.items() if value is not None})
    found.setdefault("target_host", DEFAULT_ADDRESS)
    if "api_key" in found:
        found["api_key"] = _as_header(found["api_key"])
    try:
        return await Client.connect(**found, plugins=[plugin or Plugin()])
    except (RuntimeError, RPCError) as error:
        encrypted = found.get("tls")
        tried = refusals.Attempt(
            target=found["target_host"],
            # An API key alone turns it on.
            tls="api_key" in found if encrypted is None else bool(encrypted),
            certificate=isinstance(encrypted, TLSConfig) and encrypted.client_cert is not None,
            api_key="api_key" in found,
        )
        raise refusals.explain(str(error), tried) from None


async def start(
    client: Client,
    processor: Processor[..., Any] | Callable[..., Any] | str,
    reader: Reader | Iterable[Any] | AsyncIterable[Any],
    *,
    id: str | None = None,
    task_queue: str | None = None,
    output: str | os.PathLike[str] | None = None,
    if_exists: IfExists = "fail",
    params: Mapping[str, Any] | None = None,
    continue_run: bool = False,
    compensate: Processor[..., Any] | Callable[..., Any] | str | None = None,
    stop_when: StopWhen | None = None,
    reduce: Reducer | type[Reducer] | Reduction | str | None = None,
    **settings: Any,
) -> Run:
    """Start a run: one processor over one set of items.

    Args:
        client: From `connect`, or any Temporal client.
        processor: What to do with each item; or the name under which workers have registered it.
        reader: Where the items come from; any other iterable is taken as `fanout.Items`.
        id: The run's id; made of the processor's name and the time by default.
        task_queue: Default: the processor's own, else `FANOUT_TASK_QUEUE`, else `"fanout"`.
        output: URL or path of the store that the output goes to. Default: the client's plugin, `FANOUT_STORE`, or
            `./fanout-output`.
        if_exists: What to do where a run of that id exists: `"fail"`, `"attach"` to it, or start a `"new"` one in its
            place (which fails while the old one runs).
        params: Keyword-only arguments of the processor.
        continue_run: Run the items after those that the run of this id ended with; results read as one.
        stop_when: What ends the run early, as STOPPED: what is in flight then ends, the rest is not run.
        compensate: The processor that undoes what had succeeded, as a run of its own, if the run ends as FAILED,
            FAILED_TOLERANCE_EXCEEDED or CANCELED; or its registered name.
        reduce: What makes one value of all that the processor returns: a reducer such as `fanout.reducers.Sum()`, its
            class, or a registered name. See `RunResult.reduced`.
        **settings: Any field of `fanout.Options`.

    Returns:
        The run.

    Raises:
        UsageError: An option, parameter or id does not fit.
        SourceError: The items cannot be read.
        RunExists: A run of that id exists.
        NoServer: The server does not answer.
    """
    refuse_in_workflows("start")
    if if_exists not in get_args(IfExists):
        raise UsageError(f"if_exists is 'fail', 'attach' or 'new', not {if_exists!r}")
    wanted = processor if isinstance(processor, str) else as_processor(processor)
    name = wanted if isinstance(wanted, str) else wanted.name
    checked = check(settings)
    given = dict(params or {})
    if not isinstance(wanted, str):
        given = wanted.check_params(given)
        check_ordinary(wanted)
    run_id = check_run_id(id or _new_id(name))
    compensator = None if compensate is None else compensator_of(compensate, wanted, given, run_id)
    store_url = store_of(client) if output is None else to_url(output)
    nonce = uuid.uuid4().hex
    source_reader = as_reader(reader)
    reduction = None if reduce is None else as_reduction(reduce)
    previous = None
    if continue_run:
        previous, done = await _ended_with(client, run_id)
        await _check_same(open_store(previous), run_id, reduction)
        source_reader = source_reader.skip(done)
        if_exists = "new"
    prepared = await source_reader.prepare(open_store(store_url), staged_path(run_id, nonce))
    order = messages.RunInput(
        nonce=nonce,
        store=store_url,
        processor=name,
        source=prepared.to_source(),
        params=given,
        settings=checked,
        environment=from_environment(dict(os.environ)),
        previous=previous,
        stop_when=stop_when if stop_when is None else check_condition(stop_when),
        compensate=compensator,
        reduce=reduction,
    )
    own_queue = None if isinstance(wanted, str) else wanted.task_queue
    queue = task_queue or own_queue or default_task_queue()
    execution = await begin(
        client,
        order,
        run_id=run_id,
        task_queue=queue,
        anew=if_exists == "new",
        summary=f"{name} over {details.of_source(order.source)}",
    )
    if execution is None:
        if if_exists == "attach":
            return get_run(client, run_id)
        raise RunExists(_taken(run_id, if_exists))
    return Run(client, run_id, execution=execution)


def get_run(client: Client, id: str) -> Run:
    """Return the handle of a run; nothing is asked of the server yet.

    Args:
        client: Any Temporal client.
        id: The run's id.
    """
    return Run(client, id)


async def list_runs(
    client: Client,
    *,
    status: Status | None = None,
    processor: str | None = None,
    task_queue: str | None = None,
    limit: int = 100,
) -> list[RunInfo]:
    """Return the runs of a namespace, the newest first.

    Args:
        client: Any Temporal client.
        status: Only runs in this status.
        processor: Only runs of this processor.
        task_queue: Only runs of this queue.
        limit: How many at most.
    """
    refuse_in_workflows("list_runs")
    attributes = await searchattributes.registered(client)
    conditions = [f"WorkflowType = '{wire.RUN_WORKFLOW}'"]
    if task_queue is not None:
        conditions.append(f"TaskQueue = {searchattributes.quoted(task_queue)}")
    # The server need not send the others; what it sends is looked at all the same.
    conditions += searchattributes.conditions(attributes, status, processor)
    found: list[RunInfo] = []
    async for execution in client.list_workflows(" AND ".join(conditions)):
        info = await read_info(execution)
        if status in (None, info.status) and processor in (None, info.processor):
            found.append(info)
        if len(found) >= limit:
            break
    return found


async def map(
    client: Client,
    processor: Processor[..., Any] | Callable[..., Any] | str,
    items: Iterable[Any] | AsyncIterable[Any],
    **arguments: Any,
) -> list[ItemResult]:
    """Run a processor over a small set, and return the results in the order of the items.

    Args:
        client: From `connect`, or any Temporal client.
        processor: What to do with each item.
        items: Any iterable; all results come back in memory.
        **arguments: As for `start`.

    Raises:
        RunFailed: An item failed for good; the other results are in the run's output.
    """
    run = await start(client, processor, items, **arguments)
    result = await run.result()
    result.raise_for_failures()
    return [row async for row in run.results(ordered=True)]


def as_reader(given: Reader | Iterable[Any] | AsyncIterable[Any]) -> Reader:
    """Return a reader itself, or one over the items of an iterable.

    Raises:
        UsageError: It is a path: how it is to be read is not known.
    """
    if isinstance(given, Reader):
        return given
    if isinstance(given, str | bytes | os.PathLike):
        raise UsageError(f"say how {given!r} is read: fanout.Csv({given!r}) or fanout.JsonLines({given!r})")
    return Items(given)


def _as_header(api_key: str) -> str:
    """Return an API key as it can be sent: files that hold one often end with a line break."""
    key = api_key.strip()
    if not key.isprintable() or not key.isascii():
        raise UsageError(
            "the API key holds characters that none has, such as a line break: see where it is from"
        )
    return key


def _new_id(name: str) -> str:
    safe = "".join(c if c.isalnum() or c in "._-" else "-" for c in name)
    return f"{safe}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _taken(run_id: str, if_exists: IfExists) -> str:
    if if_exists == "new":
        return f"run {run_id!r} is still running; cancel it first, or use another id"
    return (
        f"a run {run_id!r} exists; watch it with `fanout watch {run_id}`, use another id, "
        "or say if_exists='attach' (to join it) or 'new' (to start over once it has ended)"
    )


async def _ended_with(client: Client, run_id: str) -> tuple[str, int]:
    """Return the output of an ended run, and the index after its last item."""
    run = get_run(client, run_id)
    try:
        info = await run.info()
    except RunNotFound:
        # The server may have forgotten it: its output has not.
        status, output = "ended", await run.output()
    else:
        if info.status.live:
            raise UsageError(f"run {run_id!r} is still running: continue it once it has ended")
        status, output = f"ended as {info.status}", (await run.readable()).url
    if await open_store(output).exists(RUN) and (await load_run(open_store(output), None)).undone is not None:
        raise UsageError(f"run {run_id!r} is the compensation of another one: nothing continues it")
    end = await complete_to(open_store(output)) if await open_store(output).exists(RUN) else None
    if end is None:
        raise UsageError(
            f"run {run_id!r} {status} before all of its items were run: only a run that completed, "
            "such as one with a limit, can be continued; what was not run: fanout rerun"
        )
    return output, end


async def _check_same(previous: Store, run_id: str, reduction: Reduction | None) -> None:
    """Check that a run reduces as the one that it continues: their results read as one.

    Raises:
        UsageError: It does not.
    """
    before = (await load_run(previous, None)).reduce
    if before != reduction:
        wanted = "no reducer" if before is None else f"reducer {before.reducer!r} with {before.args}"
        raise UsageError(
            f"run {run_id!r} has {wanted}: what continues it has to have the same, since their results read as one; "
            "give a run with another one another id"
        )
