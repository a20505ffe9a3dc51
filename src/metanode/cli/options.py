"""Options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Directory = Annotated[
    Path,
    typer.Option(
        "--directory", "-d", envvar="METANODE_DIRECTORY", help="Where the local network keeps its files."
    ),
]
DEFAULT_DIRECTORY = Path(".metanode")

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of text for people.")]
