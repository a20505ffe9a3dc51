"""Options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of text for people.")]
Directory = Annotated[
    Path,
    typer.Option(
        "--directory",
        "-d",
        envvar="TESTNET_DIRECTORY",
        help="The deployment, as `testnet deploy` wrote it; or the directory of a network that `metanode up` made.",
    ),
]
HERE: Final = Path()
ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="Configuration of the services, a TOML file.")
]
