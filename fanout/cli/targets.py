"""Modules and the processors in them, as a person names them on the command line."""

from __future__ import annotations

import difflib
import importlib
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fanout.errors import UsageError

if TYPE_CHECKING:
    from fanout.processors import Processor


def load_module(name: str) -> ModuleType:
    """Import a module, from the current folder too.

    Args:
        name: A module's name, or the path of its file, such as `jobs/images.py`.

    Raises:
        UsageError: There is no such module, or it fails as it is imported; the text says where.
    """
    name = module_name(name)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise UsageError(
                f"there is no module {name!r} in {here}, nor is one installed{_near_module(name)}"
            ) from None
        raise UsageError(_broken(name, error)) from error
    except Exception as error:
        raise UsageError(_broken(name, error)) from error


def module_name(name: str) -> str:
    """Return the module that a name or path stands for.

    Raises:
        UsageError: It cannot be the name of a module.
    """
    if name.endswith(".py"):
        path = Path(name)
        if path.is_absolute() and path.is_relative_to(Path.cwd()):
            path = path.relative_to(Path.cwd())
        name = ".".join(path.with_suffix("").parts)
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"{name!r} is not the name of a module: write it as in `import jobs.images`")
    return name


def load_processor(target: str) -> Processor[..., Any] | str:
    """Return the processor that `module:name` names; a name alone is that of a processor that a worker knows.

    Raises:
        UsageError: There is no such module, or no such processor in it.
    """
    from fanout.processors import processor_of

    module, colon, name = target.rpartition(":")
    if not colon:
        if target.endswith(".py") or Path(f"{target.replace('.', '/')}.py").exists():
            raise UsageError(f"say which processor of {target!r}: {module_name(target)}:NAME")
        return target
    loaded = load_module(module)
    found: Any = loaded
    for part in name.split("."):
        found = getattr(found, part, None)
    if made := processor_of(found):
        return made
    there = {key: made for key, value in vars(loaded).items() if (made := processor_of(value))}
    for processor in there.values():
        if processor.name == name:
            return processor
    if callable(found):
        raise UsageError(f"{target} is no processor: decorate it with @fanout.processor")
    raise UsageError(f"module {loaded.__name__!r} has no processor {name!r}{_nearest(name, there)}")


def load_reducer(target: str) -> str:
    """Return the name of the reducer that `module:name` names; a name alone is that of one that a worker knows.

    Raises:
        UsageError: There is no such module, or no such reducer in it.
    """
    from fanout.reducing import registered

    module, colon, name = target.rpartition(":")
    if not colon:
        return target
    loaded = load_module(module)
    found = getattr(loaded, name, None)
    there = []
    for known, kind in registered().items():
        if kind.cls is found or (known == name and kind.cls.__module__ == loaded.__name__):
            return known
        if kind.cls.__module__ == loaded.__name__:
            there.append(known)
    if isinstance(found, type):
        raise UsageError(f"{target} is no reducer: decorate it with @fanout.reducer")
    raise UsageError(f"module {loaded.__name__!r} has no reducer {name!r}{_near_reducer(name, there)}")


def _near_reducer(name: str, there: Iterable[str]) -> str:
    names = sorted(there)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return (
        f"; it has: {', '.join(names)}" if names else ", nor any other: decorate a class with @fanout.reducer"
    )


def load_processors(modules: Sequence[str]) -> list[Processor[..., Any]]:
    """Import modules and return every processor that this has registered.

    Raises:
        UsageError: A module is not there or fails, or there is no processor in any of them.
    """
    from fanout.processors import registered

    for module in modules:
        load_module(module.partition(":")[0])
    found = sorted(registered().values(), key=lambda processor: processor.name)
    if not found:
        raise UsageError(
            f"no processor in {', '.join(modules)}: decorate a function with @fanout.processor, "
            "or call fanout.processor(function)"
        )
    return found


def _broken(name: str, error: Exception) -> str:
    frames = [at for at in traceback.extract_tb(error.__traceback__) if "importlib" not in at.filename]
    place = f" at {_short(frames[-1].filename)}:{frames[-1].lineno}" if len(frames) > 1 else ""
    if isinstance(error, SyntaxError) and error.filename:
        place = f" at {_short(error.filename)}:{error.lineno}"
    return f"module {name!r} cannot be imported: {type(error).__name__}{place}: {error}"


def _short(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def _near_module(name: str) -> str:
    here = [path.stem for path in Path.cwd().glob("*.py")]
    close = difflib.get_close_matches(name, here, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _nearest(name: str, there: Iterable[str]) -> str:
    names = sorted(there)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return (
        f"; it has: {', '.join(names)}" if names else ", nor any other: decorate one with @fanout.processor"
    )
