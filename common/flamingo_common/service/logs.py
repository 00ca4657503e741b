"""Structured logs: one line per event, whose name is in the past tense, with its fields.

Human-readable on a terminal, JSON otherwise. Our own events are written directly, because the
access log is a line for each request and `logging` takes three times as long. Libraries that use
`logging` are logged in the same format.
"""

import logging
import sys
from typing import TextIO

import structlog

from flamingo_common.service import printable


def configure(*, service: str, level: str) -> None:
    """Send all logs of this process to standard error; every line has the `service`."""
    first: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.types.Processor] = (
        [_escape, structlog.dev.ConsoleRenderer()]
        if sys.stderr.isatty()
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    lines = _Lines(sys.stderr)
    structlog.configure(
        processors=[*first, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*first, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    structlog.contextvars.bind_contextvars(service=service)


class _Lines:
    """Writes lines to a stream, and drops them where that fails, as `logging` does.

    A full disk, or a log collector that went away, must not fail requests.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def _write(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: it is closed
            return

    debug = info = warning = error = critical = _write


def _escape(_: object, __: str, fields: structlog.types.EventDict) -> structlog.types.EventDict:
    """Escape what clients have sent, such as paths: a terminal would obey control sequences."""
    return {
        name: printable.escape_text(value) if isinstance(value, str) else value
        for name, value in fields.items()
    }


def get() -> structlog.typing.FilteringBoundLogger:
    """Return a logger."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger
