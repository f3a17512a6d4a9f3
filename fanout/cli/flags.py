"""Turns coroutine functions into typer commands: shared flags, plain errors, exit codes, Ctrl-C."""

from __future__ import annotations

import asyncio
import inspect
import signal
import traceback
from collections.abc import Callable, Collection, Coroutine
from typing import Annotated, Any, Self

import typer

from fanout.cli import exits, say
from fanout.errors import FanoutError

Work = Coroutine[Any, Any, int | None]

DEBUG = inspect.Parameter(
    "debug",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[
        bool,
        typer.Option(
            "--debug", envvar="FANOUT_DEBUG", help="Show the traceback of an error.", show_envvar=False
        ),
    ],
)

CONTEXT = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)


class FlagGroup:
    """Flags that several commands share: a command asks for them by a parameter of this type.

    A subclass is a dataclass whose fields are annotated as typer options.
    """

    @classmethod
    def flags(cls) -> list[inspect.Parameter]:
        """Return the parameters that typer shall see."""
        return list(inspect.signature(cls, eval_str=True).parameters.values())

    @classmethod
    def pack(cls, values: dict[str, Any], typed: Collection[str]) -> Self:
        """Make the group from the values of its flags.

        Args:
            values: By the flags' names.
            typed: The names of those that stood on the command line; others come from variables or are defaults.

        Raises:
            UsageError: A value does not fit.
        """
        return cls(**values)


def command(function: Callable[..., Work]) -> Callable[..., None]:
    """Make a typer command of a coroutine function that returns an exit code.

    Parameters whose type is a `FlagGroup` become the group's flags. An error becomes one plain line and the exit
    code that `exits` names; `--debug` shows the traceback.
    """
    groups: dict[str, type[FlagGroup]] = {}
    shown: list[inspect.Parameter] = []
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        kind = parameter.annotation
        if isinstance(kind, type) and issubclass(kind, FlagGroup):
            groups[parameter.name] = kind
        else:
            shown.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
    for group in groups.values():
        shown += [flag.replace(kind=inspect.Parameter.KEYWORD_ONLY) for flag in group.flags()]

    async def work(given: dict[str, Any], typed: Collection[str]) -> int | None:
        for name, group in groups.items():
            given[name] = group.pack({flag.name: given.pop(flag.name) for flag in group.flags()}, typed)
        return await function(**given)

    def run(context: typer.Context, debug: bool, **given: Any) -> None:
        typed = {name for name in given if _is_typed(context, name)}
        raise typer.Exit(execute(work(given, typed), debug=debug))

    run.__name__ = function.__name__
    run.__doc__ = function.__doc__
    run.__annotations__ = {}
    run.__signature__ = inspect.Signature([CONTEXT, *shown, DEBUG])  # type: ignore[attr-defined]
    return run


def _is_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def execute(work: Work, *, debug: bool = False) -> int:
    """Run a command's coroutine to its exit code, telling errors as plain lines.

    SIGTERM and SIGHUP end it as Ctrl-C does, so that whatever it started is stopped.
    """
    try:
        return asyncio.run(_until_signal(work)) or exits.SUCCEEDED
    except KeyboardInterrupt:
        return exits.DETACHED
    except BrokenPipeError:
        say.mute_stdout()
        return exits.BROKEN_PIPE
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, FanoutError):
            say.error(str(error))
            return exits.of_error(error)
        say.error(explain(error))
        if not debug:
            say.note("run the command again with --debug to see where this happened")
        return exits.ERROR


def explain(error: BaseException) -> str:
    """Return one line that says what an unforeseen error is."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


async def _until_signal(work: Work) -> int | None:
    task = asyncio.ensure_future(work)
    told = False

    def end() -> None:
        nonlocal told
        told = True
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end)
    try:
        return await task
    except asyncio.CancelledError:
        if told:
            return exits.DETACHED
        raise


def parse_size(text: str) -> int:
    """Return the bytes that a size such as `512MiB` says.

    Raises:
        typer.BadParameter: It is no size, or none at all.
    """
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        size = int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError:
        size = 0
    if size < 1:
        raise typer.BadParameter(f"{text!r} is no size: say it as 256MiB, 1GiB or a number of bytes")
    return size
