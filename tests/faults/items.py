"""The items of a scenario, and what must come of each: known before anything runs."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from tests.faults.scale import Scale

Item = dict[str, Any]

FAILS: Final = "fail"
FLAKY: Final = "flaky"
LATER: Final = "later"
CALLS: Final = {FAILS: 2, FLAKY: 2, LATER: 2}
"""How often an item's function must be called; once where nothing is said."""

DEATHS: Final = ("exit", "segv", "kill", "loop")
"""What an item may do that no processor survives; `memory` is one that a processor may survive."""
HOG: Final = "memory"


@dataclass(frozen=True)
class Expected:
    """What must come of one item.

    Attributes:
        key: Its key.
        kind: Where its row must be.
        checksum: Of its input.
        input: The item.
        reasons: The error types with which it may fail.
        message: What its message must hold.
        calls: How often its function must be called when nothing disturbs it.
    """

    key: str
    kind: Literal["results", "failures"]
    checksum: str
    input: Item
    reasons: tuple[str, ...] = ()
    message: str = ""
    calls: int = 1


def checksum(item: Mapping[str, Any]) -> str:
    """Return what tells an input from any other."""
    return hashlib.sha256(json.dumps(item, sort_keys=True).encode()).hexdigest()


Fingerprint = dict[str, int]


def fingerprint(checksums: Iterable[str]) -> Fingerprint:
    """Return how many checksums there are, and their sum."""
    numbers = [int(checksum, 16) for checksum in checksums]
    return {"items": len(numbers), "sum": sum(numbers)}


def make(
    scale: Scale, random: random.Random, *, later: int = 0, poison: Mapping[int, str] | None = None
) -> list[Item]:
    """Make the items of a scenario.

    Args:
        scale: Its size.
        random: Its random numbers.
        later: How many items ask for a next attempt that is seconds away.
        poison: Which items are deadly, and in which way.
    """
    numbers = range(scale.items)
    kinds = dict.fromkeys(random.sample(numbers, scale.items // 50), FLAKY)
    kinds |= dict.fromkeys(random.sample(numbers, scale.items // 100), FAILS)
    kinds |= dict.fromkeys(random.sample(numbers, later), LATER)
    kinds |= poison or {}
    return [
        {
            "key": f"k{number:06}-{random.randrange(16**4):04x}",
            "text": f"{random.randrange(16**24):x}",
            "ms": random.randint(*scale.item_ms),
            "do": kinds.get(number, ""),
        }
        for number in numbers
    ]


def expect(items: Iterable[Item]) -> dict[int, Expected]:
    """Return what must come of some items, by their indexes."""
    return {index: _expect(item) for index, item in enumerate(items)}


def _expect(item: Item) -> Expected:
    what, known = item["do"], (item["key"], checksum(item), item)
    if what == FAILS:
        return _failure(*known, ("ValueError",), f"{item['key']} is no good", CALLS[what])
    if what in DEATHS:
        return _failure(*known, ("WorkerDied",), "died while processing this item")
    if what == HOG:
        # Where the limit is met decides: an allocation of ours is an error, one of the interpreter's an end.
        return _failure(*known, ("WorkerDied", "MemoryError"), "")
    return Expected(known[0], "results", known[1], item, calls=CALLS.get(what, 1))


def _failure(
    key: str, digest: str, item: Item, reasons: tuple[str, ...], message: str, calls: int = 1
) -> Expected:
    return Expected(key, "failures", digest, item, reasons, message, calls)


def write(path: Path, items: Iterable[Item]) -> Path:
    """Write items as JSON Lines."""
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path
