"""`@fanout.reducer`: one value made of what a processor has returned for all items of a run.

A reducer is a class of three methods: `zero` is the value of no outputs at all, `add` takes one output into a value,
`merge` makes one value of two. Outputs are added in batches, and values merged up the tree of the run; so a reducer has
to come to the same whatever the grouping and the order.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar, overload

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import to_json
from temporalio import workflow

from fanout.adapters import adapter
from fanout.errors import ReducerFailed, UnknownReducer, UsageError
from fanout.pages import Json
from fanout.reduction import Reduction

MAX_ARGS = 16 * 1024
"""Bytes of a reducer's arguments as JSON: they are in the input of the run."""

TOLD = ("index", "key")
"""What `add` is told of an item, where it has a keyword-only parameter of that name."""

_NAME = "__fanout_reducer__"
_NO_DATACLASS = (
    "its parameters travel with the run as the fields of a dataclass: write @fanout.reducer above @dataclass"
)
_NEEDED = {"zero": 0, "add": 2, "merge": 2}


class Reducer(Protocol):
    """What a class must have to be a reducer. The annotation of `zero` says how values are written as JSON.

    Adding and merging may change the first argument and return it. The value must not depend on the order of the
    outputs, nor on how they are grouped; an item that has failed adds nothing. `finish(self, total)` may be there too:
    it makes of the value of the whole run what `RunResult.reduced` shows.
    """

    def zero(self) -> Any:
        """Return the value of no outputs."""

    @property
    def add(self) -> Callable[..., Any]:
        """Takes a value and an output, and returns a value with one more output; its annotation says how it is read.

        It is told `index` and `key` of the item, where it has keyword-only parameters of these names.
        """

    def merge(self, total: Any, other: Any, /) -> Any:
        """Return the value of the outputs of both."""


C = TypeVar("C", bound=type[Any])


@overload
def reducer(cls: C, /) -> C: ...
@overload
def reducer(cls: C, /, *, name: str | None = None) -> C: ...
@overload
def reducer(cls: None = None, /, *, name: str | None = None) -> Callable[[C], C]: ...
def reducer(cls: C | None = None, /, *, name: str | None = None) -> C | Callable[[C], C]:
    """Register a class as a reducer: as a decorator, or around an existing class; see `fanout.Reducer`.

    Its parameters are the fields of a dataclass or pydantic model, which JSON must be able to express.

    Args:
        cls: The class.
        name: Registered name; the class's own by default.

    Returns:
        The class itself.

    Raises:
        UsageError: A method is missing or does not fit, or JSON cannot express its values; the text says what.
    """

    def make(target: C) -> C:
        if not isinstance(target, type):
            raise UsageError(f"a reducer is a class, not {target!r}")
        called = name or target.__name__
        # A workflow's sandbox makes a copy of the class, which is to be used nowhere else.
        if not (workflow.unsafe.in_sandbox() and called in _registry):
            _registry[called] = _Kind(called, target)
        setattr(target, _NAME, called)
        return target

    return make if cls is None else make(cls)


class _Kind:
    """A class that was registered, with what is read off it."""

    def __init__(self, name: str, cls: type[Any]) -> None:
        self.name = name
        self.cls = cls
        what = f"reducer {name!r}"
        for method, count in _NEEDED.items():
            _check_method(what, cls, method, count)
        self.has_finish = hasattr(cls, "finish")
        if self.has_finish:
            _check_method(what, cls, "finish", 1)
        zero = _hints(what, cls, "zero").get("return")
        if zero is None:
            raise UsageError(f"{what}: annotate what zero() returns, such as `-> dict[str, int]`")
        self.totals: TypeAdapter[Any] = adapter(zero, f"zero() of {what}")
        _, *parameters = list(inspect.signature(cls.add).parameters.values())
        output = _hints(what, cls, "add").get(parameters[1].name, Any)
        self.outputs: TypeAdapter[Any] = adapter(output, f"the output in add() of {what}")
        self.told = [name for name in TOLD if _is_keyword(parameters, name)]
        finished = _hints(what, cls, "finish").get("return", Any) if self.has_finish else zero
        self.finished: TypeAdapter[Any] = adapter(finished, f"finish() of {what}")
        structured = dataclasses.is_dataclass(cls) or issubclass(cls, BaseModel)
        if not structured and inspect.signature(cls).parameters:
            raise UsageError(f"{what}: {_NO_DATACLASS}")
        self.args: TypeAdapter[Any] | None = adapter(cls, what) if structured else None

    def make(self, args: Mapping[str, Json]) -> Any:
        """Return an instance.

        Raises:
            UsageError: The arguments do not fit.
        """
        try:
            if self.args is not None:
                return self.args.validate_python(dict(args))
            return self.cls(**args)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(step) for step in first["loc"])
            raise UsageError(
                f"reducer {self.name!r}: {where + ': ' if where else ''}{first['msg'].lower()}"
            ) from None
        except (TypeError, UsageError) as error:
            raise UsageError(f"reducer {self.name!r}: {error}") from None

    def args_of(self, instance: Any) -> dict[str, Json]:
        """Return what an instance is made of, as JSON.

        Raises:
            UsageError: Its class became a dataclass after it was registered.
        """
        if self.args is None:
            if dataclasses.is_dataclass(instance):
                raise UsageError(f"reducer {self.name!r}: {_NO_DATACLASS}")
            return {}
        args: dict[str, Json] = self.args.dump_python(instance, mode="json")
        return args


_registry: dict[str, _Kind] = {}


class Bound:
    """A reducer as a run uses it: its values go in and out as JSON, and what it raises is told with its name.

    Args:
        kind: Its class.
        instance: With the run's arguments.
    """

    def __init__(self, kind: _Kind, instance: Any) -> None:
        self.name = kind.name
        self.told = kind.told
        self.read: Callable[[bytes], Any] = kind.outputs.validator.validate_json
        self.add: Callable[..., Any] = instance.add
        self._kind = kind
        self._instance = instance

    def zero(self) -> Any:
        """Return the value of no outputs."""
        return self._safely("zero", self._instance.zero)

    def merge(self, total: Any, other: Any) -> Any:
        """Return the value of the outputs of both."""
        return self._safely("merge", lambda: self._instance.merge(total, other))

    def dump(self, total: Any) -> bytes:
        """Return a value as JSON.

        Raises:
            ReducerFailed: It is not what `zero` is annotated to return.
        """
        data = self._written(self._kind.totals, total, "its value")
        if data == b"null":
            # As of an `add` that forgot to return something; pydantic writes None for whatever it is given for.
            self.load(data)
        return data

    def load(self, data: bytes) -> Any:
        """Return a value that was written as JSON.

        Raises:
            ReducerFailed: It is none.
        """
        try:
            return self._kind.totals.validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise ReducerFailed(
                f"reducer {self.name!r}: {data[:80].decode(errors='replace')} is not what zero() is annotated to "
                f"return: {first['msg'].lower()}"
            ) from None

    def finish(self, total: Any) -> bytes:
        """Return what is shown of the value of the whole run, as JSON."""
        if self._kind.has_finish:
            total = self._safely("finish", lambda: self._instance.finish(total))
        return self._written(self._kind.finished, total, "the finished value")

    def _written(self, values: TypeAdapter[Any], value: Any, what: str) -> bytes:
        try:
            return values.serializer.to_json(value, warnings="error")
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise ReducerFailed(
                f"reducer {self.name!r}: {what} cannot be written as JSON: {reason}"
            ) from None

    def _safely(self, method: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (Exception, SystemExit) as error:
            raise ReducerFailed(
                f"reducer {self.name!r}: {method}() raised {type(error).__name__}: {error}"
            ) from error


def find(reduction: Reduction) -> Bound:
    """Return the reducer of a run.

    Raises:
        UnknownReducer: None of that name is registered here; the text lists those there are.
        UsageError: Its arguments do not fit.
    """
    known = registered()
    if reduction.reducer not in known:
        raise UnknownReducer(
            f"no reducer {reduction.reducer!r} is registered here; there are: {', '.join(sorted(known))}"
        )
    kind = known[reduction.reducer]
    return Bound(kind, kind.make(reduction.args))


def as_reduction(given: object) -> Reduction:
    """Return how a run names what `reduce=` was given: a reducer, its class, or a registered name.

    Arguments that were left out are filled in, where this process knows the reducer.

    Raises:
        UsageError: It is no reducer, or its arguments do not fit.
    """
    if isinstance(given, str):
        given = Reduction(given)
    if isinstance(given, Reduction):
        kind = registered().get(given.reducer)
        # Of one that only workers know, they say at once whether its arguments fit.
        return given if kind is None else Reduction(kind.name, kind.args_of(kind.make(given.args)))
    cls = given if isinstance(given, type) else type(given)
    name = vars(cls).get(_NAME)
    if name is None:
        raise UsageError(f"{given!r} is no reducer: decorate its class with @fanout.reducer")
    kind = registered().get(name)
    if kind is None or kind.cls is not cls:
        kind = _Kind(name, cls)
    args = kind.args_of(kind.make({}) if isinstance(given, type) else given)
    if len(to_json(args)) > MAX_ARGS:
        raise UsageError(f"reducer {name!r}: its arguments are larger than {MAX_ARGS:,} bytes of JSON")
    # What cannot be read back would fail on every worker.
    kind.make(args)
    return Reduction(name, args)


def registered() -> dict[str, _Kind]:
    """Return the reducers that this process knows, by name."""
    import fanout.reducers  # noqa: F401 - those that are ready-made

    return _registry


def _check_method(what: str, cls: type[Any], name: str, count: int) -> None:
    method = getattr(cls, name, None)
    if not callable(method):
        raise UsageError(f"{what} has no method {name}(): a reducer has zero, add and merge")
    if inspect.iscoroutinefunction(method):
        raise UsageError(f"{what}: {name}() is an `async def`: a reducer computes, and waits for nothing")
    _, *parameters = inspect.signature(method).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p for p in parameters if p.default is p.empty and p not in positional and p.name not in TOLD]
    if len(positional) != count or [p for p in needed if p.kind is p.KEYWORD_ONLY]:
        takes = {0: "nothing", 1: "the total", 2: "two values"}[count]
        raise UsageError(
            f"{what}: {name}() must take {takes} beside self, not ({', '.join(map(str, parameters))})"
        )


def _is_keyword(parameters: list[inspect.Parameter], name: str) -> bool:
    return any(p.name == name and p.kind is p.KEYWORD_ONLY for p in parameters)


def _hints(what: str, cls: type[Any], name: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(getattr(cls, name), include_extras=True)
    except NameError as error:
        raise UsageError(f"{what}: the annotations of {name}() name something unknown: {error}") from None
