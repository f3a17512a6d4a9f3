"""Search attributes by which runs are found in lists, where the namespace has them: processor, status, failed items.

Whether it has them is asked by the client that starts a run, which tells the root: a workflow that sets an attribute
which the namespace does not have would be retried for ever.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Collection
from datetime import timedelta
from typing import Any, Final

from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    SearchAttributeUpdate,
    TypedSearchAttributes,
)
from temporalio.service import RPCError, RPCStatusCode, ServiceClient

from fanout.models import Status

PROCESSOR: Final = SearchAttributeKey.for_keyword("FanoutProcessor")
STATUS: Final = SearchAttributeKey.for_keyword("FanoutStatus")
FAILED: Final = SearchAttributeKey.for_int("FanoutFailed")

KEYS: Final[tuple[SearchAttributeKey[Any], ...]] = (PROCESSOR, STATUS, FAILED)
TYPES: Final = {key.name: key.indexed_value_type.name.capitalize() for key in KEYS}
"""Name to type, as the `temporal` command takes them."""

REMEMBERED: Final = 60.0
"""Seconds; the server itself takes up to a minute until it knows a new one everywhere."""

_TIMEOUT: Final = timedelta(seconds=5)

_EXECUTIONS: Final = {
    **dict.fromkeys((Status.RUNNING, Status.PAUSED, Status.DRAINING), "ExecutionStatus = 'Running'"),
    **dict.fromkeys(
        (Status.SUCCEEDED, Status.COMPLETED_WITH_FAILURES, Status.STOPPED), "ExecutionStatus = 'Completed'"
    ),
    Status.CANCELED: "ExecutionStatus = 'Canceled'",
    Status.TERMINATED: "ExecutionStatus = 'Terminated'",
}
"""What Temporal says of runs in a status; of the others nothing in particular."""

_known: weakref.WeakKeyDictionary[ServiceClient, dict[str, tuple[float, list[str]]]] = (
    weakref.WeakKeyDictionary()
)


async def registered(client: Client) -> list[str]:
    """Return which of them the client's namespace has, with the right type; none where the server does not say."""
    known = _known.setdefault(client.service_client, {})
    when, names = known.get(client.namespace, (0.0, []))
    if not when or time.monotonic() - when > REMEMBERED:
        names = await _ask(client)
        known[client.namespace] = time.monotonic(), names
    return names


def forget(client: Client) -> None:
    """Ask again the next time."""
    _known.pop(client.service_client, None)


def is_unknown(error: RPCError) -> bool:
    """Tell whether the server refuses a search attribute."""
    return error.status is RPCStatusCode.INVALID_ARGUMENT and "search attribute" in error.message.lower()


def at_start(names: Collection[str], processor: str) -> TypedSearchAttributes:
    """Return what a run begins with."""
    said = SearchAttributePair(PROCESSOR, processor), SearchAttributePair(STATUS, Status.RUNNING.value)
    return TypedSearchAttributes([pair for pair in said if pair.key.name in names])


def updates(
    names: Collection[str], status: Status, failed: int | None = None
) -> list[SearchAttributeUpdate[Any]]:
    """Return what changes with a run's status.

    Args:
        names: The attributes that the run may set.
        status: From now on.
        failed: Items that failed; None while the run goes on.
    """
    said: list[SearchAttributeUpdate[Any]] = [STATUS.value_set(status.value)]
    if failed is not None:
        said.append(FAILED.value_set(failed))
    return [update for update in said if update.key.name in names]


def conditions(names: Collection[str], status: Status | None, processor: str | None) -> list[str]:
    """Return what a query for runs asks beyond their type: no less than is sure to hold of all that are meant.

    Runs that began before the namespace had the attributes are without them.

    Args:
        names: The attributes that the namespace has.
        status: The status that is asked for; None for any.
        processor: The same of the processor.
    """
    found = []
    if status in _EXECUTIONS:
        found.append(_EXECUTIONS[status])
    if processor is not None and PROCESSOR.name in names:
        found.append(f"({PROCESSOR.name} = {quoted(processor)} OR {PROCESSOR.name} IS NULL)")
    return found


def quoted(text: str) -> str:
    """Return a text as a value in a query."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


async def _ask(client: Client) -> list[str]:
    try:
        answer = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace), timeout=_TIMEOUT
        )
    except RPCError:
        # Not everybody may ask: then runs go without.
        return []
    there = answer.custom_attributes
    return [key.name for key in KEYS if there.get(key.name) == int(key.indexed_value_type)]
