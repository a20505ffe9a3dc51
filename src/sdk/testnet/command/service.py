"""`testnet service`: the services of a network, all in this process or some alone; what containers run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(service)


def service(
    name: Annotated[
        list[str],
        typer.Argument(help="Services to run: explorer, faucet, api, gateway, indexer, bootstrap; or all."),
    ],
    config: Annotated[
        Path, typer.Option("--config", "-c", help="Configuration of the services, a TOML file.")
    ],
) -> None:
    """Run services in this process until Ctrl-C or SIGTERM."""
    from sdk.testnet.services.program import run_services  # noqa: PLC0415 - web servers, for this command only

    run_services(config, name)
