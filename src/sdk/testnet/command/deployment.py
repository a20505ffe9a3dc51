"""`testnet deploy`: every file of a network with its keys, and the network itself where that is asked."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metanode.errors import InvalidInput
from sdk.testnet.command.options import AsJson
from sdk.testnet.command.output import print_json, print_progress, progress

if TYPE_CHECKING:
    from sdk.testnet.deployment import DeploymentResult


class Apply(Enum):
    """How a deployment is started."""

    LOCAL = "local"
    COMPOSE = "compose"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(deploy)


def deploy(  # noqa: PLR0917 - Typer makes options of them
    output: Annotated[
        Path, typer.Option("--output", "-o", "--directory", "-d", help="Folder of the deployment.")
    ] = Path(),
    network_name: Annotated[
        str | None, typer.Option("--network", help="The network's name; by default moderntensor-testnet.")
    ] = None,
    chain_id: Annotated[int | None, typer.Option(help="EIP-155 chain id; by default 9999.")] = None,
    validators: Annotated[int | None, typer.Option(help="How many validators; by default 5.")] = None,
    block_time: Annotated[
        int | None, typer.Option(help="Block period in whole seconds; by default 2.")
    ] = None,
    consensus: Annotated[
        str | None,
        typer.Option(help='"pos" weighs votes by stake, "ibft" gives each validator one; by default "pos".'),
    ] = None,
    stake: Annotated[int | None, typer.Option(help="Stake of each validator, in whole tokens.")] = None,
    faucet_balance: Annotated[int | None, typer.Option(help="What the faucet has, in gwei.")] = None,
    fund: Annotated[
        list[str] | None, typer.Option(help="ADDRESS=GWEI; give the option once for each account.")
    ] = None,
    total_supply: Annotated[
        int | None, typer.Option(help="Whole tokens that stakes and balances are at most.")
    ] = None,
    gas_limit: Annotated[int | None, typer.Option(help="Of a block; by default 60 million.")] = None,
    block_reward: Annotated[
        int | None, typer.Option(help="Gwei for each block, to its proposer; by default none.")
    ] = None,
    genesis_dir: Annotated[
        Path | None, typer.Option(help="Folder of the genesis; by default genesis in the output.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Keys and chain data; by default data in the output.")
    ] = None,
    bind_address: Annotated[str, typer.Option(help="0.0.0.0 lets other machines in.")] = "127.0.0.1",
    peers_bind_address: Annotated[
        str | None, typer.Option(help="The same for the ports of peers alone; by default as the others.")
    ] = None,
    public_host: Annotated[
        str | None, typer.Option(help="Name or address under which people and peers reach this machine.")
    ] = None,
    public_faucet: Annotated[
        bool | None,
        typer.Option(help="Limits and proof of work for strangers; by default where others can reach it."),
    ] = None,
    port_offset: Annotated[int, typer.Option(help="Added to every published port.")] = 0,
    services: Annotated[
        list[str] | None,
        typer.Option(
            "--service", help="Beside the validators; give the option once for each, by default all."
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="parvyom-testnet-v1: the facts and the Compose file of its plan.")
    ] = None,
    webhooks: Annotated[
        list[str] | None,
        typer.Option(
            "--webhook",
            help="Who is told of alerts: an address, or `slack ADDRESS`; with `info` before it of everything. Give the option once for each.",
        ),
    ] = None,
    alertmanager: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of an Alertmanager that Prometheus tells, as containers reach it."),
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="Name of the image that is built; by default moderntensor:testnet.")
    ] = None,
    base_image: Annotated[str | None, typer.Option(help="What the image is built on.")] = None,
    wheel: Annotated[
        Path | None,
        typer.Option(help="A wheel of Metanode for the image; by default one of this installation."),
    ] = None,
    apply: Annotated[
        Apply | None, typer.Option(help="Start it: as processes of this machine, or as containers.")
    ] = None,
    confirm_changes: Annotated[
        bool, typer.Option("--confirm-changes", help="Write what differs from what stands there.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Write keys, genesis, Compose file, monitoring and guide of a network; a second call changes nothing. Keys and data are never overwritten."""
    from sdk.testnet.deployment import DeploymentChange, deploy_testnet  # noqa: PLC0415 - all renderers, for this command only

    asked: dict[str, Any] = {
        "network_name": network_name,
        "chain_id": chain_id,
        "num_validators": validators,
        "block_time_s": block_time,
        "consensus_type": consensus,
        "peers_bind_address": peers_bind_address,
        "public_host": public_host,
        "public_faucet": public_faucet,
        "webhooks": None if webhooks is None else tuple(webhooks),
        "validator_stake": stake,
        "faucet_balance": faucet_balance,
        "total_supply": total_supply,
        "gas_limit": gas_limit,
        "block_reward_gwei": block_reward,
        "genesis_dir": genesis_dir,
        "data_dir": data_dir,
        "preset": preset,
        "alertmanager": alertmanager,
        "image": image,
        "base_image": base_image,
        "wheel": wheel,
        "services": None if services is None else tuple(services),
    }
    try:
        with progress("planning ...", silent=json) as say:
            made = deploy_testnet(
                apply=None if apply is None else apply.value,
                confirm_changes=confirm_changes,
                progress=say,
                output_dir=output,
                accounts=_accounts(fund or []),
                bind_address=bind_address,
                port_offset=port_offset,
                **{name: value for name, value in asked.items() if value is not None},
            )
    except DeploymentChange as error:
        lines = "\n".join(f"  {change}" for change in error.changes)
        raise InvalidInput(
            f"{output.resolve()}: this would change the deployment that is there:\n{lines}\n"
            "Give --confirm-changes to do so; keys and chain data stay as they are"
        ) from None
    if json:
        print_json(_document(made))
        return
    for name in made.created:
        print_progress(f"wrote {name}")
    for name in made.changed:
        print_progress(f"changed {name}")
    for name in made.deleted:
        print_progress(f"deleted {name}")
    if not made.created and not made.changed and not made.deleted:
        print_progress("nothing to change")
    if made.status is not None:
        typer.echo(f"all validators agree on block {made.status.height}")
    typer.echo(f"genesis hash: {made.genesis_hash}\nguide: {made.guide}\ncompose file: {made.compose_file}")


def _document(made: DeploymentResult) -> dict[str, Any]:
    return {
        "directory": str(made.output_dir),
        "compose_file": str(made.compose_file),
        "guide": str(made.guide),
        "genesis_hash": made.genesis_hash,
        "created": list(made.created),
        "changed": list(made.changed),
        "unchanged": list(made.unchanged),
        "deleted": list(made.deleted),
        "height": None if made.status is None else made.status.height,
    }


def _accounts(entries: list[str]) -> dict[str, int]:
    accounts = {}
    for entry in entries:
        address, separator, amount = entry.partition("=")
        if not separator or not amount.isascii() or not amount.isdecimal() or len(amount) > 30:
            raise InvalidInput(f"--fund: found {entry[:80]!r}; expected ADDRESS=GWEI, such as 0x…=1000000000")
        accounts[address] = int(amount)
    return accounts
