"""Processors: the user's function for one item, and what fanout reads off it.

The annotation of the first parameter says how an item is validated; the return annotation says how the output is
written; keyword-only parameters are the parameters of a run.
"""

from __future__ import annotations

import functools
import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, Generic, Literal, ParamSpec, TypeVar, overload

import typing_extensions
from pydantic import (
    ConfigDict,
    PydanticSchemaGenerationError,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
    create_model,
)
from temporalio.common import RetryPolicy

from fanout.compensators import check_types, unpacking
from fanout.errors import UnknownProcessor, UsageError
from fanout.models import Json
from fanout.options import check, from_retry_policy

P = ParamSpec("P")
R = TypeVar("R")

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
        self.__wrapped__ = function
        self.__name__ = name
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__qualname__ = getattr(function, "__qualname__", name)
        item, undone, output, params = _read_signature(self)
        self.item_type: Any = item
        self.items: TypeAdapter[Any] = _adapter(item, f"the item of processor {name!r}")
        self.outputs: TypeAdapter[Any] = _adapter(output, f"the output of processor {name!r}")
        self.undoes: TypeAdapter[Any] | None = None
        self.body: Callable[..., Any] = function
        if undone is not None:
            self.undoes = _adapter(undone, f"the output that processor {name!r} undoes")
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
) -> Callable[[Callable[P, R]], Processor[P, R]]: ...
def processor(
    function: Callable[P, R] | None = None,
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
) -> Processor[P, R] | Callable[[Callable[P, R]], Processor[P, R]]:
    """Make a processor of a function for one item: as a decorator, or around an existing function or activity.

    Args:
        function: `async def`, `def`, a bound method, or a function decorated with `@activity.defn`.
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

    def make(target: Callable[P, R]) -> Processor[P, R]:
        if not callable(target):
            raise UsageError(f"a processor is a function, not {target!r}")
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
        made = Processor(
            target,
            name=name or _name_of(target),
            version=str(version) if version is not None else "1",
            settings=check(settings),
            executor=_executor_of(target, executor),
            list_size=list_size,
            lifespan=lifespan,
            task_queue=task_queue,
            is_activity=hasattr(target, _ACTIVITY_ATTRIBUTE),
            compensates=compensates,
        )
        _registry[made.name] = made
        return made

    return make if function is None else make(function)


def as_processor(target: Processor[..., Any] | Callable[..., Any]) -> Processor[..., Any]:
    """Return the processor itself, or one made of a plain function with default settings."""
    return target if isinstance(target, Processor) else processor(target)


def activity_name(function: Callable[..., Any]) -> str | None:
    """Return the activity type under which a function is registered with Temporal; None where it is no activity."""
    definition = getattr(function, _ACTIVITY_ATTRIBUTE, None)
    return definition.name if definition is not None else None


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


def _read_signature(made: Processor[..., Any]) -> tuple[Any, Any, Any, Any]:
    """Return the item's type, that of the output it undoes (None: it takes none), the output's, and the parameters."""
    function = made.function
    what = f"processor {made.name!r}"
    if made.list_size is not None and made.list_size < 1:
        raise UsageError(f"{what}: list_size must be at least 1, got {made.list_size}")
    try:
        hints = typing.get_type_hints(_plain(function), include_extras=True)
    except NameError as error:
        raise UsageError(f"{what}: its annotations name something unknown: {error}") from None
    parameters = inspect.signature(function).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    undoes = _check_arguments(made, positional)
    item = hints.get(positional[0].name, Any)
    undone = hints.get(positional[1].name, Any) if undoes else None
    output = hints.get("return", Any)
    if made.list_size is not None:
        item, output = _element(item, what, "its argument"), _element_of_output(output)
        undone = _element(undone, what, "the outputs") if undoes else None
    fields: dict[str, Any] = {
        p.name: (hints.get(p.name, Any), ... if p.default is p.empty else p.default)
        for p in parameters
        if p.kind is p.KEYWORD_ONLY
    }
    model = create_model(
        f"{made.name} parameters", __config__=ConfigDict(arbitrary_types_allowed=False), **fields
    )
    return item, undone, output, model


def _check_arguments(made: Processor[..., Any], positional: list[inspect.Parameter]) -> bool:
    """Tell whether a processor takes the output of an item, after the item itself."""
    takes = ["the item", *(["what its lifespan yields"] if made.lifespan else [])]
    needed = [p for p in positional if p.default is p.empty]
    undoes = made.compensates is not None and len(needed) > len(takes)
    if undoes:
        takes.insert(1, "the output that it undoes")
    if len(positional) < len(takes) or len(needed) > len(takes):
        raise UsageError(
            f"processor {made.name!r} must take {', '.join(takes[:-1])}{' and ' if takes[:-1] else ''}{takes[-1]} "
            f"as its positional argument{'s' if len(takes) > 1 else ''}, "
            f"got ({', '.join(p.name for p in positional)}); parameters of a run come after a `*`"
        )
    return undoes


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that carries the annotations: that of a partial, or of an object that can be called."""
    found = inspect.unwrap(function)
    while isinstance(found, functools.partial):
        found = inspect.unwrap(found.func)
    return found if inspect.isroutine(found) or inspect.isclass(found) else type(found).__call__


def _element(annotation: Any, what: str, which: str) -> Any:
    if annotation is Any:
        return Any
    arguments = typing.get_args(annotation)
    if not arguments:
        if annotation is list:
            return Any
        raise UsageError(
            f"{what} has list_size: annotate {which} as a list, such as list[Image], not {annotation!r}"
        )
    return arguments[0]


def _element_of_output(annotation: Any) -> Any:
    arguments = typing.get_args(annotation)
    if not arguments:
        return Any
    # A list processor may return exceptions in place of outputs: they are no part of the output's type.
    kinds = typing.get_args(arguments[0]) or (arguments[0],)
    if any(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        rest = tuple(k for k in kinds if not (isinstance(k, type) and issubclass(k, BaseException)))
        return typing.Union[rest] if rest else Any  # noqa: UP007 - built from a tuple
    return arguments[0]


def _adapter(annotation: Any, what: str) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(_readable(annotation))
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"{what} is annotated {annotation!r}, which cannot be read from or written to JSON: {reason}"
        ) from None


def _readable(annotation: Any) -> Any:
    """Return an annotation that pydantic reads: before Python 3.12 it refuses `typing`'s own TypedDict."""
    if sys.version_info >= (3, 12) or not typing.is_typeddict(annotation):
        return annotation
    hints = typing.get_type_hints(annotation, include_extras=True)
    wrap = {True: typing.Required, False: typing.NotRequired}
    fields = {
        name: wrap[name in annotation.__required_keys__][_readable(hint)] for name, hint in hints.items()
    }
    return typing_extensions.TypedDict(annotation.__name__, fields)  # type: ignore[operator]


__all__ = ["Processor", "activity_name", "as_processor", "find", "processor", "registered"]
