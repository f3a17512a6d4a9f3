"""What a processor is made of, and what is refused with which words; runs are tested on the real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypedDict

import pytest
from pydantic import BaseModel
from temporalio import activity
from temporalio.common import RetryPolicy

import fanout
from fanout.errors import UnknownProcessor, UsageError
from fanout.processors import as_processor, find, registered


class Image(BaseModel):
    id: int


class Row(TypedDict):
    id: int


@asynccontextmanager
async def pool() -> AsyncIterator[str]:
    yield "pool"


async def fetch(image: Image, *, px: int = 512) -> int:
    return image.id * px


def nothing() -> None: ...
def two(image: Image, other: int) -> None: ...
def generator(image: Image) -> Iterator[int]:
    yield 1


class Opaque: ...


def unreadable(image: Opaque) -> int:
    return 1


def one_list(images: list[Image]) -> list[int | Exception]:
    return [image.id for image in images]


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fanout.processors._registry", {})


def test_a_processor_can_be_called_and_tested_like_its_function() -> None:
    made = fanout.processor(one_list, list_size=2)
    assert made([Image(id=3)]) == [3]
    assert repr(made) == "<fanout processor 'one_list'>"
    assert made.__doc__ == one_list.__doc__


def test_a_processor_is_registered_under_its_name() -> None:
    made = fanout.processor(fetch, name="thumbnail", version=2)
    assert registered() == {"thumbnail": made}
    assert find("thumbnail") is made
    assert made.version == "2"
    assert as_processor(made) is made


def test_an_unknown_processor_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownProcessor, match="no processor 'x' is registered here; there are: none"):
        find("x")


def test_an_activity_keeps_its_name() -> None:
    @activity.defn(name="resize")
    async def wrapped(item: int) -> int:
        return item

    made = fanout.processor(wrapped)
    assert made.name == "resize"
    assert made.is_activity


def test_a_list_processor_is_typed_by_its_elements() -> None:
    made = fanout.processor(one_list, list_size=10)
    assert made.item_type is Image
    assert made.outputs.validate_python("3") == 3


def test_a_typed_dict_types_items_on_every_version_of_python() -> None:
    async def read(row: Row) -> int:
        return row["id"]

    assert fanout.processor(read).items.validate_json(b'{"id": "3"}') == {"id": 3}


def test_settings_come_from_the_decorator() -> None:
    made = fanout.processor(retries=4, timeout=timedelta(seconds=3), non_retryable=["ValueError"])(fetch)
    assert made.settings == {"retries": 4, "timeout": 3.0, "non_retryable": ("ValueError",)}


def test_parameters_are_validated() -> None:
    made = fanout.processor(fetch)
    assert made.check_params({"px": "4"}) == {"px": 4}
    assert made.load_params({}) == {"px": 512}
    with pytest.raises(UsageError, match="has no parameter 'py'; it takes px"):
        made.check_params({"py": 1})
    with pytest.raises(
        UsageError, match="parameter 'px' of processor 'fetch': input should be a valid integer"
    ):
        made.check_params({"px": "large"})


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (nothing, {}, "must take the item as its positional argument"),
        (two, {}, r"must take the item as its positional argument, got \(image, other\)"),
        (fetch, {"lifespan": pool}, "must take the item and what its lifespan yields"),
        (generator, {}, "is a generator"),
        (fetch, {"executor": "process"}, "is an `async def`"),
        (one_list, {"executor": "fork"}, "executor must be 'thread' or 'process'"),
        (one_list, {"list_size": 0}, "list_size must be at least 1"),
        (fetch, {"list_size": 3}, "annotate its argument as a list"),
        (fetch, {"retries": -1}, "option retries"),
        (fetch, {"retries": 1, "retry_policy": RetryPolicy(maximum_attempts=2)}, "give retry_policy alone"),
        (lambda item: item, {}, "give .* a name"),
        (unreadable, {}, "cannot be read from or written to JSON"),
        (3, {}, "a processor is a function, not 3"),
    ],
)
def test_what_cannot_be_a_processor_is_refused_with_the_reason(
    function: Any, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        fanout.processor(function, **arguments)


def test_an_annotation_that_names_something_unknown_is_refused() -> None:
    def broken(item: "Nowhere") -> int:  # type: ignore[name-defined]  # noqa: F821, UP037
        return 1

    with pytest.raises(UsageError, match="its annotations name something unknown"):
        fanout.processor(broken)
