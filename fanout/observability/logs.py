"""One stream of log lines on stderr: fanout's own, the processors', Temporal's, and those of Temporal's Rust core.

A person at a terminal gets coloured lines, a machine gets one JSON object a line. Nothing is set up by importing this:
programs call `configure_logging`, libraries do not.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final, TextIO

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger
from temporalio import activity, workflow
from temporalio.runtime import LogForwardingConfig, LoggingConfig, TelemetryFilter

from fanout.errors import UsageError
from fanout.iteminfo import current

LEVELS: Final = ("debug", "info", "warning", "error", "critical")

# What is said of the workflow and the activity that a line comes from; the rest only goes where machines read.
_SHORT: Final = ("workflow_id", "activity_type", "attempt")


def configure_logging(*, json: bool | None = None, level: str = "info", stream: TextIO | None = None) -> None:
    """Send all log lines of this process through one pipeline, to stderr. A second call replaces the first.

    Args:
        json: Whether to write JSON; None decides by whether anyone looks: coloured lines on a terminal, else JSON.
        level: The least level to write, one of `LEVELS`.
        stream: Where to write, if not to stderr.

    Raises:
        UsageError: There is no such level.
    """
    if level.lower() not in LEVELS:
        raise UsageError(f"unknown log level {level!r}: choose one of {', '.join(LEVELS)}")
    number = logging.getLevelNamesMapping()[level.upper()]
    stream = sys.stderr if stream is None else stream
    json = not stream.isatty() if json is None else json

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_item,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True) if json else _local_time(),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = _Handler(stream)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                _TemporalContext(_SHORT if not json else None),
                ProcessorFormatter.remove_processors_meta,
                *_renderers(json=json, colors=stream.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [other for other in root.handlers if not isinstance(other, _Handler)] + [handler]
    root.setLevel(number)
    # Temporal's loggers append their context to the text; here it becomes fields instead.
    workflow.logger.workflow_info_on_message = False
    activity.logger.activity_info_on_message = False


def get_logger(name: str) -> Any:
    """Return a structlog logger over Python's `logging`: it prints nothing to stdout where nothing was set up.

    Args:
        name: Of the logger.
    """
    return structlog.wrap_logger(logging.getLogger(name), wrapper_class=structlog.stdlib.BoundLogger)


def core_logging(level: str = "warning") -> LoggingConfig:
    """Return the setting that sends the lines of Temporal's Rust core through Python's logging.

    Without it they go to stdout, where the data of a command belongs:

        Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=core_logging())))

    Args:
        level: The least level to forward.
    """
    name = {"warning": "warn", "critical": "error"}.get(level.lower(), level.lower()).upper()
    return LoggingConfig(
        filter=TelemetryFilter(core_level=name, other_level="ERROR"),
        forwarding=LogForwardingConfig(
            logger=logging.getLogger("temporalio.core"),
            append_target_to_name=False,
            prepend_target_on_message=False,
            append_log_fields_to_message=False,
        ),
    )


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, so that a second call replaces it and leaves the handlers of others alone."""


class _TemporalContext:
    """Moves what Temporal's loggers attach to a record into fields of the line."""

    def __init__(self, keys: tuple[str, ...] | None) -> None:
        """Take the keys to show; None shows all."""
        self._keys = keys

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        """Add the fields of one line; those that it has already are kept."""
        record = event.get("_record")
        for attribute in ("temporal_workflow", "temporal_activity"):
            for key, value in getattr(record, attribute, {}).items():
                if self._keys is None or key in self._keys:
                    event.setdefault(key, value)
        core = getattr(record, "temporal_log", None)
        if core is not None:
            event.update({"target": core.target, **core.fields})
        return event


def _add_item(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Say which item a line is about; asked when a line is written, so that items that say nothing pay nothing."""
    ask = current.get(None)
    if ask is not None:
        item = ask()
        event.setdefault("index", item.index)
        event.setdefault("key", item.key)
    return event


def _local_time() -> Processor:
    return structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)


def _renderers(*, json: bool, colors: bool) -> list[Processor]:
    if json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    # Rich tracebacks show local variables, and so may show a password.
    return [
        structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        )
    ]
