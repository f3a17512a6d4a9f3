"""The item of the item files. A module of its own, for what fanout is compared with must not need fanout."""

from __future__ import annotations

from pydantic import BaseModel


class Item(BaseModel):
    """One line of an item file."""

    id: int
    name: str
