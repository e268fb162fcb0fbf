"""Structured logs: one event per line, JSON where nobody looks, coloured text on a terminal.

Only the values of a log line come from messages, never its keys: structlog's console renderer does
not escape keys. Values shown on a terminal lose their control characters, so that a user agent
cannot move the cursor or forge a line.
"""

import io
import logging
import re
import sys
from typing import Literal, TextIO

import structlog

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
Format = Literal["auto", "json", "text"]


def printable(text: str) -> str:
    """`text` without control and direction-changing characters, each replaced by `?`."""
    return CONTROL.sub("?", text)


def plain_traceback(sio: TextIO, exc_info: structlog.typing.ExcInfo) -> None:
    """A traceback without local variables, whose messages cannot move the cursor either.

    Indented, so that no line of a message can pass for a line of the log.
    """
    text = io.StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    sio.write("\n".join(f"  {printable(line)}" for line in text.getvalue().split("\n")))


def clean_values(
    _logger: object, _method: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    for name, value in line.items():
        if isinstance(value, str) and name != "exception":
            line[name] = printable(value)
    return line


def set_up(level: str = "info", form: Format = "auto") -> None:
    """Configure structlog, and send the standard library's records the same way, to stderr."""
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: list[structlog.typing.Processor] = (
        [
            clean_values,
            structlog.dev.ConsoleRenderer(exception_formatter=plain_traceback),
        ]
        if text
        # Frames without local variables: those could hold secrets.
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # botocore logs whole requests, credentials included, at debug.
    for chatty in ("botocore", "aiobotocore", "aiohttp.access", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def set_level(level: str) -> None:
    """From now on, lines of this level and above."""
    logging.getLogger().setLevel(level.upper())
