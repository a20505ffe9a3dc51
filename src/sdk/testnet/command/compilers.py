"""`testnet compilers`: with what the services verify contracts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdk.testnet.command.output import print_json, print_table, print_warning, progress


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(compilers)


def compilers(
    install: Annotated[
        bool, typer.Option("--install", help="Install the pinned versions of solc first, with npm.")
    ] = False,
    directory: Annotated[
        Path | None, typer.Option("--directory", "-d", help="Where they are; the user's cache if not said.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the compilers that contracts are verified with, and install Solidity's."""
    from sdk.testnet.services.verification.compilers import default_folder, find_compilers  # noqa: PLC0415 - for this command only
    from sdk.testnet.services.verification.installing import install_compilers  # noqa: PLC0415 - the same

    folder = directory or default_folder()
    if install:
        with progress("looking for what is installed", silent=as_json) as say:
            install_compilers(folder, say=say)
    found = find_compilers([folder])
    if as_json:
        print_json(
            {
                "directory": str(folder),
                "compilers": [{"language": one.language, "version": one.version} for one in found.found],
                "missing": list(found.missing),
            }
        )
        return
    print_table(("language", "version"), [(one.language, one.version) for one in found.found])
    for sentence in found.missing:
        print_warning(sentence)
