"""How commands speak: tables for people, one JSON document for programs, errors and warnings on stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WIDTH_MIN = 130
"""An address or a key that is cut is of no use: a narrower terminal wraps the lines instead."""


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
    """Print a table on stdout whose cells are never cut."""
    if title is not None:
        sys.stdout.write(f"{title}\n")
        sys.stdout.flush()
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False)
    console.width = max(console.width, WIDTH_MIN)
    console.print(table)


def print_progress(text: str) -> None:
    """Print on stderr what has been reached."""
    sys.stderr.write(f"{text}\n")


def print_error(text: str) -> None:
    """Print why the command failed on stderr."""
    sys.stderr.write(f"error: {text}\n")


def print_warning(text: str) -> None:
    """Print on stderr what the reader should know although the command goes on."""
    sys.stderr.write(f"warning: {text}\n")
