"""The outcomes of a run's items, from its output: also while it goes on, and once the server has forgotten it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

from pydantic_core import from_json

from fanout.failurekinds import FailureKinds
from fanout.models import Failure, FailureKind, ItemResult
from fanout.runs.handle import Handle
from fanout.storage.reading import chunks, find_key, find_row
from fanout.writers.jsonl import is_match


class Rows(Handle):
    """Reads results and failures."""

    async def results(self, *, ordered: bool = False) -> AsyncIterator[ItemResult]:
        """Yield the results that are committed, also while the run goes on.

        Args:
            ordered: In the order of the items; otherwise as they lie in the output.
        """
        async for rows in self.rows("results", ordered=ordered):
            for row in rows:
                yield ItemResult(**from_json(row))

    async def matches(self, *, ordered: bool = False) -> AsyncIterator[ItemResult]:
        """Yield the committed results whose output is not None: what a search has found.

        Args:
            ordered: In the order of the items; otherwise as they lie in the output.
        """
        async for rows in self.rows("results", ordered=ordered):
            for row in filter(is_match, rows):
                yield ItemResult(**from_json(row))

    async def failures(self, *, error_type: str | None = None) -> AsyncIterator[Failure]:
        """Yield the failures that are committed, also while the run goes on.

        Args:
            error_type: Only those of this type; all where it is None.
        """
        async for rows in self.rows("failures", ordered=True):
            for row in rows:
                failure = Failure(**from_json(row))
                if error_type in (None, failure.error_type):
                    yield failure

    async def failure_kinds(self, *, error_type: str | None = None) -> list[FailureKind]:
        """Return the failures that are committed counted by kind, the most frequent kind first.

        Failures are of one kind where their types are the same, and their messages but for numbers, ids, quoted
        strings, paths, URLs, times and addresses. A thousand kinds are told apart; further messages count as other
        messages of their type.

        Args:
            error_type: Only those of this type; all where it is None.
        """
        kinds = FailureKinds()
        async for rows in self.rows("failures", ordered=True):
            for row in rows:
                failure = from_json(row)
                if error_type in (None, failure["error_type"]):
                    kinds.add(failure)
        return kinds.most_common()

    async def rows(
        self, kind: Literal["results", "failures"], *, ordered: bool = False
    ) -> AsyncIterator[list[bytes]]:
        """Yield committed rows as lines of JSON, many at a time: the fast way to millions of them.

        Args:
            kind: `"results"` or `"failures"`.
            ordered: In the order of the items.
        """
        store = await self.readable()
        async for rows in chunks(store, kind, ordered=ordered):
            yield rows

    async def item(self, index: int | None = None, *, key: str | None = None) -> ItemResult | Failure | None:
        """Return the outcome of one item; None while it has none.

        Args:
            index: Position of the item in the source.
            key: Or its key; takes a look through all rows.
        """
        store = await self.readable()
        if index is not None:
            found = await find_row(store, index)
        else:
            found = await find_key(store, str(key))
        if found is None:
            return None
        kind, row = found
        return ItemResult(**row) if kind == "results" else Failure(**row)
