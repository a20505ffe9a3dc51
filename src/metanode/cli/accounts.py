"""`metanode account`: the funded accounts of the local network."""

from __future__ import annotations

import httpx
import typer
from rich.console import Console
from rich.table import Table

from metanode.cli.options import DEFAULT_DIRECTORY, AsJson, Directory
from metanode.cli.output import print_json
from metanode.errors import Unavailable
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
    table = Table()
    for heading in ("address", "private key", "balance (ether)"):
        table.add_column(heading, no_wrap=True)
    for account, balance in zip(accounts, balances, strict=True):
        table.add_row(
            account.address, account.private_key, f"{balance // 10**18}.{balance % 10**18 // 10**14:04d}"
        )
    Console().print(table)


def _balances(directory: NetworkDirectory, accounts: tuple[FundedAccount, ...]) -> list[int]:
    node = directory.load_plan().nodes[0]
    batch = [
        {"jsonrpc": "2.0", "id": index, "method": "eth_getBalance", "params": [account.address, "latest"]}
        for index, account in enumerate(accounts)
    ]
    try:
        answers = httpx.post(f"http://127.0.0.1:{node.rpc_port}", json=batch, timeout=5.0).json()
        return [int(answer["result"], 16) for answer in sorted(answers, key=lambda answer: answer["id"])]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        raise Unavailable(
            f"{node.name} does not answer on port {node.rpc_port}; start the network with `metanode up`"
        ) from None
