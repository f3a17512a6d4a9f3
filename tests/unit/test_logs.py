"""Log lines: one pipeline for ours and Temporal's, for people and for machines."""

from __future__ import annotations

import contextvars
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from temporalio import activity, workflow
from temporalio.testing import ActivityEnvironment

from fanout.errors import UsageError
from fanout.iteminfo import Info, current
from fanout.observability.logs import configure_logging, get_logger


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    workflow.logger.workflow_info_on_message = activity.logger.activity_info_on_message = True
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_machine_gets_one_json_object_a_line() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)
    structlog.get_logger("fanout.worker").bind(run="urls").info("batch committed", items=20_000)
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "batch committed",
        "items": 20_000,
        "level": "info",
        "logger": "fanout.worker",
        "run": "urls",
    }


def test_a_person_at_a_terminal_gets_a_line_to_read() -> None:
    stream = Terminal()
    configure_logging(stream=stream)
    structlog.get_logger("fanout.worker").warning("slow", seconds=3)
    assert "slow" in stream.getvalue()
    assert "\x1b[" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_standard_logging_takes_the_same_way() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)
    logging.getLogger("someones.library").warning("%d left", 3)
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["logger"]) == ("3 left", "warning", "someones.library")


def test_lines_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    configure_logging(level="WARNING", stream=stream)
    structlog.get_logger("a").info("not this")
    logging.getLogger("b").info("nor this")
    logging.getLogger("b").error("but this")
    assert [line["event"] for line in lines(stream)] == ["but this"]


def test_an_unknown_level_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown log level 'loud': choose one of debug, info, warning"):
        configure_logging(level="loud")


def test_a_second_call_replaces_the_first_and_leaves_others_alone() -> None:
    others, first, second = logging.NullHandler(), io.StringIO(), io.StringIO()
    logging.getLogger().addHandler(others)
    configure_logging(stream=first)
    configure_logging(stream=second)
    structlog.get_logger("a").info("once")
    assert first.getvalue() == ""
    assert len(lines(second)) == 1
    assert others in logging.getLogger().handlers


def test_an_activitys_context_becomes_fields_and_not_text() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)
    ActivityEnvironment().run(lambda: activity.logger.warning("about to retry", extra={"index": 17}))
    (line,) = lines(stream)
    assert line["event"] == "about to retry"
    assert line["attempt"] == 1
    assert line["workflow_run_id"]


def test_a_line_from_within_an_item_says_its_batch_and_its_item_whichever_logger_wrote_it() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)
    item = Info("urls", 17, "k17", 1, "urls/17", "fetch")

    def work() -> None:
        current.set(lambda: item)
        logging.getLogger("a.library").warning("slow")
        structlog.get_logger("mine").warning("slow")

    with structlog.contextvars.bound_contextvars(run="urls", partition=0, batch="000000/00000001"):
        contextvars.copy_context().run(work)
        get_logger("fanout.batch").warning("no item")
    first, second, outside = lines(stream)
    known = {"run": "urls", "partition": 0, "batch": "000000/00000001"}
    for line in (first, second):
        assert {**line, **known, "index": 17, "key": "k17"} == line
    assert {**outside, **known} == outside
    assert "index" not in outside


def test_our_own_lines_never_reach_the_stdout_of_a_program_that_set_up_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    get_logger("fanout.batch").debug("batch committed")
    assert capsys.readouterr().out == ""


def test_an_error_keeps_its_traceback_and_shows_no_local_variables() -> None:
    for stream in (io.StringIO(), Terminal()):
        configure_logging(stream=stream)
        try:
            password = "hunter" + "2"
            raise ValueError(len(password))
        except ValueError:
            structlog.get_logger("a").exception("failed")
        assert "ValueError: 7" in stream.getvalue()
        assert "hunter2" not in stream.getvalue()
