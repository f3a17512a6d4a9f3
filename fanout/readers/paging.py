"""Planning a source page by page, within what is skipped and the limit."""

from __future__ import annotations

from fanout.pages import Json, Scan, Source
from fanout.readers.registry import from_source
from fanout.storage.files import Files
from fanout.storage.stores import Store


async def next_page(
    source: Source,
    files: Files,
    store: Store,
    *,
    step: int = 0,
    cursor: dict[str, Json] | None = None,
    seen: int = 0,
) -> Scan:
    """Find the next page of the items that are to be run.

    Args:
        source: Where the items come from.
        files: For reading source files.
        store: The run's output, for index objects.
        step: Number of the page.
        cursor: Where the last page ended; None at the beginning.
        seen: Items that the pages so far hold, skipped ones too.

    Returns:
        The page, the next cursor, and how many items the run has as far as it is known.

    Raises:
        UnknownReader: No reader of that kind is registered in this process.
        SourceError: The source is missing, or changed since the last page.
    """
    most = None if source.limit is None else source.skip + source.limit - seen
    scan = await from_source(source).scan(files, store, f"{step:06d}", cursor, most)
    page = scan.page
    # What is skipped is scanned all the same: only that tells where the rest begins.
    page = page.cut(min(max(page.start, source.skip), page.end), page.end)
    total = scan.total if source.limit is None else min(scan.total, source.skip + source.limit)
    done = scan.cursor is None or (most is not None and scan.page.count >= most)
    return Scan(page=page, cursor=None if done else scan.cursor, total=max(0, total - source.skip))
