"""Where another process finds a processor: it imports the module."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fanout.errors import Unisolable
from fanout.processors import Lifespan, Processor, registered


@dataclass(frozen=True)
class Address:
    """Module and name of a processor.

    Attributes:
        module: The module that makes the processor.
        qualname: Of the processor or its function in there.
        name: The processor's registered name.
    """

    module: str
    qualname: str
    name: str

    @classmethod
    def of(cls, processor: Processor[..., Any]) -> Address:
        """Return the address of a processor; whether it leads anywhere is known to whoever follows it."""
        return cls(processor.__module__, processor.__qualname__, processor.name)

    def load(self) -> Processor[..., Any]:
        """Import the processor, in a process that does not have it.

        Raises:
            Unisolable: It is not there.
        """
        found = self._find()
        if isinstance(found, Processor):
            return found
        raise self._unfindable(f"importing {self.module} does not make it")

    def load_call(self) -> tuple[Callable[..., Any], Lifespan | None]:
        """Import what is called, and its lifespan; a function does that no processor is made of on import.

        Raises:
            Unisolable: It is not there.
        """
        found = self._find()
        if isinstance(found, Processor):
            return found.body, found.lifespan
        if callable(found):
            return found, None
        raise self._unfindable(f"importing {self.module} does not make it")

    def _find(self) -> Any:
        try:
            target: Any = importlib.import_module(self.module)
        except Exception as error:
            raise self._unfindable(f"{type(error).__name__}: {error}") from error
        for part in self.qualname.split("."):
            target = getattr(target, part, None)
        return target if isinstance(target, Processor) else registered().get(self.name, target)

    def _unfindable(self, reason: str) -> Unisolable:
        return Unisolable(
            f"processor {self.name!r} ({self.module}.{self.qualname}) must be importable by a process of its "
            f"own: define it at the top level of a module ({reason})"
        )
