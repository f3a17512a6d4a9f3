"""Where items come from: files, ranges, and what a program has in memory. Knows nothing of Temporal."""

from __future__ import annotations

from fanout.readers.base import Reader, Records, Unreadable
from fanout.readers.csvfile import Csv
from fanout.readers.items import Items, StagedItems
from fanout.readers.jsonl import JsonLines
from fanout.readers.range import Range
from fanout.readers.registry import from_source, kinds, register

for _reader in (Csv, Items, JsonLines, Range, StagedItems):
    register(_reader)

__all__ = [
    "Csv",
    "Items",
    "JsonLines",
    "Range",
    "Reader",
    "Records",
    "StagedItems",
    "Unreadable",
    "from_source",
    "kinds",
    "register",
]
