"""`fanout dev`: the folder's dev server in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fanout.cli import exits, say, server
from fanout.cli.flags import command


@command
async def dev(
    port: Annotated[int, typer.Option(envvar="FANOUT_DEV_PORT", help="Port for clients and workers.")] = 7233,
    ui_port: Annotated[int, typer.Option(envvar="FANOUT_DEV_UI_PORT", help="Port of Temporal Web.")] = 8233,
    ip: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Namespace to make.")] = "default",
    headless: Annotated[bool, typer.Option("--headless", help="Without Temporal Web.")] = False,
) -> int:
    """Run a Temporal dev server for this folder; its runs are kept in .fanout/temporal.db.

    For trying things, never for production. Ctrl-C stops it cleanly, and a second one kills it.
    """
    from fanout import devserver

    here = Path.cwd()
    server.prepare(here)

    def announce(started: devserver.DevServer) -> None:
        found = server.Found(started.address, started.ui_url, started.pid, kept=True)
        server.record(here, found)
        say.note(f"Temporal dev server: {started.cli}", style="dim")
        say.pairs(
            [
                ("address", started.address),
                ("Temporal Web", started.ui_url or "off"),
                ("database", started.db or "in memory"),
            ]
        )
        say.note("Ctrl-C stops it; its runs are kept")

    starting = devserver.start_dev_server(
        db=server.database(here).relative_to(here),
        ip=ip,
        port=port,
        ui=not headless,
        ui_port=ui_port,
        namespace=namespace,
        log=Path(server.FOLDER) / "server.log",
    )
    try:
        await devserver.serve_forever(starting, announce=announce)
    finally:
        server.forget(here)
    say.note("stopped")
    return exits.SUCCEEDED
