"""`metanode genesis`: make, check and describe genesis files."""

from __future__ import annotations

import json as json_format
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from metanode.chain.genesis import Genesis, make_genesis, parse_genesis
from metanode.chain.validators import ValidatorSet
from metanode.cli.options import AsJson
from metanode.cli.output import print_json
from metanode.crypto.addresses import format_address, parse_address
from metanode.errors import InvalidInput
from metanode.primitives.units import parse_tokens

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
        list[str] | None, typer.Option(help="ADDRESS=TOKENS, such as 0x…=1.5; give the option once for each.")
    ] = None,
    genesis_time: Annotated[int | None, typer.Option(help="Seconds since the epoch; by default now.")] = None,
    json: AsJson = False,
) -> None:
    """Write the genesis file of a new network; nothing is funded but what --fund says."""
    balances = {}
    for entry in fund or []:
        address, separator, amount = entry.partition("=")
        if not separator:
            raise InvalidInput(f"--fund: found {entry[:80]!r}; expected ADDRESS=TOKENS, such as 0x…=1000")
        balances[parse_address(address, field="--fund")] = parse_tokens(amount, field="--fund")
    document = make_genesis(
        network_name=network,
        chain_id=chain_id,
        genesis_time=int(time.time()) if genesis_time is None else genesis_time,
        validators=ValidatorSet.of_addresses(
            parse_address(text, field=f"--validator {index + 1}") for index, text in enumerate(validator)
        ),
        balances=balances,
        period_s=block_time,
        gas_limit=gas_limit,
        reward_gwei=reward_gwei,
    )
    if output.exists():
        raise InvalidInput(f"{output} exists already, a genesis file is never overwritten")
    text = json_format.dumps(document, indent=2) + "\n"
    genesis = parse_genesis(text)
    with output.open("x", encoding="utf-8") as file:
        file.write(text)
    if json:
        print_json({"file": str(output), **_description(genesis)})
    else:
        typer.echo(f"wrote {output}")


@app.command()
def check(file: Annotated[Path, typer.Argument(help="The genesis file.")], json: AsJson = False) -> None:
    """Check a genesis file as a node would, and show what network it starts."""
    try:
        genesis = parse_genesis(file.read_bytes())
    except InvalidInput as error:
        raise InvalidInput(f"{file}: {error}") from None
    document = _description(genesis)
    if json:
        print_json(document)
        return
    for name, value in document.items():
        shown = (", ".join(map(str, value)) or "none") if isinstance(value, list) else value
        typer.echo(f"{name.replace('_', ' ')}: {shown}")


def _description(genesis: Genesis) -> dict[str, Any]:
    parameters = genesis.parameters
    return {
        "network": genesis.network_name,
        "chain_id": genesis.chain_id,
        "genesis_hash": "0x" + genesis.hash.hex(),
        "execution_genesis_hash": "0x" + genesis.execution_header.hash.hex(),
        "genesis_time": parameters.genesis_time,
        "period_s": parameters.period_s,
        "reward_gwei": parameters.reward_gwei,
        "gas_limit": genesis.execution_header.gas_limit,
        "validators": [format_address(address) for address in parameters.validators.addresses],
        "tolerance": str(parameters.validators.tolerance(parameters.quorum_rule)),
        "warnings": list(genesis.warnings),
    }
