"""`testnet faucet`: pay from a ledger, look into it, clean it, shut addresses and clients out or free them of limits; beside a running faucet."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.command.options import AsJson, ConfigFile
from sdk.testnet.command.output import log_on_stderr, print_json, print_table, progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdk.testnet.faucet import Faucet, FaucetConfig

app = typer.Typer(
    help="Give out test tokens, and say who gets none or needs to mind no limits.", no_args_is_help=True
)

DEFAULT_DATABASE = "sqlite:///faucet.db"
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database",
        help=f"The ledger: sqlite:///PATH or postgresql://…; by default that of --config, else {DEFAULT_DATABASE}.",
    ),
]
RpcUrl = Annotated[
    str | None,
    typer.Option(
        help="JSON-RPC of the network to pay on; by default the nodes of --config, the first that answers."
    ),
]
Keystore = Annotated[
    Path | None,
    typer.Option(
        help="Key file of the account that pays, its password beside it; by default that of --config, else the environment variable FAUCET_PRIVATE_KEY."
    ),
]
Who = Annotated[str, typer.Argument(help="An address (0x…), or an IP address or network.")]


@app.command()
def request(
    address: Annotated[str, typer.Argument(help="Who gets the tokens.")],
    ip: Annotated[str, typer.Option(help="The client it counts for.")] = "127.0.0.1",
    config: ConfigFile = None,
    rpc_url: RpcUrl = None,
    keystore: Keystore = None,
    database: DatabaseUrl = None,
    json: AsJson = False,
) -> None:
    """Pay an address within the limits; exit code 1, with the reason, when the faucet refuses."""
    settings = _settings(config, rpc_url=rpc_url, keystore=keystore, database=database)
    if settings.rpc_url is None:
        raise InvalidInput(
            "--rpc-url: missing; expected JSON-RPC of the network to pay on, or --config FILE that names it"
        )
    ledger = _file_of(settings.database_url or DEFAULT_DATABASE)
    if ledger is not None and not ledger.parent.is_dir():
        raise Unavailable(f"no folder {ledger.parent.absolute()} for the ledger; make it, or give --database")
    log_on_stderr()
    with progress(f"paying {address[:60]} ...", silent=json):
        answer = asyncio.run(_request(settings, address, ip))
    if json:
        print_json(answer)
    elif answer["success"]:
        typer.echo(f"sent {answer['amount']:,} gwei to {address}: {answer['tx_hash']}")
    if not answer["success"]:
        if json:
            raise typer.Exit(1)
        raise InvalidInput(answer["error"])


@app.command()
def stats(config: ConfigFile = None, database: DatabaseUrl = None, json: AsJson = False) -> None:
    """Show what was paid and refused, what is left of today, and who is blocked or allowed."""
    with _ledger(config, database) as faucet:
        found = faucet.get_stats()
        lists = _lists(faucet)
    if json:
        print_json({**found, **lists})
        return
    print_table(("", ""), [(name.replace("_", " "), f"{value:,}") for name, value in found.items()])
    for state, listed in lists.items():
        for kind, entries in listed.items():
            for entry in entries:
                typer.echo(f"{state}: {entry} ({'address' if kind == 'addresses' else 'IP'})")


@app.command()
def history(
    address: Annotated[str | None, typer.Argument(help="Of this address only.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest first.")] = 20,
    config: ConfigFile = None,
    database: DatabaseUrl = None,
    json: AsJson = False,
) -> None:
    """Show payouts, the newest first."""
    with _ledger(config, database) as faucet:
        found = faucet.get_history(address, limit=limit)
    if json:
        print_json(found)
        return
    columns = list(found[0]) if found else []
    if not found:
        typer.echo("no payouts")
        return
    print_table(columns, [[str(row[column]) for column in columns] for row in found])


@app.command()
def info(
    address: Annotated[str, typer.Argument(help="An address (0x…).")],
    config: ConfigFile = None,
    database: DatabaseUrl = None,
    json: AsJson = False,
) -> None:
    """Show what an address has got, and whether it may ask again; limits of clients are asked of nobody."""
    with _ledger(config, database) as faucet:
        found = faucet.get_address_info(address)
    if json:
        print_json(found)
    else:
        print_table(("", ""), [(name.replace("_", " "), _said(value)) for name, value in found.items()])


@app.command()
def cleanup(config: ConfigFile = None, database: DatabaseUrl = None, json: AsJson = False) -> None:
    """Delete what is too old for any limit, and with it all that is known of clients; a running faucet does it each hour. Payouts stay."""
    with _ledger(config, database) as faucet:
        deleted = faucet.cleanup()
    if json:
        print_json({"deleted": deleted})
    else:
        typer.echo(f"{deleted:,} requests deleted")


@app.command()
def block(who: Who, config: ConfigFile = None, database: DatabaseUrl = None, json: AsJson = False) -> None:
    """Give this address or client nothing from now on."""
    _change(who, config, database, json=json, state="blocked", holds=True)


@app.command()
def unblock(who: Who, config: ConfigFile = None, database: DatabaseUrl = None, json: AsJson = False) -> None:
    """Let this address or client ask again."""
    _change(who, config, database, json=json, state="blocked", holds=False)


@app.command()
def allow(who: Who, config: ConfigFile = None, database: DatabaseUrl = None, json: AsJson = False) -> None:
    """Free this address or client of its limits from now on, and a client of the proof of work; the day's limit holds, and a block."""
    _change(who, config, database, json=json, state="allowed", holds=True)


@app.command()
def disallow(who: Who, config: ConfigFile = None, database: DatabaseUrl = None, json: AsJson = False) -> None:
    """Let the limits of this address or client hold again."""
    _change(who, config, database, json=json, state="allowed", holds=False)


def _change(
    who: str,
    config: Path | None,
    database: str | None,
    *,
    json: bool,
    state: Literal["blocked", "allowed"],
    holds: bool,
) -> None:
    with _ledger(config, database) as faucet:
        before = _lists(faucet)[state]
        set_address, set_ip = {
            ("blocked", True): (faucet.block_address, faucet.block_ip),
            ("blocked", False): (faucet.unblock_address, faucet.unblock_ip),
            ("allowed", True): (faucet.allow_address, faucet.allow_ip),
            ("allowed", False): (faucet.disallow_address, faucet.disallow_ip),
        }[state, holds]
        (set_address if who.lower().startswith("0x") else set_ip)(who)
        changed = before != _lists(faucet)[state]
    if json:
        print_json({"who": who, state: holds, "changed": changed})
    else:
        said = state if holds else f"not {state}"
        typer.echo(f"{who} is {said}" + ("" if changed else " already" if holds else ", and was not"))


def _lists(faucet: Faucet) -> dict[str, dict[str, list[str]]]:
    """Who gets nothing, and who is free of limits."""
    return {
        "blocked": {"addresses": sorted(faucet.blocked_addresses), "ips": sorted(faucet.blocked_ips)},
        "allowed": {"addresses": sorted(faucet.allowed_addresses), "ips": sorted(faucet.allowed_ips)},
    }


def _said(value: Any) -> str:
    """A value as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None or value == "" else f"{value:,}" if isinstance(value, int) else str(value)


async def _request(settings: FaucetConfig, address: str, ip: str) -> dict[str, Any]:
    from sdk.testnet.faucet import Faucet  # noqa: PLC0415 - database and keys, for this command only

    async with Faucet(settings) as faucet:
        answer = await faucet.request_tokens(address, ip)
        # What was taken is in the next blocks; who waits a moment knows that it arrived.
        if answer["success"]:
            await faucet.settle()
    return answer


@contextmanager
def _ledger(config: Path | None, database: str | None) -> Iterator[Faucet]:
    """The faucet of a ledger, to look and to change its lists: it has no network and no key."""
    from sdk.testnet.faucet import Faucet  # noqa: PLC0415 - as above

    settings = _settings(config, rpc_url=None, keystore=None, database=database)
    url = settings.database_url or DEFAULT_DATABASE
    path = _file_of(url)
    if path is not None and not path.exists():
        raise Unavailable(
            f"no ledger at {path.absolute()}; give --database or --config, or let a faucet make one"
        )
    alone: dict[str, Any] = {"rpc_url": None, "backup_rpc_urls": (), "keystore": None, "password_file": None}
    faucet = Faucet(replace(settings, **alone, database_url=url))
    try:
        yield faucet
    finally:
        asyncio.run(faucet.close())


def _file_of(url: str) -> Path | None:
    """Where a ledger lies that is a file."""
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def _settings(
    config: Path | None, *, rpc_url: str | None, keystore: Path | None, database: str | None
) -> FaucetConfig:
    """What the file says, as the running faucet reads it, and above it what the options say."""
    from sdk.testnet.faucet import FaucetConfig  # noqa: PLC0415 - as above

    given: dict[str, Any] = {"rpc_url": rpc_url, "keystore": keystore, "database_url": database}
    given = {name: value for name, value in given.items() if value is not None}
    if config is None:
        return FaucetConfig(**given)
    from sdk.testnet.services.configuration import ServicesConfig  # noqa: PLC0415 - as above
    from sdk.testnet.services.faucet.settings import settings_of  # noqa: PLC0415 - as above

    # What an option names is meant alone: other nodes and the password of the file belong to what it replaces.
    if rpc_url is not None:
        given["backup_rpc_urls"] = ()
    if keystore is not None:
        given["password_file"] = None
    return replace(settings_of(ServicesConfig.load(config)).faucet, **given)
