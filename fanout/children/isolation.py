"""Which item kills the process that runs it: splitting suspects, and verdicts. Knows nothing of processes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from fanout.errors import Unisolable

WAYS = 16
"""Parts that suspects are split into at most, and cells that run at once.

Each level costs one more death: to find one item among S suspects takes at most 1 + log16 S of them, rounded up.
"""

VAIN = 3
"""Deaths in a row that no item can have caused, after which it is the process that is at fault."""


@dataclass(frozen=True)
class Death:
    """How a cell died.

    Attributes:
        how: In words, such as `SIGSEGV`.
        traceback: What it wrote in its last moment, if anything.
        blocked: Seconds that its event loop was blocked, where it was ended for that.
    """

    how: str
    traceback: str = ""
    blocked: float | None = None

    @property
    def words(self) -> str:
        """What a failure record says."""
        if self.blocked is not None:
            return f"the worker died while processing this item: it blocked its event loop for {self.blocked:g} s"
        return f"the worker died while processing this item ({self.how})"


@dataclass(frozen=True)
class Ended:
    """How a cell ended.

    Attributes:
        death: How it died; None where it said farewell.
        suspects: Items without an outcome that may have killed it.
        left: The other items without an outcome.
    """

    death: Death | None
    suspects: Sequence[int] = ()
    left: Sequence[int] = field(default_factory=list)


def levels_of(suspects: int) -> int:
    """Return how often so many suspects are split at most before each is alone."""
    levels = 0
    while WAYS**levels < suspects:
        levels += 1
    return levels


def split(items: Sequence[int]) -> list[Sequence[int]]:
    """Split suspects into parts: as few as do not cost a level more, since each part is a process to start."""
    levels = levels_of(len(items))
    ways = next(ways for ways in range(1, WAYS + 1) if ways**levels >= len(items))
    size = math.ceil(len(items) / ways)
    return [items[at : at + size] for at in range(0, len(items), size)]


class Isolation:
    """Runs items in cells until each has an outcome, and finds out which of them kill.

    Args:
        run: Runs items in a cell of their own; told whether they are suspects.
        condemn: Records the verdict on an item.
        name: The processor's name.
        fresh: Whether further items may begin.
        going: Whether suspects may be run again.

    Attributes:
        deaths: Cells that have died.
    """

    def __init__(
        self,
        run: Callable[[Sequence[int], bool], Awaitable[Ended]],
        condemn: Callable[[int, Death], None],
        *,
        name: str,
        fresh: Callable[[], bool],
        going: Callable[[], bool],
    ) -> None:
        self._run = run
        self._condemn = condemn
        self._name = name
        self._fresh = fresh
        self._going = going
        self._places = asyncio.Semaphore(WAYS)
        self._vain = 0
        self.deaths = 0

    async def through(self, items: Sequence[int]) -> None:
        """Bring the items to their outcomes; those that are left when it returns were stopped or handed back.

        Raises:
            Unisolable: Cells die although they run no item.
        """
        while items and self._fresh():
            ended = await self._run(items, False)
            if ended.death is None:
                return
            innocent = await self._look_into(ended)
            items = sorted([*ended.left, *innocent])

    async def _look_into(self, ended: Ended) -> list[int]:
        """Find the guilty of a death; return the suspects that are none, and have no outcome yet."""
        death = ended.death
        if death is None:
            return []
        self.deaths += 1
        self._vain = 0 if ended.suspects else self._vain + 1
        if self._vain == VAIN:
            raise Unisolable(
                f"processor {self._name!r} cannot be run in a process of its own: it died {VAIN} times "
                f"before it ran any item ({death.how}) {death.traceback[-1000:]}".rstrip()
            )
        if len(ended.suspects) == 1:
            self._condemn(ended.suspects[0], death)
            return []
        if not ended.suspects:
            return []
        try:
            async with asyncio.TaskGroup() as group:
                parts = [group.create_task(self._try(part)) for part in split(ended.suspects)]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [item for part in parts for item in part.result()]

    async def _try(self, part: Sequence[int]) -> list[int]:
        async with self._places:
            if not self._going():
                return list(part)
            ended = await self._run(part, True)
        # The place is free again: what follows asks for places of its own.
        return [*ended.left, *await self._look_into(ended)] if ended.death else []
