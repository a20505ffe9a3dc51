"""`testnet genesis`: the configuration of a new network, all that is wrong with it, and the files that nodes start from."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metanode.errors import InvalidInput
from sdk.testnet.command.options import AsJson
from sdk.testnet.command.output import print_json, print_progress, print_warning, progress

if TYPE_CHECKING:
    from sdk.testnet.genesis import GenesisGenerator

app = typer.Typer(help="Make and check the genesis of a network.", no_args_is_help=True)

ConfigurationFile = Annotated[Path, typer.Argument(help="A genesis.json of the toolkit.")]


@app.command("new")
def new(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the files and keys.")] = Path(
        "genesis"
    ),
    chain_id: Annotated[int, typer.Option(help="EIP-155 chain id.")] = 9999,
    network: Annotated[str, typer.Option(help="The network's name.")] = "moderntensor-testnet",
    validators: Annotated[int, typer.Option(help="How many validators to make keys for.")] = 5,
    stake: Annotated[int, typer.Option(help="Stake of each, in whole tokens.")] = 10_000_000,
    faucet_balance: Annotated[
        int | None,
        typer.Option(help="What the faucet has, in gwei; by default enough for 100 days of its daily limit."),
    ] = None,
    add_validator: Annotated[
        list[str] | None,
        typer.Option(
            help="ADDRESS,STAKE,PUBLIC_KEY[,NAME] of one that has a key; give the option once for each."
        ),
    ] = None,
    fund: Annotated[
        list[str] | None, typer.Option(help="ADDRESS=GWEI; give the option once for each account.")
    ] = None,
    consensus: Annotated[
        str, typer.Option(help='"pos" weighs votes by stake, "ibft" gives each validator one.')
    ] = "pos",
    block_time: Annotated[int, typer.Option(help="Block period in whole seconds.")] = 2,
    keys: Annotated[
        Path | None, typer.Option(help="Folder for the keys; by default keys in the output.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Make a configuration with fresh keys, and export it; nothing is written when something is wrong with it."""
    from sdk.testnet.genesis import GenesisGenerator  # noqa: PLC0415 - signatures and tries, for this command only

    if (output / "genesis.json").exists():
        raise InvalidInput(
            f"{output / 'genesis.json'} exists already; a genesis is never replaced: choose another --output"
        )
    generator = GenesisGenerator()
    settings: dict[str, Any] = {} if faucet_balance is None else {"faucet_balance": faucet_balance}
    with progress("making keys ...", silent=json):
        config = generator.create_testnet_config(
            chain_id=chain_id,
            network_name=network,
            validator_count=validators,
            validator_stake=stake,
            **settings,
        )
    config.consensus.type = consensus
    config.consensus.slot_duration = block_time
    for entry in add_validator or []:
        address, stake_text, public_key, name = _validator(entry)
        generator.add_validator(address=address, stake=stake_text, public_key=public_key, name=name)
    for entry in fund or []:
        address, separator, amount = entry.partition("=")
        if not separator:
            raise InvalidInput(f"--fund: found {entry[:80]!r}; expected ADDRESS=GWEI, such as 0x…=1000000000")
        generator.add_account(address, balance=_whole(amount, "--fund"))
    _refuse(generator.validate_config())
    with progress("writing the genesis block ...", silent=json):
        generator.export_config(output, keys_dir=keys)
    _report(generator, output, json=json)


@app.command()
def check(file: ConfigurationFile, json: AsJson = False) -> None:
    """Say everything that is wrong with a configuration, a sentence each; exit code 1 when there is something."""
    from sdk.testnet.genesis import GenesisConfig, GenesisGenerator  # noqa: PLC0415 - as in new

    try:
        generator = GenesisGenerator(GenesisConfig.load(file))
        problems = [f"{file}: {problem}" for problem in generator.validate_config()]
    except InvalidInput as error:
        problems = str(error).splitlines()
        generator = GenesisGenerator()
    if json:
        print_json(
            {"valid": not problems, "problems": problems, **({} if problems else _document(generator))}
        )
        if problems:
            raise typer.Exit(1)
        return
    _refuse(problems)
    _print(_document(generator))


@app.command()
def export(
    file: ConfigurationFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the files.")] = Path("genesis"),
    json: AsJson = False,
) -> None:
    """Write what nodes start from, for a configuration that a person wrote; keys are the validators' own."""
    from sdk.testnet.genesis import GenesisConfig, GenesisGenerator  # noqa: PLC0415 - as in new

    generator = GenesisGenerator(GenesisConfig.load(file))
    _refuse([f"{file}: {problem}" for problem in generator.validate_config()])
    target = output / "genesis.json"
    if target.exists() and target.resolve() != file.resolve() and target.read_bytes() != file.read_bytes():
        raise InvalidInput(f"{target} is another genesis; it is never replaced: choose another --output")
    with warnings.catch_warnings(), progress("writing the genesis block ...", silent=json):
        warnings.simplefilter("error")
        generator.export_config(output)
    _report(generator, output, json=json)


def _report(generator: GenesisGenerator, output: Path, *, json: bool) -> None:
    files = sorted(str(path) for path in output.iterdir() if path.is_file() and not path.name.startswith("."))
    document = {**_document(generator), "directory": str(output), "files": files}
    if json:
        print_json(document)
        return
    for file in files:
        print_progress(f"wrote {file}")
    _print(document)
    for warning in generator.find_warnings():
        print_warning(warning)


def _document(generator: GenesisGenerator) -> dict[str, Any]:
    config = generator.config
    assert config is not None
    return {
        "network_name": config.network_name,
        "chain_id": config.chain_id,
        "genesis_time": config.genesis_time,
        "genesis_hash": "0x" + generator.generate_genesis_block().hash.hex(),
        "consensus": config.consensus.type,
        "block_time_s": config.consensus.slot_duration,
        "validators": [
            {"name": one.name, "address": one.address, "stake": one.stake}
            for one in config.initial_validators
        ],
        "warnings": generator.find_warnings(),
    }


def _print(document: dict[str, Any]) -> None:
    typer.echo(
        f"network: {document['network_name']}\nchain id: {document['chain_id']}\ngenesis time: {document['genesis_time']}\n"
        f"genesis hash: {document['genesis_hash']}\nconsensus: {document['consensus']}, a block every {document['block_time_s']} s"
    )
    for one in document["validators"]:
        typer.echo(f"validator: {one['address']}, stake {one['stake']:,}, {one['name'] or 'without a name'}")


def _validator(entry: str) -> tuple[str, int, str, str | None]:
    parts = entry.split(",", 3)
    if len(parts) < 3:
        raise InvalidInput(
            f"--add-validator: found {entry[:80]!r}; expected ADDRESS,STAKE,PUBLIC_KEY and perhaps a name, with commas between"
        )
    return parts[0], _whole(parts[1], "--add-validator"), parts[2], parts[3] if len(parts) > 3 else None


def _whole(text: str, field: str) -> int:
    if not text.isascii() or not text.replace("_", "").isdecimal() or len(text) > 40:
        raise InvalidInput(f"{field}: found {text[:60]!r}; expected a whole number")
    return int(text)


def _refuse(problems: list[str]) -> None:
    if problems:
        raise InvalidInput("\n".join(problems))
