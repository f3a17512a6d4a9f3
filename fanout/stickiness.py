"""How long a workflow belongs to the worker that has it in its cache, and how long a question to it may last.

A question (a query) goes to that worker first. If it does not answer within `STICKY`, the server hands the question
to any other, with the history so far. Should a workflow task be in flight with the silent worker just then, that other
one takes it for done, and keeps the workflow in that state. When the task times out and comes to it, it sees in two
steps what is one step in every replay, and may do what no replay does: the run would stand still with a non-determinism
error (SDK 1.35, server 1.32; 4 of 4 trials with a worker that was stopped). A question that ends before `STICKY` is
over is not handed on. What remains: one that still waits in the server, for those three seconds at most, while a task
is lost on its way to the very worker that polls again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

STICKY: Final = timedelta(seconds=3)
"""Workflows of a worker that was killed move on after this."""

QUESTION: Final = timedelta(seconds=2.5)
"""A question that was not answered by then is given up, and may be asked again."""
