"""Logging to stderr, as lines for a person or as JSON.

Every record has an `event`, one of the table in docs/logs.md, and what libraries say is one of
them. What is logged is chosen where it is logged: ids, codes, counts. Never tokens, names, or
what people wrote; and a traceback shows code, not the values of variables.
"""

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger


def configure_logs(level: str, style: Literal["console", "json"]) -> None:
    """Send our logs and those of the libraries to stderr in one style."""
    shared: list[Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if style == "json":
        render += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        render += [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_of_a_library, *shared], processors=render
        )
    )
    # It repeats malformed requests, tokens included, at ERROR; they are answered with 400.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    # Tells every statement with its values, names among them.
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)
    # Tells at INFO what it is made of, before there is anything to do.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _of_a_library(_: WrappedLogger, __: str, record: EventDict) -> EventDict:
    """Libraries write sentences where we have an event."""
    return {**record, "event": "library.message", "message": record["event"]}
