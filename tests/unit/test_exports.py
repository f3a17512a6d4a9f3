"""The public door: every name behind it resolves, is documented, and costs nothing before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import fanout

HEAVY = ("temporalio", "pydantic", "obstore", "structlog", "rich", "typer")


@pytest.mark.parametrize("name", fanout.__all__)
def test_every_exported_name_resolves_and_is_documented(name: str) -> None:
    value = getattr(fanout, name)
    assert (value.__doc__ or "").strip(), f"fanout.{name} has no docstring"


def test_the_exported_names_are_sorted_as_people_look_for_them_and_shown_by_dir() -> None:
    # Classes before functions, as ruff sorts `__all__`.
    assert sorted(fanout.__all__) == fanout.__all__
    assert set(fanout.__all__) <= set(dir(fanout))


def test_an_unknown_name_is_an_attribute_error_like_any_other() -> None:
    with pytest.raises(AttributeError, match="module 'fanout' has no attribute 'nothing'"):
        fanout.nothing  # noqa: B018


def test_importing_fanout_imports_nothing_heavy() -> None:
    code = f"import sys, fanout; print([name for name in {HEAVY} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
