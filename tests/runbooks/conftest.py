"""The runbooks take minutes: `make runbooks` runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.conftest import run_id

__all__ = ["run_id"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is here."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.runbooks)
