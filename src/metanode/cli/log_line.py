"""What one line of a log says: when it was written, and an entry of JSON, as services write them, in the form of the nodes' lines."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(?=Z )")
_FACTS: Final = ("timestamp", "level", "event")
"""Texts that make an object of JSON an entry of ours."""
_TRACES: Final = ("exception", "stack")
"""Of several lines, which stand below the entry's own."""
_EVENT_WIDTH: Final = 28
"""Of the column of events in a node's line."""


def time_of(text: str) -> str | None:
    """When a line was written, in a form that can be compared; None of one that does not say."""
    found = _TIME.match(text)
    return found and found[0]


def readable(text: str) -> list[str]:
    """The line for people: an entry of JSON as the lines that a node would write of it, and anything else as it is."""
    if not text.startswith("{"):
        return [text]
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return [text]
    if not all(isinstance(entry.get(name), str) for name in _FACTS):
        return [text]
    if not all(isinstance(entry.get(name, ""), str) for name in _TRACES):
        return [text]
    # What JSON had escaped must not command the terminal now.
    return [_printable(line) for line in _renderer()(None, "", entry).rstrip().split("\n")]


@cache
def _renderer() -> Callable[[Any, str, dict[str, Any]], str]:
    import structlog.dev  # noqa: PLC0415 - every command imports this module, and `logs` alone needs that one

    return structlog.dev.ConsoleRenderer(
        colors=False, pad_event_to=_EVENT_WIDTH, exception_formatter=structlog.dev.plain_traceback
    )


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
