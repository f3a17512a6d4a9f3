"""Processors that compensate: what they may take, and what does not fit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Any

import pytest
from pydantic import BaseModel

import fanout
from fanout import UsageError
from fanout.compensators import Undo, check_fits, check_ordinary


class Charge(BaseModel):
    id: str
    cents: int


class Part(BaseModel):
    id: str


@fanout.processor
async def charge(order: int) -> Charge:
    return Charge(id=f"c{order}", cents=1)


@fanout.processor
def dated(order: dict[str, Any]) -> datetime | None:
    return None


@asynccontextmanager
async def bank() -> AsyncIterator[str]:
    yield "bank"


def test_a_compensator_takes_the_output_after_the_item_and_before_what_its_lifespan_yields() -> None:
    @fanout.processor(compensates=charge, lifespan=bank)
    def refund(order: int, made: Charge, where: str, *, currency: str = "EUR") -> str:
        return f"{order} {made.id} {where} {currency}"

    assert refund.compensates == "charge"
    assert refund.undoes is not None
    made = refund.undoes.validate_json(b'{"id":"c3","cents":1}')
    assert refund.body(Undo(3, made), "bank", currency="CHF") == "3 c3 bank CHF"
    assert refund(3, made, "bank") == "3 c3 bank EUR"
    assert refund.taken({"currency": "CHF", "px": 1}) == {"currency": "CHF"}


def test_lists_of_items_and_outputs_come_side_by_side() -> None:
    @fanout.processor(compensates="charge", list_size=3)
    def refund(orders: list[int], made: list[Part]) -> list[str]:
        return [f"{order} {one.id}" for order, one in zip(orders, made, strict=True)]

    assert refund.undoes is not None
    assert refund.body([Undo(1, Part(id="a")), Undo(2, Part(id="b"))]) == ["1 a", "2 b"]


def test_one_that_takes_the_item_alone_is_ordinary() -> None:
    @fanout.processor(compensates=charge)
    def forget(order: int) -> None: ...

    assert forget.undoes is None
    check_ordinary(forget)
    check_fits(forget, {"charge", "other"})
    with pytest.raises(UsageError, match="'forget' compensates 'charge'; the run is one of 'a' and 'b'"):
        check_fits(forget, {"b", "a"})
    check_fits(charge, {"whatever"})


def test_what_takes_an_output_runs_nothing_else() -> None:
    @fanout.processor(compensates=charge)
    def refund(order: int, made: Charge) -> None: ...

    with pytest.raises(UsageError, match="'refund' takes the output of 'charge': it runs as a compensation"):
        check_ordinary(refund)


def test_what_cannot_fit_at_all_is_refused_when_it_is_registered() -> None:
    def wants_text(order: int, made: str) -> None: ...
    def wants_text_item(order: str, made: Charge) -> None: ...
    def wants_too_much(order: int, made: Charge, more: int) -> None: ...

    unfit: list[tuple[Callable[..., Any], str]] = [
        (wants_text, "whose output is of JSON's type 'object', but takes 'string'"),
        (wants_text_item, "whose item is of JSON's type 'number', but takes 'string'"),
        (wants_too_much, "must take the item and the output that it undoes as its positional arguments"),
    ]
    for function, message in unfit:
        with pytest.raises(UsageError, match=message):
            fanout.processor(function, compensates=charge)

    def pair(order: int, made: Charge) -> None: ...

    with pytest.raises(UsageError, match="must take the item as its positional argument"):
        fanout.processor(pair)


def test_less_of_an_output_and_other_types_of_one_kind_will_do() -> None:
    def takes_part(order: int, made: Part) -> None: ...
    def takes_any(order: float, made: Any) -> None: ...
    def takes_date(order: dict[str, int], made: date) -> None: ...

    fanout.processor(takes_part, compensates=charge)
    fanout.processor(takes_any, compensates=charge)
    fanout.processor(takes_date, compensates=dated)
