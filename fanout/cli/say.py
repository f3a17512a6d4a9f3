"""How the command speaks: data to stdout, everything else to stderr, plain when nobody looks."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


def console(*, stderr: bool = False) -> Console:
    """Return a console that neither wraps nor colours what goes into a pipe or file."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    # A table in a pipe is for grep and awk: one line per row, however long.
    width = None if stream.isatty() else 10_000
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def note(text: str = "", style: str | None = None) -> None:
    """Tell the person something, on stderr."""
    console(stderr=True).print(text, style=style, soft_wrap=True)


def error(text: str) -> None:
    """Tell the person what went wrong, on stderr."""
    first, _, rest = text.partition("\n")
    err = console(stderr=True)
    err.print(f"error: {first}", style="red", soft_wrap=True)
    if rest:
        err.print(rest, soft_wrap=True)


def data(value: object) -> None:
    """Print one value as a line of JSON on stdout."""
    with stdout() as out:
        out.write(json.dumps(value, default=_plain, ensure_ascii=False).encode() + b"\n")


@contextlib.contextmanager
def stdout() -> Iterator[IO[bytes]]:
    """Give stdout for bytes, whole or with an error.

    Under PYTHONUNBUFFERED Python's own is a raw file: it writes short, silently, when the reader leaves meanwhile.
    """
    sys.stdout.flush()
    try:
        number = sys.stdout.fileno()
    except OSError:  # it has been replaced by something in memory
        yield sys.stdout.buffer
        return
    with open(number, "wb", closefd=False) as out:
        yield out


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
    """Print a table on stdout; the columns named in `right` hold numbers."""
    from rich.table import Table

    out = console()
    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in columns:
        drawn.add_column(name, justify="right" if name in right else "left", no_wrap=not out.is_terminal)
    for row in rows:
        drawn.add_row(*(_cell(cell) for cell in row))
    _print(out, drawn)


def pairs(rows: Iterable[tuple[str, object]], *, stderr: bool = False) -> None:
    """Print names and values, one pair a line."""
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    drawn.add_column(style="bold", no_wrap=True)
    drawn.add_column(overflow="fold")
    for name, value in rows:
        drawn.add_row(name, _cell(value))
    _print(console(stderr=stderr), drawn)


def _print(target: Console, drawn: Table) -> None:
    if target.is_terminal:
        target.print(drawn)
        return
    with target.capture() as captured:
        target.print(drawn)
    for line in captured.get().splitlines():
        target.out(line.rstrip(), highlight=False)


def confirm(question: str) -> bool:
    """Ask on the terminal; anything but yes is no."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def is_interactive() -> bool:
    """Say whether a person sits at both ends."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def mute_stdout() -> None:
    """Let the interpreter flush stdout into nothing when it ends: its reader is gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def when(moment: datetime) -> str:
    """Write a moment in the person's own time zone."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _cell(value: object) -> str | Text:
    from rich.text import Text

    return value if isinstance(value, Text) else str(value)


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
