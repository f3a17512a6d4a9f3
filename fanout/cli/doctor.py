"""`fanout doctor`: what is in order and what is not, each with the command to type next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from fanout.cli import exits, say, sources, targets
from fanout.cli.connection import Connection
from fanout.cli.flags import command
from fanout.cli.inspect import AsJson
from fanout.cli.sourceflags import Params
from fanout.errors import NoServer, ServerRefuses

if TYPE_CHECKING:
    from temporalio.client import Client

    from fanout.checks.check import Check
    from fanout.checks.workers import Wanted

CONNECT_WITHIN = 10.0
"""Seconds until a server that says nothing at all is given up."""

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red"), "skipped": ("-", "dim")}
_CODES = {"connection": exits.NO_SERVER, "worker": exits.NO_WORKER}


@command
async def doctor(
    connection: Connection,
    processor: Annotated[
        str | None,
        typer.Argument(
            metavar="[PROCESSOR]",
            help="module:name, or a name that workers know: also try out whether a worker has it.",
        ),
    ] = None,
    param: Params = None,
    task_queue: Annotated[
        str | None,
        typer.Option(help="Queue of the workers; default: the processor's, FANOUT_TASK_QUEUE, or fanout."),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(envvar="FANOUT_STORE", help="URL or folder for outputs; default ./fanout-output."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Look whether server, namespace, store and workers are in order; what is not has the command to type next.

    With a processor, it runs that over no items at all, and removes what is left of the run.
    Exit codes: 0 runs will work, 6 no server, 7 no worker, 1 something else has failed.
    """
    from fanout.plugin import default_store
    from fanout.storage.roots import to_url

    where = to_url(store) if store else default_store()
    wanted = None if processor is None else _wanted(processor, param or (), task_queue, where)
    found = await _look(connection, where, wanted)
    if as_json:
        say.data({"ok": not _failed(found), "checks": [asdict(check) for check in found]})
    else:
        _show(found)
    return next((_CODES.get(check.name, exits.ERROR) for check in _failed(found)), exits.SUCCEEDED)


def _failed(found: Sequence[Check]) -> list[Check]:
    return [check for check in found if check.outcome == "failed"]


def _wanted(processor: str, param: Sequence[str], queue: str | None, store: str) -> Wanted:
    from fanout.checks.workers import Wanted
    from fanout.runs.starting import default_task_queue

    loaded = targets.load_processor(processor)
    own = None if isinstance(loaded, str) else loaded.task_queue
    return Wanted(
        processor=loaded,
        queue=queue or own or default_task_queue(),
        store=store,
        params=sources.parse_params(param),
        module=processor.rpartition(":")[0] or "MODULE",
    )


async def _look(connection: Connection, store: str, wanted: Wanted | None) -> list[Check]:
    from fanout.checks.check import Check
    from fanout.checks.server import look_at_server
    from fanout.checks.storage import look_at_store

    stored = asyncio.create_task(look_at_store(store))
    try:
        async with asyncio.timeout(CONNECT_WITHIN) as connecting, connection.client() as client:
            connecting.reschedule(None)
            found = [Check("connection", "ok", _how(client)), *await look_at_server(client)]
            lost = bool(_failed(found))
            found += await stored
            if wanted is None:
                hint = "fanout doctor MODULE:NAME"
                return [*found, Check("worker", "skipped", "no processor was named", hint)]
            if lost:
                return [*found, Check("worker", "skipped", "nothing runs before the server is in order")]
            from fanout.checks.workers import look_at_workers

            return [*found, *await look_at_workers(client, wanted)]
    except NoServer as error:
        # What is wrong, and what to do about it.
        says, _, then = (
            str(error).replace("\n", "; ").partition(": " if isinstance(error, ServerRefuses) else "; ")
        )
        return [Check("connection", "failed", says, then), *await stored]
    except TimeoutError:
        says = f"nothing answers within {CONNECT_WITHIN:g} s"
        return [Check("connection", "failed", says, "fanout doctor --address HOST:PORT"), *await stored]


def _how(client: Client) -> str:
    config = client.service_client.config
    tls = config.tls
    shown = ["with TLS" if tls else "without TLS"]
    shown += ["a client certificate"] if getattr(tls, "client_cert", None) else []
    shown += ["an API key"] if config.api_key else []
    return f"{config.target_host}, {', '.join(shown)}"


def _show(found: Sequence[Check]) -> None:
    from rich.text import Text

    width = max(len(check.name) for check in found)
    out = say.console()
    for check in found:
        mark, style = _MARKS[check.outcome]
        out.print(
            Text.assemble((mark, style), " ", (f"{check.name:<{width}}", "bold"), "  ", check.says),
            soft_wrap=True,
        )
        if check.next:
            out.print(Text.assemble(" " * (width + 4), ("→ ", style), check.next), soft_wrap=True)
    failed, warned = len(_failed(found)), sum(check.outcome == "warning" for check in found)
    if failed:
        say.note(f"{failed} failed" + (f", {warned} to look at" if warned else ""), style="red")
    else:
        say.note("all is in order" if not warned else f"runs will work; {warned} to look at")
