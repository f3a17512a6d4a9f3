"""What `status` says of a run that Temporal has forgotten: what stands in its output."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fanout.cli import exits, say
from fanout.cli.outcome import style_of
from fanout.cli.reducing import words

if TYPE_CHECKING:
    from fanout.storage.records import Compensated, RunRecord

NOTE = "Temporal has forgotten this run (retention); this is from its output"


async def describe_forgotten(run: str, output: str, *, as_json: bool) -> int:
    """Print what a run did, by its manifest; by its commits where it was ended without one."""
    from fanout.storage import compensated
    from fanout.storage.markers import load_run
    from fanout.storage.reading import load_manifest, stored
    from fanout.storage.reductions import with_reduced
    from fanout.storage.stores import open_store

    store = open_store(output)
    record, manifest = await load_run(store, None), await load_manifest(store)
    by = await compensated.of(store)
    ended = None if manifest is None else manifest.written
    numbers: dict[str, Any]
    if manifest is not None:
        found = asdict(await with_reduced(manifest.result))
        numbers = {
            name: found[name]
            for name in (
                "status",
                "items",
                "succeeded",
                "failed",
                "not_run",
                "seconds",
                "counters",
                "matched",
                "reduced",
            )
        }
    else:
        there = await stored(store)
        numbers = {
            "status": None,
            "succeeded": there.totals.succeeded,
            "failed": there.totals.failed,
            "counters": there.totals.counters,
            "matched": there.matched,
        }
    if as_json:
        say.data(
            {
                "id": run,
                "processor": record.processor,
                **numbers,
                "ended": ended,
                "output": output,
                "forgotten": True,
            }
        )
        return exits.SUCCEEDED
    _print(run, record, output, numbers, ended, by)
    return exits.SUCCEEDED


def _print(
    run: str,
    record: RunRecord,
    output: str,
    numbers: dict[str, Any],
    ended: str | None,
    by: Compensated | None,
) -> None:
    from rich.text import Text

    from fanout.observability.drawing import amount, clock
    from fanout.storage.roots import display

    status = numbers["status"]
    rows: list[tuple[str, object]] = [
        ("run", run),
        (
            "status",
            Text(status, style=style_of(status)) if status else "unknown: it ended without a manifest",
        ),
        ("processor", record.processor),
    ]
    if record.undone is not None:
        rows.append(("compensates", record.undone.run_id))
    if by is not None:
        rows.append(("compensation", by.run_id))
    if record.rerun is not None and not record.rerun.undone:
        rows.append(("rerun of", record.rerun.words))
    if "items" in numbers:
        rows.append(("items", f"{numbers['items']:,}"))
    rows += [
        ("succeeded", f"{numbers['succeeded']:,}"),
        ("failed", Text(f"{numbers['failed']:,}", style="red" if numbers["failed"] else "")),
    ]
    if numbers.get("not_run"):
        rows.append(("not run", f"{numbers['not_run']:,}"))
    if numbers["matched"] is not None:
        rows.append(("matches", f"{numbers['matched']:,}"))
    rows += [(f"counted {name}", amount(value)) for name, value in sorted(numbers["counters"].items())]
    if numbers.get("reduced") is not None:
        rows.append(("reduced", words(numbers["reduced"])))
    if ended:
        rows.append(("ended", f"{ended}, {clock(numbers['seconds'])} long"))
    rows.append(("output", display(output)))
    say.pairs(rows)
    say.note(NOTE, style="yellow")
