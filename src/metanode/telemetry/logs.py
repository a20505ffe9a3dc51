"""Logging: an event name and facts, as lines for people or as one JSON object a line.

Event names are lower case with underscores; facts are keyword arguments with units in their names. What a peer or a caller
said is cut. Keys, passwords and tokens never reach a log: whoever holds one wraps it so that it shows itself as "***", and
as a second line of defence the values of fields with such names are replaced here.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Literal

import orjson
import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping

TEXT_CHARACTERS_MAX = 400
"""A fact that is longer is cut: it is somebody's input, or a mistake."""
SECRET_FIELDS = frozenset({"key", "private_key", "secret", "password", "token", "mnemonic", "authorization"})

Format = Literal["console", "json"]


def configure_logs(*, level: str, output_format: Format) -> None:
    """Set up logging for this process; call it once, before the first event. `level` is a name of the standard library's."""
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_secrets,
        cut_texts,
    ]
    if output_format == "json":
        processors += [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(
                serializer=lambda event, **_: orjson.dumps(event, default=repr).decode()
            ),
        ]
    else:
        # structlog's own choice shows the values of local variables, secrets among them, and holds the loop up while it draws them.
        console = structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(), pad_event_to=28, exception_formatter=structlog.dev.plain_traceback
        )
        processors.append(console)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=True,
    )


def hide_secrets(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace the values of fields that are named like secrets."""
    for name in SECRET_FIELDS & event.keys():
        event[name] = "***"
    return event


def cut_texts(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Cut long texts, and keep control characters from forging lines or colours."""
    for name, value in event.items():
        if isinstance(value, str) and name not in ("exception", "timestamp"):
            shown = value if len(value) <= TEXT_CHARACTERS_MAX else value[:TEXT_CHARACTERS_MAX] + "…"
            event[name] = shown if shown.isprintable() else repr(shown)[1:-1]
    return event
