"""Processors that are workflows: what fanout reads off a `@workflow.defn` class, and the names of items' workflows.

Client, workers and workflows share this; what starts and awaits the workflows is in `children.item_workflows`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from fanout.errors import UsageError

_DEFINITION = "__temporal_workflow_definition"


def workflow_name(target: object) -> str | None:
    """Return the type under which a class is registered with Temporal as a workflow; None where it is no workflow.

    Raises:
        UsageError: It is a dynamic workflow, which has no name.
    """
    definition = target.__dict__.get(_DEFINITION) if isinstance(target, type) else None
    if definition is None:
        return None
    if definition.name is None:
        raise UsageError(f"{target!r} is a dynamic workflow: a processor needs one with a name")
    return str(definition.name)


def call_of(workflow: type) -> Callable[..., Awaitable[Any]]:
    """Return a function with the signature of a processor: the item, and the run's parameters as keywords.

    Raises:
        UsageError: The workflow's run method takes something else.
    """
    run = getattr(workflow, _DEFINITION).run_fn
    taken = list(inspect.signature(run).parameters.values())[1:]
    if not taken or any(one.kind is not one.POSITIONAL_OR_KEYWORD for one in taken):
        raise UsageError(
            f"processor {workflow.__name__!r}: its run method must take the item, and may take parameters of the run "
            f"after it, by plain arguments; got ({', '.join(map(str, taken))})"
        )

    async def call(item: Any, **params: Any) -> Any:
        raise UsageError(
            f"{workflow.__name__} is a workflow: it runs on a Temporal server, not in this process"
        )

    functools.update_wrapper(call, run)
    item, *params = taken
    keywords = [one.replace(kind=one.KEYWORD_ONLY) for one in params]
    call.__signature__ = inspect.Signature([item.replace(default=inspect.Parameter.empty), *keywords])  # type: ignore[attr-defined]
    return call


def ids_of(run_id: str, nonce: str = "") -> str:
    """Return how the ids of the items' workflows begin: those of one execution of a run, or those of all."""
    # A rerun of an item gets a workflow of its own, and so does a new run in place of an old one.
    return f"{run_id}/items-{nonce[:8]}/" if nonce else f"{run_id}/items-"
