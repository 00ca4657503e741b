"""Structured logs: one line per event, whose name is in the past tense, with its fields.

Human-readable on a terminal, JSON otherwise. Libraries that use `logging` are logged in
the same format.
"""

import logging
import sys

import structlog

from flamingo_common.service import printable


def configure(*, service: str, level: str) -> None:
    """Send all logs of this process to standard error; every line has the `service`."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
    ]
    is_terminal = sys.stderr.isatty()
    last: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if is_terminal else structlog.processors.JSONRenderer()
    )
    to_text: list[structlog.types.Processor] = (
        [_escape] if is_terminal else [structlog.processors.format_exc_info]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *to_text,
                last,
            ],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    structlog.contextvars.bind_contextvars(service=service)


def _escape(_: object, __: str, fields: structlog.types.EventDict) -> structlog.types.EventDict:
    """Escape what clients have sent, such as paths: a terminal would obey control sequences."""
    return {
        name: printable.escape_text(value) if isinstance(value, str) else value
        for name, value in fields.items()
    }


def get() -> structlog.stdlib.BoundLogger:
    """Return a logger."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger()
    return logger
