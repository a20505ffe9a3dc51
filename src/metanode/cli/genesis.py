"""`metanode genesis`: make, check and describe genesis files."""

from __future__ import annotations

import json as json_format
import time
from pathlib import Path
from typing import Annotated

import typer

from metanode.cli.options import AsJson
from metanode.cli.output import print_json
from metanode.crypto.addresses import parse_address

app = typer.Typer(help="Make and check genesis files.", no_args_is_help=True)


@app.command()
def new(
    output: Annotated[Path, typer.Argument(help="The file to write; an existing one is never replaced.")],
    validator: Annotated[
        list[str], typer.Option(help="Address of a validator; give the option once for each.")
    ],
    chain_id: Annotated[int, typer.Option(help="EIP-155 chain id.")],
    network: Annotated[str, typer.Option(help="The network's name.")],
    block_time: Annotated[int, typer.Option(help="Block period in whole seconds.")] = 2,
    gas_limit: Annotated[
        int, typer.Option(help="Gas limit of the genesis block, and target after it.")
    ] = 60_000_000,
    reward_gwei: Annotated[int, typer.Option(help="Reward of each block's proposer.")] = 0,
    fund: Annotated[
        list[str] | None, typer.Option(help="ADDRESS=ETHER; give the option once for each.")
    ] = None,
    genesis_time: Annotated[int | None, typer.Option(help="Seconds since the epoch; by default now.")] = None,
) -> None:
    """Write the genesis file of a new network; nothing is funded but what --fund says."""
    from metanode.chain.genesis import build_genesis  # noqa: PLC0415
    from metanode.errors import InvalidInput  # noqa: PLC0415

    balances = {}
    for entry in fund or []:
        address, separator, amount = entry.partition("=")
        if not separator or not amount.isdecimal():
            raise InvalidInput(f"--fund {entry}: expected ADDRESS=ETHER with whole ether, such as 0x…=1000")
        balances[parse_address(address, field="--fund")] = int(amount) * 10**18
    document = build_genesis(
        chain_id=chain_id,
        network_name=network,
        genesis_time=int(time.time()) if genesis_time is None else genesis_time,
        period_s=block_time,
        gas_limit=gas_limit,
        reward_gwei=reward_gwei,
        validators=[
            parse_address(text, field=f"--validator {index + 1}") for index, text in enumerate(validator)
        ],
        balances_wei=balances,
    )
    with output.open("x", encoding="utf-8") as file:
        file.write(json_format.dumps(document, indent=2) + "\n")
    typer.echo(f"wrote {output}")


@app.command()
def check(file: Annotated[Path, typer.Argument(help="The genesis file.")], json: AsJson = False) -> None:
    """Check a genesis file as a node would, and show what network it starts."""
    from metanode.chain.genesis import load_genesis  # noqa: PLC0415

    genesis = load_genesis(file.read_bytes())
    document = genesis.describe()
    if json:
        print_json(document)
        return
    for name, value in document.items():
        typer.echo(f"{name.replace('_', ' ')}: {value}")
