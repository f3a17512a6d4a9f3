"""`fanout.info()`: what a processor may ask about the item it runs for."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from temporalio import workflow

from fanout.wire import ITEM_MEMO


@dataclass(frozen=True)
class Info:
    """The item that the calling processor runs for.

    Attributes:
        run_id: The run's id.
        index: Position of the item in the source.
        key: What a person would search for.
        attempt: Counted from 1.
        idempotency_key: The same for every attempt and every rerun of the item: hand it to services that ask for one.
        processor: Name of the processor.
    """

    run_id: str
    index: int
    key: str
    attempt: int
    idempotency_key: str
    processor: str

    @property
    def logger(self) -> Any:
        """A structlog logger bound to the run, the index and the key."""
        return structlog.get_logger(self.processor).bind(run=self.run_id, index=self.index, key=self.key)


current: contextvars.ContextVar[Callable[[], Info]] = contextvars.ContextVar("fanout_item")
"""Set once per slot, not per item: it is called only when a processor asks."""


def info() -> Info:
    """Return what is known of the item that the calling processor runs for; also in the workflow of an item.

    With `list_size`, that is the first item of the list.

    Raises:
        RuntimeError: Not called from within a processor.
    """
    ask = current.get(None)
    if ask is None and workflow.in_workflow() and ITEM_MEMO in workflow.memo():
        return Info(**workflow.memo_value(ITEM_MEMO, type_hint=dict))
    if ask is None:
        raise RuntimeError("fanout.info() is known only inside a processor")
    return ask()
