"""`testnet service`: the services of a network, all in this process or some alone; what containers run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdk.testnet.command.options import AsJson
from sdk.testnet.command.output import log_on_stderr, print_line


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
    json: AsJson = False,
) -> None:
    """Run services in this process until Ctrl-C or SIGTERM.

    With --json one line says where each listens once all can be reached, and the log goes to stderr.
    """
    from sdk.testnet.services.program import run_services  # noqa: PLC0415 - web servers, for this command only

    if not json:
        run_services(config, name)
        return
    log_on_stderr()
    run_services(config, name, upon_ready=lambda addresses: print_line({"services": dict(addresses)}))
