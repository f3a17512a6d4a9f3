from __future__ import annotations

from typing import Any

import pytest

from fanout.cli.app import load
from fanout.cli.settings import Settings, descriptions
from fanout.errors import UsageError
from fanout.options import Options


def nothing() -> dict[str, Any]:
    return {flag.name: flag.default for flag in Settings.flags()}


def test_every_option_has_a_flag_with_a_help_text() -> None:
    flags = {flag.name: flag.annotation.__metadata__[0] for flag in Settings.flags()}
    assert set(flags) == set(Options.__dataclass_fields__)
    assert all(flag.help for flag in flags.values())
    typed = {flag for parameter in load("run").params for flag in parameter.opts}
    assert {f"--{name.replace('_', '-')}" for name in flags} <= typed


def test_only_what_was_said_is_given() -> None:
    assert Settings.pack(nothing()).given == {}
    said = {"max_concurrency": 500, "timeout": "2m", "non_retryable": ["ValueError", "KeyError"]}
    assert Settings.pack({**nothing(), **said}).given == {
        "max_concurrency": 500,
        "timeout": 120.0,
        "non_retryable": ("ValueError", "KeyError"),
    }


def test_a_timeout_may_be_none() -> None:
    assert Settings.pack({**nothing(), "timeout": "none"}).given == {"timeout": None}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("max_concurrency", 0, "--max-concurrency"),
        ("retries", -1, "--retries"),
        ("timeout", "soon", "duration"),
    ],
)
def test_a_value_out_of_range_names_its_flag(name: str, value: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Settings.pack({**nothing(), name: value})


def test_descriptions_are_read_from_a_docstring_and_joined_to_lines() -> None:
    text = """Knobs.

    Attributes:
        one: The first, with
            two lines and `code`.
        two: The second.
    """
    assert descriptions(text) == {"one": "The first, with two lines and code.", "two": "The second."}
