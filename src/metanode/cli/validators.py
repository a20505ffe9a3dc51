"""`metanode validators`: the validator set, and votes to change it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from metanode.cli.calls import batch, call
from metanode.cli.options import DEFAULT_DIRECTORY, AsJson, Directory
from metanode.cli.output import print_json, print_table, print_warning
from metanode.crypto.addresses import format_address, parse_address
from metanode.errors import InvalidInput
from metanode.primitives.hexadecimal import decode_quantity, encode_data
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.plan import NetworkPlan

app = typer.Typer(help="The validator set, and votes to change it.", no_args_is_help=True)

ValidatorAddress = Annotated[str, typer.Argument(help="The validator's address.")]
Force = Annotated[
    bool, typer.Option("--force", help="Vote even when the candidate is not connected and at the head.")
]


@app.command("list")
def list_validators(directory: Directory = DEFAULT_DIRECTORY, json: AsJson = False) -> None:
    """Show the validators of the next block, and what they proposed lately."""
    where = NetworkDirectory(directory.resolve())
    plan = where.load_plan()
    url, names = plan.nodes[0].rpc_url, _names(where, plan)
    addresses, signers = batch(
        url, [("ibft_getValidatorsByBlockNumber", ["pending"]), ("ibft_getSignerMetrics", [])]
    )
    metrics: dict[str, Any] = {entry["address"]: entry for entry in signers}
    found = [
        {
            "address": format_address(parse_address(address)),
            "name": names.get(address),
            "proposed_blocks": decode_quantity(entry["proposedBlockCount"]),
            "last_proposed_block": decode_quantity(entry["lastProposedBlockNumber"]),
        }
        for address in addresses
        # Who has just joined had no turn yet, and may be missing there.
        for entry in [metrics.get(address, {"proposedBlockCount": "0x0", "lastProposedBlockNumber": "0x0"})]
    ]
    if json:
        print_json(found)
        return
    print_table(
        ("validator", "node", "proposed of the last 100", "last proposed block"),
        [tuple("-" if value is None else str(value) for value in entry.values()) for entry in found],
    )


@app.command()
def add(
    address: ValidatorAddress,
    directory: Directory = DEFAULT_DIRECTORY,
    force: Force = False,
    json: AsJson = False,
) -> None:
    """Let every local validator vote to add ADDRESS; it joins after more than half of them proposed a block."""
    _vote(directory, address, adding=True, force=force, json=json)


@app.command()
def remove(address: ValidatorAddress, directory: Directory = DEFAULT_DIRECTORY, json: AsJson = False) -> None:
    """Let every local validator vote to remove ADDRESS; it leaves after more than half of them proposed a block."""
    _vote(directory, address, adding=False, force=False, json=json)


@app.command()
def discard(
    address: ValidatorAddress, directory: Directory = DEFAULT_DIRECTORY, json: AsJson = False
) -> None:
    """Let no local validator vote on ADDRESS any longer; votes in blocks of before stay counted until the epoch ends."""
    text = format_address(parse_address(address))
    plan = NetworkDirectory(directory.resolve()).load_plan()
    for node in plan.with_keys:
        call(node.private_url, "ibft_discardValidatorVote", text)
        if not json:
            typer.echo(f"{node.name} votes on {text} no longer")
    if json:
        print_json({"address": text, "discarded_by": [node.name for node in plan.with_keys]})


@app.command()
def votes(directory: Directory = DEFAULT_DIRECTORY, json: AsJson = False) -> None:
    """Show each local validator's own wishes, and which of them the validator set meets already."""
    plan = NetworkDirectory(directory.resolve()).load_plan()
    pending = {node.name: call(node.rpc_url, "ibft_getPendingVotes") for node in plan.with_keys}
    if json:
        print_json(pending)
        return
    members = _members(plan)
    for name, wishes in pending.items():
        text = ", ".join(
            f"{'add' if adding else 'remove'} {format_address(parse_address(address))}"
            + (" (done)" if (address in members) is adding else "")
            for address, adding in wishes.items()
        )
        typer.echo(f"{name}: {text or 'none'}")


def _vote(directory: Path, text: str, *, adding: bool, force: bool, json: bool) -> None:
    address = format_address(parse_address(text))
    where = NetworkDirectory(directory.resolve())
    plan = where.load_plan()
    members = _members(plan)
    voters = [node for node in plan.with_keys if encode_data(where.validator_address(node.name)) in members]
    if force:
        print_warning(
            f"the vote is forced: nobody has seen that {address} is connected and at the head. From its first block on it counts toward the quorum, "
            "and blocks stop if too few validators take part"
        )
    params: list[Any] = [address, adding, *([{"force": True}] if force else [])]
    for node in voters:
        call(node.private_url, "ibft_proposeValidatorVote", *params)
        if not json:
            typer.echo(f"{node.name} votes to {'add' if adding else 'remove'} {address}")
    if json:
        print_json({"address": address, "add": adding, "voters": [node.name for node in voters]})


def _names(where: NetworkDirectory, plan: NetworkPlan) -> dict[str, str]:
    """The nodes that this directory has the keys of, by their validators' addresses in lower case."""
    found = {}
    for node in plan.with_keys:
        # A validator of another machine has no file here.
        with suppress(InvalidInput):
            found[encode_data(where.validator_address(node.name))] = node.name
    return found


def _members(plan: NetworkPlan) -> list[str]:
    """The addresses of the next block's validators, in lower case."""
    members: list[str] = call(plan.nodes[0].rpc_url, "ibft_getValidatorsByBlockNumber", "pending")
    return members
