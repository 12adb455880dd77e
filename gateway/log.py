"""Structured logs: one JSON line an event, with ids, never with content.

Events are snake_case words with fields, not sentences. What must never appear (document
content, passwords, codes, whole telephone numbers, tokens) is kept out at the place of
logging; `_redact` is the net below it. Tracebacks never carry local variables: structlog's
default would print them, passwords included.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import FilteringBoundLogger

#: Fields whose value is never written, whoever passes them.
SECRET_FIELDS = frozenset(
    {"password", "wachtwoord", "code", "token", "secret", "cookie", "authorization", "body"}
)
_PHONE = re.compile(r"(?<![\w.-])(?:\+|00)\d{5,10}(\d{3})(?!\d)")


def _redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        event[key] = "…" if key.lower() in SECRET_FIELDS else _mask(value)
    return event


def _mask(value: Any) -> Any:
    """The value with whole telephone numbers masked, at any depth."""
    if isinstance(value, str):
        return _PHONE.sub(r"•••\1", value)
    if isinstance(value, Mapping):
        return {k: "…" if str(k).lower() in SECRET_FIELDS else _mask(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mask(v) for v in value]
    return value


def configure(*, level: str = "info", stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's events as JSON lines to `stream` (stderr)."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
        _redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared[:2], structlog.stdlib.add_logger_name, *shared[2:]],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # asyncssh, botocore and smbprotocol log request details below warning: not our events.
    noisy = ("asyncssh", "botocore", "smbprotocol", "smbclient", "zeep", "urllib3", "asyncio")
    for name in noisy:
        logging.getLogger(name).setLevel(logging.WARNING)


def get(**fields: Any) -> FilteringBoundLogger:
    """A logger with `fields` bound."""
    logger: FilteringBoundLogger = structlog.get_logger("gateway")
    return logger.bind(**fields) if fields else logger
