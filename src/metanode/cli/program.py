"""The program: all commands, and how its failures look."""

from __future__ import annotations

from typing import Annotated

import typer

from metanode import __version__
from metanode.cli import (
    accounts,
    bench,
    doctor,
    evidence,
    faucet,
    genesis,
    keys,
    network,
    node,
    snapshot,
    validators,
)
from metanode.cli.output import run_program

app = typer.Typer(
    name="metanode",
    help="A BFT EVM testnet in one command.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"metanode {__version__}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """A BFT EVM testnet in one command."""


network.register(app)
doctor.register(app)
app.add_typer(node.app, name="node")
app.add_typer(keys.app, name="keys")
app.add_typer(genesis.app, name="genesis")
app.add_typer(snapshot.app, name="snapshot")
app.add_typer(accounts.app, name="account")
app.add_typer(validators.app, name="validators")
app.add_typer(evidence.app, name="evidence")
app.add_typer(faucet.app, name="faucet")
bench.register(app)


def main() -> int:
    """Run the command line; the exit code."""
    return run_program(app)
