"""How commands speak: Rich tables for people, one JSON document for programs, errors on stderr."""

from __future__ import annotations

import json
import sys
from typing import Any


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def print_error(text: str) -> None:
    """Print why the command failed on stderr."""
    sys.stderr.write(f"error: {text}\n")


def print_warning(text: str) -> None:
    """Print on stderr what the reader should know although the command goes on."""
    sys.stderr.write(f"warning: {text}\n")
