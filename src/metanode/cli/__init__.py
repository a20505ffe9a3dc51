"""The `metanode` command: a local network in one command, and everything an operator asks of a node.

Each command group lives in a file of its own. Output is Rich for people and, with `--json`, one JSON document for
programs. Whatever goes wrong on purpose (`MetanodeError`) is one sentence on stderr and exit code 1.
"""

from __future__ import annotations

import sys

import typer

from metanode.cli import accounts, bench, genesis, keys, network, node, validators
from metanode.cli.output import print_error
from metanode.errors import MetanodeError

app = typer.Typer(
    name="metanode",
    help="A BFT EVM testnet in one command.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
network.register(app)
app.add_typer(node.app, name="node")
app.add_typer(keys.app, name="keys")
app.add_typer(genesis.app, name="genesis")
app.add_typer(accounts.app, name="account")
app.add_typer(validators.app, name="validators")
bench.register(app)


def main() -> int:
    """Run the command line; the exit code."""
    try:
        app()
    except MetanodeError as error:
        print_error(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
