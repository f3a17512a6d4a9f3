"""Item files: made once, kept under bench/data."""

from __future__ import annotations

from pathlib import Path

DATA = Path(__file__).parent / "data"

_CHUNK = 50_000


def items_file(count: int, first: int = 0) -> Path:
    """Return a JSON Lines file of items such as `{"id":7,"name":"item 7"}`.

    Args:
        count: How many.
        first: Id of the first one.
    """
    path = DATA / f"items-{first}-{first + count}.jsonl"
    if not path.exists():
        DATA.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("wb") as file:
            for chunk in _chunks(first, first + count):
                file.write(b"".join(b'{"id":%d,"name":"item %d"}\n' % (number, number) for number in chunk))
        unfinished.rename(path)
    return path


def _chunks(first: int, end: int) -> list[range]:
    return [range(at, min(at + _CHUNK, end)) for at in range(first, end, _CHUNK)]
