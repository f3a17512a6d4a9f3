"""`fanout.plan`: looks at a source, and says what a run over it will be. Needs no server."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fanout.client import as_reader
from fanout.errors import UsageError
from fanout.options import check, from_carried, from_environment, resolve
from fanout.pages import Source
from fanout.planning.advice import advise
from fanout.planning.runplan import RunPlan
from fanout.planning.tree import START_SECONDS, Size, plan_tree
from fanout.plugin import default_store
from fanout.processors import Processor, as_processor
from fanout.rates import per_second
from fanout.readers import Reader, from_source
from fanout.readers.paging import next_page
from fanout.storage.files import Files
from fanout.storage.outputs import find_output
from fanout.storage.roots import display, to_url
from fanout.storage.stores import open_store

_STAGED = "items"


async def plan(
    processor: Processor[..., Any] | Callable[..., Any] | str,
    reader: Reader | Iterable[Any] | AsyncIterable[Any],
    *,
    params: Mapping[str, Any] | None = None,
    item_seconds: float | None = None,
    like: str | None = None,
    output: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> RunPlan:
    """Say what a run will be, without starting anything: its tree, what it costs, how long it takes, what looks wrong.

    The source is read as the run itself would read it before its first batch: a file up to half a gigabyte. An iterator
    is used up.

    Args:
        processor: What to do with each item; of a name alone, the processor's own options are not known here.
        reader: Where the items come from; any other iterable is taken as `fanout.Items`.
        params: Keyword-only arguments of the processor.
        item_seconds: How long one item takes, in seconds.
        like: Id of an earlier run that has ended: its items, seconds and concurrency say how long one item takes.
        output: URL or path of the store with the output of that run. Default: `FANOUT_STORE`, or `./fanout-output`.
        **settings: Any field of `fanout.Options`.

    Returns:
        The plan.

    Raises:
        UsageError: An option or parameter does not fit, or the earlier run says nothing of the duration of an item.
        SourceError: The items cannot be read.
    """
    wanted = processor if isinstance(processor, str) else as_processor(processor)
    checked = check(settings)
    notes: list[str] = []
    own: dict[str, Any] = {}
    list_size = 1
    if isinstance(wanted, str):
        notes.append(f"the options of processor {wanted!r} itself are known to its workers only: not counted")
    else:
        wanted.check_params(dict(params or {}))
        own, list_size = wanted.settings, wanted.list_size or 1
    options = resolve(checked, own, from_environment(dict(os.environ)))
    seconds = await _item_seconds(item_seconds, like, output, notes)
    found = await _look(as_reader(reader))
    size = found.size
    tree = plan_tree(size, options, list_size=list_size, item_seconds=seconds or 0.0)
    if not size.exact:
        notes.append("items are estimated from the first page of the source, as the run itself does")
    if seconds is None:
        notes.append(
            "how long an item takes is not known (item_seconds, like): without heartbeats"
            + (
                ""
                if options.batch_size
                else "; batches are counted as if items took no time, slow ones make more"
            )
        )
    rate = per_second(options.rate_limit)
    least = size.total / rate if rate else 0.0
    if rate:
        notes.append(f"rate_limit={options.rate_limit}: the run takes {least:,.0f} s at least")
    return RunPlan(
        processor=wanted if isinstance(wanted, str) else wanted.name,
        items=size.total,
        exact=size.exact,
        levels=tree.levels,
        workflows=tree.workflows,
        continued=tree.continued,
        activities=tree.activities,
        local_activities=tree.local_activities,
        signals=tree.signals,
        heartbeats=None if seconds is None else tree.heartbeats,
        events=tree.events,
        longest_history=tree.longest_history,
        actions=tree.actions,
        source_bytes=size.bytes,
        staged_bytes=found.staged,
        read_bytes=0 if size.inline else 2 * size.bytes,
        in_flight=tree.in_flight,
        item_seconds=seconds,
        seconds=None if seconds is None else max(tree.seconds, least),
        options=asdict(options),
        warnings=tuple(advise(size, options, tree, seconds or 0.0)),
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Found:
    size: Size
    staged: int


async def _look(reader: Reader) -> _Found:
    """Plan the first page of a source, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="fanout-plan-") as folder:
        store = open_store(folder)
        prepared = await reader.prepare(store, _STAGED)
        staged = sum(stored.size for stored in await store.list(_STAGED))
        source: Source = prepared.to_source()
        scan = await next_page(source, Files(None), store)
        page = scan.page
        heaviest = await from_source(source).heaviest(store, page)
    exact = scan.cursor is None
    pages = 1 if exact else -(-scan.total // max(page.count, 1))
    whole = page.size if exact else round(page.size * scan.total / max(page.count, 1))
    return _Found(Size(scan.total, exact, whole, pages, source.inline, heaviest), staged)


async def _item_seconds(
    given: float | None, like: str | None, output: str | os.PathLike[str] | None, notes: list[str]
) -> float | None:
    if given is not None and like is not None:
        raise UsageError("how long an item takes is said twice: give item_seconds or like, not both")
    if given is not None and given < 0:
        raise UsageError(f"item_seconds must be at least 0, got {given:g}")
    if like is None:
        return given
    store_url = default_store() if output is None else to_url(output)
    found = await find_output(store_url, like)
    manifest = None if found is None else found.manifest
    if manifest is None:
        raise UsageError(
            f"there is no output of an ended run {like!r} in {display(store_url)}: "
            "say which store by output or FANOUT_STORE"
        )
    result = manifest.result
    done = result.succeeded + result.failed
    if not done:
        raise UsageError(f"run {like!r} has run no item: it says nothing of how long one takes")
    earlier = plan_tree(Size(result.items), from_carried(manifest.run.options))
    # A short run spends much of its time on its beginning and end.
    spent = max(result.seconds - START_SECONDS, result.seconds / 10)
    notes.append(
        f"an item takes as long as in run {like!r}: {done:,} items in {result.seconds:,.1f} s, "
        f"{earlier.in_flight:,} in flight"
    )
    return spent * earlier.in_flight / done
