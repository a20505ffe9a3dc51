"""`metanode validators`: the validator set, and votes to change it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from metanode.cli.calls import call
from metanode.cli.options import DEFAULT_DIRECTORY, AsJson, Directory
from metanode.cli.output import print_json
from metanode.crypto.addresses import format_address, parse_address
from sdk.testnet.deployment.apply.layout import NetworkDirectory

app = typer.Typer(help="The validator set, and votes to change it.", no_args_is_help=True)

ValidatorAddress = Annotated[str, typer.Argument(help="The validator's address.")]
Force = Annotated[
    bool, typer.Option("--force", help="Vote even when the candidate is not connected and at the head.")
]


@app.command("list")
def list_validators(directory: Directory = DEFAULT_DIRECTORY, json: AsJson = False) -> None:
    """Show the validators of the next block, what they proposed lately, and open votes."""
    plan = NetworkDirectory(directory.resolve()).load_plan()
    url = f"http://127.0.0.1:{plan.nodes[0].rpc_port}"
    addresses: list[str] = call(url, "ibft_getValidatorsByBlockNumber", ["latest"])
    metrics: dict[str, Any] = {entry["address"]: entry for entry in call(url, "ibft_getSignerMetrics", [])}
    if json:
        print_json([{"address": address, **metrics.get(address, {})} for address in addresses])
        return
    table = Table()
    for heading in ("validator", "proposed of the last 100", "last proposed block"):
        table.add_column(heading)
    for address in addresses:
        entry = metrics.get(address, {"proposedBlockCount": "0x0", "lastProposedBlockNumber": "0x0"})
        counts = (entry["proposedBlockCount"], entry["lastProposedBlockNumber"])
        table.add_row(format_address(parse_address(address)), *(str(int(count, 16)) for count in counts))
    Console().print(table)


@app.command()
def add(address: ValidatorAddress, directory: Directory = DEFAULT_DIRECTORY, force: Force = False) -> None:
    """Let every local validator vote to add ADDRESS; it joins after more than half of them proposed a block."""
    _vote(directory, address, adding=True, force=force)


@app.command()
def remove(address: ValidatorAddress, directory: Directory = DEFAULT_DIRECTORY, force: Force = False) -> None:
    """Let every local validator vote to remove ADDRESS."""
    _vote(directory, address, adding=False, force=force)


@app.command()
def votes(directory: Directory = DEFAULT_DIRECTORY, json: AsJson = False) -> None:
    """Show each local validator's own open votes."""
    plan = NetworkDirectory(directory.resolve()).load_plan()
    pending = {
        node.name: call(f"http://127.0.0.1:{node.rpc_port}", "ibft_getPendingVotes", [])
        for node in plan.validators
    }
    if json:
        print_json(pending)
        return
    for name, wishes in pending.items():
        text = ", ".join(f"{'add' if adding else 'remove'} {address}" for address, adding in wishes.items())
        typer.echo(f"{name}: {text or 'none'}")


def _vote(directory: Any, text: str, *, adding: bool, force: bool) -> None:
    address = format_address(parse_address(text))
    plan = NetworkDirectory(directory.resolve()).load_plan()
    for node in plan.validators:
        params: list[Any] = [address, adding] + ([{"force": True}] if force else [])
        call(f"http://127.0.0.1:{node.private_port}", "ibft_proposeValidatorVote", params)
        typer.echo(f"{node.name} votes to {'add' if adding else 'remove'} {address}")
