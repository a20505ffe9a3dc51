"""`testnet wheel`: this installation as one file, for another project's environment or another machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdk.testnet.command.options import AsJson
from sdk.testnet.command.output import print_json, print_progress


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(wheel)


def wheel(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the file.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Write a wheel of this installation, for `pip install` in another environment of Linux: no compiler is needed there.

    It has the Rust engine as it was built here, for Python 3.11 and later on machines of this architecture.
    """
    from sdk.testnet.deployment.image.wheel import make_wheel, wheel_name  # noqa: PLC0415 - for this command only
    from sdk.testnet.writing import write_whole  # noqa: PLC0415 - the same

    content = make_wheel()
    path = output / wheel_name()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
    if as_json:
        print_json({"wheel": str(path), "size_bytes": len(content)})
        return
    print_progress("install it with pip install, in any environment of Python 3.11 or later:")
    typer.echo(str(path))
