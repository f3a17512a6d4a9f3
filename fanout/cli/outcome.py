"""How a run ended, told to people and to scripts."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fanout.cli import exits, say
from fanout.cli.reducing import words
from fanout.errors import RunFailed
from fanout.models import RunResult, Status, plain
from fanout.observability.drawing import amount, clock, per_second

if TYPE_CHECKING:
    from collections.abc import Awaitable

_STYLES = {
    Status.SUCCEEDED: "green",
    Status.COMPLETED_WITH_FAILURES: "yellow",
    Status.RUNNING: "",
    Status.PAUSED: "yellow",
    Status.DRAINING: "yellow",
}


def style_of(status: Status) -> str:
    """Return the colour that a status is shown in."""
    return _STYLES.get(status, "red")


async def settle(
    ending: Awaitable[RunResult], *, as_json: bool, flags: str = "", more: str | None = None
) -> int:
    """Await a run's end, tell how it was, and return the exit code.

    Args:
        ending: `Run.result()` or the bar.
        as_json: Whether the result is wanted as JSON on stdout.
        flags: What to add to the commands that are advised.
        more: The command that runs the rest of the items.
    """
    try:
        result = await ending
    except RunFailed as error:
        if error.result is not None:
            summarize(error.result, flags)
        say.error(str(error))
        if as_json:
            say.data(
                as_data(error.result) if error.result else {"status": error.status, "message": str(error)}
            )
        return exits.of_status(error.status)
    summarize(result, flags, more)
    if as_json:
        say.data(as_data(result))
    return exits.of_status(result.status)


def as_data(result: RunResult) -> dict[str, object]:
    """Return a result as JSON."""
    return asdict(result)


def summarize(result: RunResult, flags: str = "", more: str | None = None) -> None:
    """Tell what a run did, and which commands come next, on stderr."""
    from rich.text import Text

    rows: list[tuple[str, object]] = [
        ("run", result.run_id),
        ("status", Text(result.status, style="green" if result.found else style_of(result.status))),
        ("items", f"{result.items:,}{', ' if result.rerun else ''}{result.rerun}"),
        ("succeeded", f"{result.succeeded:,}"),
    ]
    if result.failed:
        rows.append(("failed", Text(f"{result.failed:,}{_reasons(result)}", style="red")))
    if result.not_run:
        rows.append(("not run", f"{result.not_run:,}"))
    if result.matched is not None:
        rows.append(("matches", f"{result.matched:,}"))
    if result.found:
        rows.append(("ended", result.reason))
    done = result.succeeded + result.failed
    speed = f", {per_second(done / result.seconds)}" if result.seconds > 0 and done else ""
    rows.append(("took", f"{_took(result.seconds)}{speed}"))
    rows += [(f"counted {name}", amount(value)) for name, value in sorted(result.counters.items())]
    if result.reduced_url:
        unread = f"lies in {result.reduced_url}, which cannot be read from here"
        rows.append(("reduced", unread if result.reduced is None else words(result.reduced)))
    if result.output:
        from fanout.storage.roots import display

        rows.append(("output", display(result.output)))
    rows += [("next" if first else "", text) for first, text in _next(result, flags, more)]
    say.note()
    say.pairs(rows, stderr=True)


def _reasons(result: RunResult) -> str:
    counts = ", ".join(f"{count:,} {name}" for name, count in plain(result.error_types).items())
    return f" ({counts})" if counts else ""


def _took(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else clock(seconds)


def _next(result: RunResult, flags: str, more: str | None) -> list[tuple[bool, str]]:
    commands = []
    if result.failed:
        commands.append(f"fanout failures {result.run_id}{flags}")
    if result.failed or (result.not_run and not result.found):
        processor = " --processor MODULE:NAME" if flags else ""
        commands.append(f"fanout rerun {result.run_id}{flags}{processor}")
    if result.succeeded:
        kept = " --matches" if result.matched is not None else ""
        commands.append(f"fanout results {result.run_id}{flags}{kept} -o results.jsonl")
    if more:
        commands.append(more)
    return [(number == 0, text) for number, text in enumerate(commands)]
