from __future__ import annotations

import asyncio
import os
import signal

import pytest

from fanout.cli import exits
from fanout.cli.flags import execute
from fanout.errors import NoServer, UsageError


async def returning(code: int | None) -> int | None:
    return code


async def raising(error: BaseException) -> int | None:
    raise error


def test_a_command_without_a_code_has_succeeded() -> None:
    assert execute(returning(None)) == 0
    assert execute(returning(3)) == 3


def test_an_error_of_ours_is_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(raising(NoServer("no server at x:1\ntry `fanout dev`"))) == exits.NO_SERVER
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "error: no server at x:1\ntry `fanout dev`\n"


def test_an_unforeseen_error_is_one_line_that_names_debug(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(raising(ZeroDivisionError("by\nzero"))) == exits.ERROR
    err = capsys.readouterr().err
    assert "error: ZeroDivisionError: by zero" in err
    assert "--debug" in err
    assert "Traceback" not in err


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(raising(UsageError("no")), debug=True) == exits.USAGE
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_the_command_which_cleans_up(number: signal.Signals) -> None:
    cleaned = []

    async def work() -> int | None:
        os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(number)
        return 0

    assert execute(work()) == exits.DETACHED
    assert cleaned == [number]
