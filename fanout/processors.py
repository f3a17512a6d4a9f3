"""Processors: the user's function for one item, and what fanout reads off it.

The annotation of the first parameter says how an item is validated; the return annotation says how the output is
written; keyword-only parameters are the parameters of a run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, Generic, Literal, ParamSpec, Protocol, TypeVar, cast, overload

from pydantic import TypeAdapter, ValidationError
from temporalio import workflow
from temporalio.common import RetryPolicy

from fanout.adapters import adapter
from fanout.annotations import read_signature
from fanout.compensators import check_types, unpacking
from fanout.errors import UnknownProcessor, UsageError
from fanout.itemworkflows import call_of, workflow_name
from fanout.options import check, from_retry_policy
from fanout.pages import Json

P = ParamSpec("P")
R = TypeVar("R")
W = TypeVar("W")

Executor = Literal["thread", "process"]
Lifespan = Callable[[], AbstractAsyncContextManager[Any]]

_ACTIVITY_ATTRIBUTE = "__temporal_activity_definition"


class Processor(Generic[P, R]):
    """A function for one item (or for a list of them), with how it wants to be run.

    Made by `fanout.processor`. Calling it calls the function, so that it can be tested like any other.

    Attributes:
        name: Its registered name; Temporal Web shows its batches as `fanout:<name>`.
        version: Recorded with each failure; change it when the function's meaning changes.
        function: The user's function.
        executor: Where a `def` runs: threads, or processes for CPU-bound work; None for `async def`.
        list_size: The function takes a list of up to so many items; None: it takes one.
        lifespan: Entered once per worker process; what it yields is the function's second argument.
        settings: Options that the processor asks for.
        is_activity: Whether the function is a Temporal activity, which expects an activity context of its own.
        compensates: Name of the processor whose work it undoes, where it says so.
        undoes: Of a compensating one that takes the output of an item: how that is read.
        body: The function as one of what a window hands over: the item, or the item with that output.
        workflow: The Temporal workflow that runs an item; None where the function does.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str,
        version: str,
        settings: dict[str, Any],
        executor: Executor | None,
        list_size: int | None,
        lifespan: Lifespan | None,
        task_queue: str | None,
        is_activity: bool,
        compensates: Processor[..., Any] | str | None = None,
        workflow: type | None = None,
    ) -> None:
        self.name = name
        self.version = version
        self.function = function
        self.settings = settings
        self.executor = executor
        self.list_size = list_size
        self.lifespan = lifespan
        self.task_queue = task_queue
        self.is_activity = is_activity
        self.compensates = compensates.name if isinstance(compensates, Processor) else compensates
        self.workflow = workflow
        self.__wrapped__ = function
        self.__name__ = name
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__qualname__ = getattr(function, "__qualname__", name)
        item, undone, output, params = read_signature(self)
        self.item_type: Any = item
        self.items: TypeAdapter[Any] = adapter(item, f"the item of processor {name!r}")
        self.outputs: TypeAdapter[Any] = adapter(output, f"the output of processor {name!r}")
        self.undoes: TypeAdapter[Any] | None = None
        self.body: Callable[..., Any] = function
        if undone is not None:
            self.undoes = adapter(undone, f"the output that processor {name!r} undoes")
            self.body = unpacking(function, lists=list_size is not None)
        if isinstance(compensates, Processor):
            check_types(self, compensates)
        self._params = params

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the user's function."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<fanout processor {self.name!r}>"

    @property
    def is_async(self) -> bool:
        """Whether the function is an `async def`."""
        return self.executor is None

    def check_params(self, given: Mapping[str, Any]) -> dict[str, Json]:
        """Validate the parameters of a run against the keyword-only parameters of the function.

        Args:
            given: Names and values.

        Returns:
            The parameters as JSON values.

        Raises:
            UsageError: One is unknown, missing or of the wrong type.
        """
        known = list(self._params.model_fields)
        for name in given:
            if name not in known:
                there = f"it takes {', '.join(known)}" if known else "it takes none"
                raise UsageError(f"processor {self.name!r} has no parameter {name!r}; {there}")
        try:
            checked: dict[str, Json] = self._params.model_validate(dict(given)).model_dump(mode="json")
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            raise UsageError(
                f"parameter {name!r} of processor {self.name!r}: {first['msg'].lower()}"
            ) from None
        return checked

    def taken(self, params: Mapping[str, Json]) -> dict[str, Json]:
        """Return those of another processor's parameters that this one takes, too."""
        return {name: value for name, value in params.items() if name in self._params.model_fields}

    def load_params(self, params: Mapping[str, Json]) -> dict[str, Any]:
        """Turn parameters of a run into what the function takes."""
        model = self._params.model_validate(dict(params))
        return {name: getattr(model, name) for name in self._params.model_fields}


_registry: dict[str, Processor[..., Any]] = {}


def registered() -> dict[str, Processor[..., Any]]:
    """Return the processors that this process knows, by name."""
    return dict(_registry)


def find(name: str, among: Mapping[str, Processor[..., Any]] | None = None) -> Processor[..., Any]:
    """Return the processor of that name.

    Raises:
        UnknownProcessor: There is none; the text lists those there are.
    """
    known = _registry if among is None else among
    if name not in known:
        there = ", ".join(sorted(known)) or "none"
        raise UnknownProcessor(f"no processor {name!r} is registered here; there are: {there}")
    return known[name]


class Decorator(Protocol):
    """Makes a processor of what it decorates; a workflow class stays what it is."""

    @overload
    def __call__(self, target: type[W], /) -> type[W]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, target: Callable[P, R], /) -> Processor[P, R]: ...


# A class is callable, too: the first that fits counts.
@overload
def processor(function: type[W], /) -> type[W]: ...  # type: ignore[overload-overlap]
@overload
def processor(function: Callable[P, R], /) -> Processor[P, R]: ...
@overload
def processor(
    function: Callable[P, R],
    /,
    *,
    name: str | None = None,
    version: str | int | None = None,
    retries: int | None = None,
    retry_policy: RetryPolicy | None = None,
    timeout: float | timedelta | None = None,
    non_retryable: list[str] | tuple[str, ...] | None = None,
    executor: Executor | None = None,
    list_size: int | None = None,
    task_queue: str | None = None,
    lifespan: Lifespan | None = None,
    rate_limit: str | None = None,
    compensates: Processor[..., Any] | str | None = None,
) -> Processor[P, R]: ...
@overload
def processor(
    function: None = None,
    /,
    *,
    name: str | None = None,
    version: str | int | None = None,
    retries: int | None = None,
    retry_policy: RetryPolicy | None = None,
    timeout: float | timedelta | None = None,
    non_retryable: list[str] | tuple[str, ...] | None = None,
    executor: Executor | None = None,
    list_size: int | None = None,
    task_queue: str | None = None,
    lifespan: Lifespan | None = None,
    rate_limit: str | None = None,
    compensates: Processor[..., Any] | str | None = None,
) -> Decorator: ...
def processor(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    version: str | int | None = None,
    retries: int | None = None,
    retry_policy: RetryPolicy | None = None,
    timeout: float | timedelta | None = None,
    non_retryable: list[str] | tuple[str, ...] | None = None,
    executor: Executor | None = None,
    list_size: int | None = None,
    task_queue: str | None = None,
    lifespan: Lifespan | None = None,
    rate_limit: str | None = None,
    compensates: Processor[..., Any] | str | None = None,
) -> Any:
    """Make a processor of a function for one item: as a decorator, or around an existing function or activity.

    A class decorated with `@workflow.defn` makes one as well, with a workflow for each item; it is returned as it is.

    Args:
        function: `async def`, `def`, a bound method, or a function decorated with `@activity.defn`; or a workflow.
        name: Registered name; the function's own (an activity's: its activity name) by default.
        version: Recorded with failures; `"1"` by default.
        retries: Further attempts of an item after its first one failed.
        retry_policy: Temporal's retry policy, instead of `retries`.
        timeout: Of one attempt: seconds or a timedelta.
        non_retryable: Names of error types that fail an item at once.
        executor: Where a `def` runs: `"thread"` (default), or `"process"` to use all cores for CPU-bound work.
        list_size: The function takes a list of up to so many items and returns as many outputs or exceptions.
        task_queue: The queue of its runs, unless `start` says another.
        lifespan: Makes an async context manager that is entered once per worker process before it polls; what it
            yields is passed as the second positional argument.
        rate_limit: Items of a run that begin in a second or minute, such as `"200/s"` or `"12000/min"`.
        compensates: The processor whose work this one undoes, or its name. Then the function may take, after the item,
            the output that the item had: `async def refund(order: Order, charge: Charge)`.

    Returns:
        The processor, registered in this process under its name.

    Raises:
        UsageError: The function or a setting does not fit; the text says what and why.
    """

    def make(target: Any) -> Any:
        if not callable(target):
            raise UsageError(f"a processor is a function, not {target!r}")
        runs = workflow_name(target)
        if runs is not None and workflow.unsafe.in_sandbox():
            # Imported once more for a workflow that runs: the worker has the processor already.
            return target
        settings: dict[str, Any] = {}
        if retry_policy is not None:
            if retries is not None or non_retryable is not None:
                raise UsageError("give retry_policy alone, or retries and non_retryable")
            settings.update(from_retry_policy(retry_policy))
        if retries is not None:
            settings["retries"] = retries
        if non_retryable is not None:
            settings["non_retryable"] = tuple(non_retryable)
        if timeout is not None:
            settings["timeout"] = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        if rate_limit is not None:
            settings["rate_limit"] = rate_limit
        if runs is not None:
            _check_workflow(runs, name, executor, list_size, lifespan)
            # What has timers and signals of its own may take days.
            settings.setdefault("timeout", None)
        function = target if runs is None else call_of(target)
        made: Processor[..., Any] = Processor(
            function,
            name=runs or name or _name_of(target),
            version=str(version) if version is not None else "1",
            settings=check(settings),
            executor=_executor_of(function, executor),
            list_size=list_size,
            lifespan=lifespan,
            task_queue=task_queue,
            is_activity=hasattr(target, _ACTIVITY_ATTRIBUTE),
            compensates=compensates,
            workflow=None if runs is None else target,
        )
        if not workflow.unsafe.in_sandbox():
            _registry[made.name] = made
        return made if runs is None else target

    return make if function is None else make(function)


def as_processor(target: Processor[..., Any] | Callable[..., Any]) -> Processor[..., Any]:
    """Return the processor itself, the one of a workflow, or one made of a plain function with default settings."""
    return processor_of(target) or cast("Processor[..., Any]", processor_of(processor(target)))


def processor_of(target: object) -> Processor[..., Any] | None:
    """Return the processor itself, or the one that a workflow class was made into; None where it is neither."""
    if isinstance(target, Processor):
        return target
    known = _registry.get(workflow_name(target) or "")
    return known if known is not None and _is_same(known.workflow, target) else None


def activity_name(function: Callable[..., Any]) -> str | None:
    """Return the activity type under which a function is registered with Temporal; None where it is no activity."""
    definition = getattr(function, _ACTIVITY_ATTRIBUTE, None)
    return definition.name if definition is not None else None


def _is_same(known: type | None, target: Any) -> bool:
    """Tell whether two classes are one: a workflow's sandbox has its own copy."""
    return known is not None and (known.__module__, known.__qualname__) == (
        target.__module__,
        target.__qualname__,
    )


def _check_workflow(
    runs: str, name: str | None, executor: Executor | None, list_size: int | None, lifespan: Lifespan | None
) -> None:
    what = f"processor {runs!r} is a workflow"
    if name not in (None, runs):
        raise UsageError(f"{what}: its name is that of the workflow; say @workflow.defn(name={name!r})")
    given = {"executor": executor, "list_size": list_size, "lifespan": lifespan}
    for setting, value in given.items():
        if value is not None:
            raise UsageError(f"{what}: it cannot have {setting}, which is for functions")


def _name_of(function: Callable[..., Any]) -> str:
    name = activity_name(function) or getattr(function, "__name__", None)
    if not name or name == "<lambda>":
        raise UsageError(f"give {function!r} a name: fanout.processor(…, name=…)")
    return str(name)


def _executor_of(function: Callable[..., Any], asked: Executor | None) -> Executor | None:
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise UsageError(
            f"processor {_name_of(function)!r} is a generator: it must return one output per item"
        )
    # An object whose `__call__` is an `async def` is one, too.
    if any(inspect.iscoroutinefunction(f) for f in (function, type(function).__call__)):
        if asked is not None:
            raise UsageError(
                f"processor {_name_of(function)!r} is an `async def`: executor={asked!r} is for `def`"
            )
        return None
    if asked not in (None, "thread", "process"):
        raise UsageError(f"executor must be 'thread' or 'process', got {asked!r}")
    return asked or "thread"


__all__ = ["Processor", "activity_name", "as_processor", "find", "processor", "registered"]
