"""Work for the processor: a function that both fanout and a bare process pool run."""

from __future__ import annotations

import hashlib

BLOCK = bytes(1_000_000)
ROUNDS = 12


def digest(number: int) -> str:
    """Return a hash that takes some milliseconds: of a megabyte, several times over.

    Args:
        number: Goes into the hash.
    """
    found = number.to_bytes(8)
    for _ in range(ROUNDS):
        found = hashlib.sha256(found + BLOCK).digest()
    return found.hex()
