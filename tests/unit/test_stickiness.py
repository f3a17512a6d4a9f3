"""Questions to workflows end before the server hands them to a worker that has not got the workflow."""

from __future__ import annotations

import ast
from pathlib import Path

import fanout
from fanout.stickiness import QUESTION, STICKY

SOURCES = Path(fanout.__file__).parent


def questions() -> list[ast.Call]:
    """Return every call of `.query(…)` that is made of a workflow, in all modules."""
    calls = [
        node
        for file in SOURCES.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "query"
    ]
    # The decorators of handlers name their query; a caller has further arguments.
    return [call for call in calls if ast.unparse(call.func) != "workflow.query"]


def test_every_question_is_over_before_the_server_hands_it_on() -> None:
    assert QUESTION < STICKY
    asked = questions()
    assert len(asked) == 2
    for call in asked:
        assert {word.arg: ast.unparse(word.value) for word in call.keywords}["rpc_timeout"] == "QUESTION"
