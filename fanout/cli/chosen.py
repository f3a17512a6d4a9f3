"""Which runs an order is for: those that are named, or all that go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from fanout.cli import say
from fanout.cli.flags import FlagGroup
from fanout.errors import UsageError

if TYPE_CHECKING:
    from temporalio.client import Client

    from fanout.runs.run import Run

MOST = 10_000
"""Runs that one command gives an order to."""

RunIds = Annotated[list[str] | None, typer.Argument(metavar="RUN...", help="Ids of runs.")]
NamedRuns = Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids of runs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@dataclass(frozen=True)
class Chosen(FlagGroup):
    """Flags that choose runs."""

    all: Annotated[bool, typer.Option("--all", help="All runs that go on.")] = False
    task_queue: Annotated[str | None, typer.Option(help="With --all: only those on this queue.")] = None
    yes: Yes = False


async def choose(client: Client, ids: list[str] | None, chosen: Chosen) -> list[Run]:
    """Return the runs that were named or, with `--all`, that go on.

    Raises:
        UsageError: Neither is said, or both are.
    """
    from fanout import client as api

    if chosen.task_queue is not None and not chosen.all:
        raise UsageError("--task-queue goes with --all")
    if bool(ids) == chosen.all:
        raise UsageError("say which runs: their ids, or --all")
    if ids:
        return [api.get_run(client, run) for run in ids]
    found = await api.list_runs(client, task_queue=chosen.task_queue, limit=MOST)
    live = [api.get_run(client, info.id) for info in found if info.status.live]
    if not live:
        say.note("no run goes on")
    return live


def confirmed(order: str, names: Sequence[str], *, yes: bool, what: str = "") -> bool:
    """Ask on a terminal.

    Args:
        order: What is to be done.
        names: To what.
        yes: Whether it is confirmed already.
        what: The same in short.

    Raises:
        UsageError: Nobody is there to ask.
    """
    if yes or not names:
        return True
    named = what or ", ".join(names)
    if not say.is_interactive():
        raise UsageError(f"nobody is here to confirm: add --yes to {order} {named}")
    if say.confirm(f"{order} {named}?"):
        return True
    say.note("nothing was done")
    return False
