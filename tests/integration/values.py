"""Items and parameters of several tests."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from decimal import Decimal

from pydantic import BaseModel


class Image(BaseModel):
    id: int
    taken: datetime = datetime(2013, 1, 1, tzinfo=UTC)


@dataclasses.dataclass
class Point:
    x: int
    y: Decimal = Decimal("0.5")
