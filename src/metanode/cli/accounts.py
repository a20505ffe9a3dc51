"""`metanode account`: the funded accounts of the local network."""

from __future__ import annotations

import typer

from metanode.cli.calls import batch
from metanode.cli.options import DEFAULT_DIRECTORY, AsJson, Directory
from metanode.cli.output import print_json, print_table
from metanode.primitives.hexadecimal import decode_quantity
from metanode.primitives.units import format_tokens
from sdk.testnet.deployment.apply.accounts import FundedAccount, funded_accounts
from sdk.testnet.deployment.apply.layout import NetworkDirectory

app = typer.Typer(help="Funded accounts of the local network.", no_args_is_help=True)


@app.callback()
def account() -> None:
    """Funded accounts of the local network."""


@app.command("list")
def list_accounts(directory: Directory = DEFAULT_DIRECTORY, json: AsJson = False) -> None:
    """Show the ten accounts of the well-known mnemonic with their balances on the local network."""
    accounts = funded_accounts()
    balances = _balances(NetworkDirectory(directory.resolve()), accounts)
    if json:
        print_json(
            [
                {"address": account.address, "private_key": account.private_key, "balance_wei": balance}
                for account, balance in zip(accounts, balances, strict=True)
            ]
        )
        return
    print_table(
        ("address", "private key", "balance (tokens)"),
        [
            (account.address, account.private_key, format_tokens(balance))
            for account, balance in zip(accounts, balances, strict=True)
        ],
    )


def _balances(directory: NetworkDirectory, accounts: tuple[FundedAccount, ...]) -> list[int]:
    node = directory.load_plan().nodes[0]
    calls = [("eth_getBalance", (account.address, "latest")) for account in accounts]
    return [decode_quantity(answer) for answer in batch(node.rpc_url, calls)]
