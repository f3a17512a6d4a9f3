"""The command line's table of contents: each command's module is imported when the command is used."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from fanout.cli import exits, say

# The base of the errors that typer raises for wrong usage; typer exports only some of its subclasses.
_UsageProblem: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


@dataclass(frozen=True)
class Entry:
    """Where a command is, and the line that the table of contents says of it."""

    module: str
    help: str
    panel: str
    function: str = ""


_RUN, _LOOK, _ORDER, _SERVE = "Run", "Look", "Order", "Serve"

COMMANDS = {
    "run": Entry("run", "Run a processor over the items of a source, and watch it.", _RUN),
    "rerun": Entry("rerun", "Run again what failed, and what was not run.", _RUN),
    "compensate": Entry("compensate", "Undo what succeeded in a run, once each.", _RUN),
    "plan": Entry("plan", "Say what a run will be, without starting anything.", _RUN),
    "schedule": Entry("schedule", "Start runs again and again: create, list, pause, backfill …", _RUN, "app"),
    "list": Entry("inspect", "List runs.", _LOOK, "list_"),
    "status": Entry("inspect", "Look at a run once: numbers, workers, address.", _LOOK),
    "watch": Entry("inspect", "Watch a run until it ends.", _LOOK),
    "wait": Entry("inspect", "Wait until a run ends; the exit code says how.", _LOOK),
    "results": Entry("output", "Write a run's results as JSON Lines.", _LOOK),
    "failures": Entry("failures", "Show which items failed, where and why.", _LOOK),
    "item": Entry("output", "Show all that is known of one item.", _LOOK),
    "try": Entry("tryout", "Run one item of a run again, in this process.", _LOOK, "try_"),
    "report": Entry("report", "Write a run as one HTML page.", _LOOK),
    "events": Entry("control", "Show who ordered what of a run, when and why.", _LOOK),
    "pause": Entry("control", "Pause runs: nothing new begins until they are resumed.", _ORDER),
    "resume": Entry("control", "Let paused runs go on.", _ORDER),
    "update": Entry("control", "Change concurrency, rate limit and tolerance of runs.", _ORDER),
    "drain": Entry("control", "End runs in order: what is in flight ends, the rest is not run.", _ORDER),
    "cancel": Entry("orders", "Cancel runs: what is in flight is cut off, the rest is not run.", _ORDER),
    "terminate": Entry("orders", "End runs at once, without publishing anything more.", _ORDER),
    "delete": Entry("housekeeping", "Delete ended runs: outputs and histories.", _ORDER),
    "gc": Entry("housekeeping", "Delete the outputs of runs that ended long ago.", _ORDER),
    "worker": Entry("worker", "Run workers for the processors of some modules.", _SERVE),
    "doctor": Entry("doctor", "Look whether server, store and workers are in order.", _SERVE),
    "dev": Entry("dev", "Run a Temporal dev server for this folder.", _SERVE),
}


def load(name: str) -> Any:
    """Import a command's module and build the command."""
    entry = COMMANDS[name]
    module = importlib.import_module(f"fanout.cli.{entry.module}")
    found = getattr(module, entry.function or name)
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
    alone.command(name, no_args_is_help=False)(found)
    return typer.main.get_command(alone)


class LazyGroup(typer.core.TyperGroup):
    """A group that imports a command only when it is the one to run; `--help` needs none of them."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Replace the placeholder by the command itself."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, (load(name) if name else None), rest

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, with errors of usage as plain lines."""
        # The same name in messages, however it was started: `python -m fanout.cli` too.
        kwargs.update(standalone_mode=False, prog_name="fanout")
        try:
            return super().main(*args, **kwargs)
        except _UsageProblem as problem:
            return _tell(problem)
        except typer.Abort:
            return exits.DETACHED


def _tell(problem: Any) -> int:
    context = getattr(problem, "ctx", None)
    path = context.command_path if context else "fanout"
    if not problem.format_message():
        return exits.USAGE  # no arguments at all: the help was the answer, and has been printed
    say.error(problem.format_message())
    say.note(f"see: {path} --help")
    return exits.USAGE


app = typer.Typer(
    name="fanout",
    cls=LazyGroup,
    help="Run one function over a very large set of items, durably, on Temporal.",
    epilog="Exit codes: 0 all succeeded, 1 error, 2 usage, 3 completed with failures, 4 tolerance exceeded, "
    "5 canceled or stopped, 6 no server, 7 no worker, 130 detached.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        sys.stdout.write(f"fanout {version('temporal-fanout')}\n")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def _placeholder() -> None: ...


for _name, _entry in COMMANDS.items():
    app.command(_name, help=_entry.help, rich_help_panel=_entry.panel)(_placeholder)
