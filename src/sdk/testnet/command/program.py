"""The program: all groups of commands."""

from __future__ import annotations

from typing import Annotated

import typer

from metanode import __version__
from sdk.testnet.command import (
    bootstrap,
    compilers,
    deployment,
    explorer,
    faucet,
    genesis,
    monitor,
    network,
    service,
    wheel,
)
from sdk.testnet.command.output import run_program

app = typer.Typer(
    name="testnet",
    help="A test network and all that stands around it: genesis, deployment, faucet, bootstrap node, monitoring, services.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"testnet {__version__}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """A test network and all that stands around it."""


app.add_typer(genesis.app, name="genesis")
deployment.register(app)
network.register(app)
app.add_typer(faucet.app, name="faucet")
app.add_typer(bootstrap.app, name="bootstrap")
monitor.register(app)
app.add_typer(explorer.app, name="explorer")
service.register(app)
compilers.register(app)
wheel.register(app)


def main() -> int:
    """Run the command line; the exit code."""
    return run_program(app)
