"""A report of a run, as a file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from fanout.errors import UsageError

if TYPE_CHECKING:
    from fanout.reporting.facts import Known

NEEDS = ("jinja2", "markupsafe", "matplotlib")


async def write_report(run: Known, path: Path) -> Path:
    """Write what is known of a run as one HTML page; see `Run.report`."""
    page = await report(run)
    # Written beside and renamed: a file of that name is whole, or not there.
    draft = path.with_name(f".{path.name}.part")
    try:
        draft.write_text(page, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
    return path


async def report(run: Known) -> str:
    """Return what is known of a run as an HTML page.

    Raises:
        UsageError: What draws it is not installed.
    """
    try:
        from fanout.reporting.page import render
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in NEEDS:
            raise
        raise UsageError(
            f"a report needs {error.name}, which is not installed: pip install 'temporal-fanout[report]'"
        ) from None
    from fanout.reporting.facts import gather

    facts = await gather(run)
    return await asyncio.to_thread(render, facts)
