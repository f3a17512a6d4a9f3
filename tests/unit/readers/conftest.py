"""Fixtures of the readers' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.readers.helpers import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A folder of sources and a store of this test's own."""
    return Bench.at(tmp_path)
