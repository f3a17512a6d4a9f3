"""Processors that do nothing special, for tests of what they are given."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

import fanout


class Item(BaseModel):
    id: int
    name: str = ""


@fanout.processor
async def name_of(item: Item) -> str:
    return item.name or str(item.id)


@fanout.processor
async def length(item: Any) -> int:
    return len(item)
