"""What a person reads of a workflow in Temporal Web: markdown, made of numbers that the workflow has anyway. Pure.

Temporal Web renders it in a frame of its own. As tried there (2.54): a list within a list runs together on one line,
`$` begins a formula and `<` an element, except in code. A link opens a page of its own; one without a host and without
a slash in front also holds where Temporal Web is served below a path. The text travels to that frame in an address, so
it has to be short: proxies take some eight kilobytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from urllib.parse import quote, unquote

from temporalio.workflow import Info

from fanout.messages import BranchInput, RunInput, Standing
from fanout.models import Totals, plain
from fanout.pages import Source

MOST_LINES = 20
MOST_CHARACTERS = 2_400
"""Of one list, so that long ids make it shorter, and the whole stays below some 5,000."""

MOST_TYPES = 10
SUMMARY_BYTES = 300
"""Temporal takes 400, with what an encryption adds to them."""


def summary(text: str) -> str:
    """Return a text as a workflow's summary: one line, as long as Temporal takes."""
    line = " ".join(text.split())
    if len(json.dumps(line)) <= SUMMARY_BYTES:
        return line
    while len(json.dumps(line)) > SUMMARY_BYTES - len("…".encode("unicode_escape")):
        line = line[:-1]
    return f"{line}…"


def code(text: str, longest: int = 160) -> str:
    """Return any text as a piece of code, which no part of it can end."""
    line = " ".join(text.replace("`", "'").split()) or "–"
    return f"`{line if len(line) <= longest else line[: longest - 1] + '…'}`"


def link(text: str, namespace: str, workflow_id: str, execution: str | None = None) -> str:
    """Return a link to a workflow's page.

    Args:
        text: What to click on; no markdown of its own.
        namespace: The workflow's.
        workflow_id: Its id.
        execution: One execution of it; the newest one where it is None.
    """
    path = f"namespaces/{quote(namespace, safe='')}/workflows/{quote(workflow_id, safe='')}"
    return f"[{text}]({path}/{execution})" if execution else f"[{text}]({path})"


def listed(title: str, lines: Iterable[str], count: int) -> str:
    """Return the first lines of a list below its title, and how many more there are; nothing of an empty list.

    Args:
        title: What the lines are.
        lines: Only as many are taken as are shown.
        count: How many there are.
    """
    shown: list[str] = []
    room = MOST_CHARACTERS
    for line in islice(lines, MOST_LINES):
        room -= len(line)
        if shown and room < 0:
            break
        shown.append(f"- {line}")
    if not shown:
        return ""
    if count > len(shown):
        shown.append(f"- and {count - len(shown):,} more")
    return paragraphs(f"**{title}**" if title else "", "\n".join(shown))


def paragraphs(*parts: str) -> str:
    """Return parts below each other; a list must have an empty line above it."""
    return "\n\n".join(part for part in parts if part)


def done(count: int, total: int, *, exact: bool = True) -> str:
    """Return how many items are done, and of how many; 100 % are all of them."""
    if not total:
        return "No items"
    about = "" if exact else "about "
    return f"**{count:,}** of {about}{total:,} items done ({min(100 * count // total, 100)} %)"


def items(start: int, count: int) -> str:
    """Return a range of items in words."""
    return f"items {start:,}–{start + count - 1:,}"


def outcomes(totals: Totals, samples: Sequence[str]) -> str:
    """Return what was counted; failures by error type, the most frequent first; and some examples."""
    counters = [f"{code(name)}: {value:,.10g}" for name, value in sorted(totals.counters.items())]
    by_type = plain(totals.error_types)
    return paragraphs(
        listed("Counted", counters, len(counters)),
        listed(
            "Failures by type",
            (f"{code(name, 80)}: {count:,}" for name, count in islice(by_type.items(), MOST_TYPES)),
            len(by_type),
        ),
        listed("For example", map(code, samples), len(samples)),
    )


def counted(count: int, one: str, many: str) -> str:
    """Return a number with its noun."""
    return f"{count:,} {one if count == 1 else many}"


def at(when: datetime) -> str:
    """Return a time as the server's clock says it."""
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


def of_source(source: Source) -> str:
    """Return where items come from, in a few words."""
    args = source.args
    paths, values = args.get("path"), args.get("values")
    if isinstance(paths, list) and paths:
        more = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
        words = f"{source.kind} {unquote(paths[0].rstrip('/').rpartition('/')[2])}{more}"
    elif source.kind == "range":
        words = f"range {args['start']:,} to {args['stop']:,}"
    elif isinstance(values, list):
        words = counted(len(values), "item", "items")
    else:
        words = source.kind
    if source.skip:
        words += f" after {source.skip:,}"
    return words if source.limit is None else f"{words}, {source.limit:,} at most"


def of_start(run_id: str, order: RunInput, namespace: str = "") -> str:
    """Return what is known of a run when it is started, and how to ask for more."""
    source = order.source
    # Items that travel with the order are not repeated here.
    said = {
        name: value for name, value in source.args.items() if name != "values" and value not in (None, [], "")
    }
    lines = [
        f"processor: {code(order.processor)}",
        f"source: {code(f'{source.kind} {json.dumps(said)}', 600)}",
        f"store: {code(order.store, 300)}",
    ]
    lines += [
        f"{name}: {code(json.dumps(said, default=str), 600)}"
        for name, said in {"parameters": order.params, "options": order.settings}.items()
        if said
    ]
    if order.undone is not None:
        undone = order.undone.run_id
        lines.append(f"compensates what succeeded in run {link(f'`{undone}`', namespace, undone)}")
    if order.compensate is not None:
        lines.append(f"compensated, where it fails, by {code(order.compensate.processor)}")
    if order.previous:
        lines.append(f"continues {code(order.previous, 300)}")
    commands = (f"fanout {verb} {run_id}" for verb in ("status", "failures", "events"))
    return paragraphs(listed("", lines, len(lines)), f"In a terminal: {', '.join(map(code, commands))}")


@dataclass(frozen=True)
class Window:
    """Where a partition stands.

    Attributes:
        standing: What it goes by.
        totals: Of its commits.
        batches: Batches in flight.
        in_flight: Items in flight at most.
        waiting: Items that wait for a retry.
        samples: Some failures, as text.
    """

    standing: Standing
    totals: Totals
    batches: int
    in_flight: int
    waiting: int
    samples: Sequence[str]


def of_partition(
    info: Info, branch: BranchInput, window: Window, committed: datetime | None, ended: str
) -> str:
    """Return how far a partition is, also of one inside the root.

    Args:
        info: Of its workflow.
        branch: Its range.
        window: Where it stands.
        committed: When its last commit came; None before.
        ended: How the run ended whose only partition this is.
    """
    totals, standing = window.totals, window.standing
    up = above(info, branch.run.run_id)
    span = items(branch.start, branch.count)
    lines = [f"succeeded: {totals.succeeded:,}", f"failed: {totals.failed:,}"]
    if window.batches:
        lines.append(
            f"in flight: {window.in_flight:,} items in {counted(window.batches, 'batch', 'batches')}, "
            f"of {standing.concurrency:,} items that may be"
        )
    if standing.rate:
        lines.append(f"rate limit: {standing.rate * standing.concurrency:,.6g} items a second of the run's")
    if window.waiting:
        lines.append(f"waiting for a retry: {window.waiting:,}")
    if committed is not None:
        lines.append(f"last commit: {at(committed)}")
    if not up:
        lines.append(f"output: {code(branch.run.output, 300)}")
    return paragraphs(
        f"{span} {up}" if up else f"{span}, so few that this workflow runs them alone",
        ended or stance(standing),
        done(totals.done, branch.count),
        listed("", lines, len(lines)),
        outcomes(totals, window.samples),
    )


def stance(standing: Standing) -> str:
    """Return what orders have made of a node that goes on; nothing where none did."""
    if standing.draining:
        return "**Draining**: what is in flight ends, the rest is not run"
    return "**Paused**: nothing new begins" if standing.paused else ""


def above(info: Info, run_id: str) -> str:
    """Return links to the node above, and to the root above that; nothing for what is not part of the run's tree."""
    parent, root = info.parent, info.root
    if parent is None or info.workflow_id == run_id:
        return ""
    run = f"run `{run_id}`"
    if parent.workflow_id == run_id:
        return f"of {link(run, parent.namespace, run_id, parent.run_id)}"
    execution = root.run_id if root is not None and root.workflow_id == run_id else None
    group = link(name(parent.workflow_id), parent.namespace, parent.workflow_id, parent.run_id)
    return f"of {group}, of {link(run, parent.namespace, run_id, execution)}"


def name(workflow_id: str) -> str:
    """Return what tells a node from the others of its run: the end of its id, such as `partition-000012`."""
    return workflow_id.rpartition("/")[2]
