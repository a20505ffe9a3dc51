"""`metanode up|down|reset|status|logs`: the local network of this directory."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from metanode.chain.quorum import QuorumRule
from metanode.cli.options import DEFAULT_DIRECTORY, AsJson, Directory
from metanode.cli.output import print_json
from metanode.errors import InvalidInput
from sdk.testnet.deployment.apply.accounts import funded_accounts
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.plan import PRESETS, NetworkSpec

if TYPE_CHECKING:
    from sdk.testnet.deployment.apply.local import NetworkStatus

DEFAULT_NETWORK = "metanode-local"


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (up, down, reset, status, logs):
        app.command()(command)


def up(
    directory: Directory = DEFAULT_DIRECTORY,
    network: Annotated[str, typer.Option(help=f"Its name; known by name: {', '.join(PRESETS)}.")] = "",
    validators: Annotated[int | None, typer.Option(help="How many validators.")] = None,
    chain_id: Annotated[int | None, typer.Option(help="EIP-155 chain id.")] = None,
    block_time: Annotated[int | None, typer.Option(help="Block period in whole seconds.")] = None,
    port_offset: Annotated[
        int | None, typer.Option(help="Added to every port, for a second network.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds to wait until the validators agree on a block.")
    ] = 60.0,
    json: AsJson = False,
) -> None:
    """Start the local network, make it first if there is none, and wait until all validators agree on a block."""
    from sdk.testnet.deployment.apply import local  # noqa: PLC0415 - HTTP client and process table, not for every command

    console = Console(stderr=True)
    where = NetworkDirectory(directory.resolve())
    asked = {
        "validator_count": validators,
        "chain_id": chain_id,
        "block_time_s": block_time,
        "port_offset": port_offset,
    }
    spec = _spec(network, {name: value for name, value in asked.items() if value is not None})
    if where.exists():
        _check_same(where, network, asked)
    else:
        local.create_network(where, spec)
        if not json:
            console.print(f"made network {spec.network_name} in {where.path}", highlight=False)
    started = time.monotonic()
    fresh = local.start_network(where)
    if json:
        ready = local.wait_network_ready(where, timeout_s=timeout)
        print_json(_document(ready))
        return
    with console.status("starting the validators ..."):
        ready = local.wait_network_ready(where, timeout_s=timeout)
    if fresh:
        console.print(
            f"all validators agree on block {ready.height} after {time.monotonic() - started:.1f} s"
        )
    else:
        console.print("the network runs already")
    _print_network(ready)


def down(directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Stop the local network; chain data and keys stay, and `metanode up` goes on where it stopped."""
    from sdk.testnet.deployment.apply import local  # noqa: PLC0415 - as in up

    stopped = local.stop_network(NetworkDirectory(directory.resolve()))
    typer.echo("stopped" if stopped else "nothing was running")


def reset(
    directory: Directory = DEFAULT_DIRECTORY,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Stop the local network and delete its chain data; keys stay."""
    from sdk.testnet.deployment.apply import local  # noqa: PLC0415 - as in up

    where = NetworkDirectory(directory.resolve())
    if not where.exists():
        raise InvalidInput(f"no network in {where.path}")
    if not yes and not typer.confirm(f"Delete all chain data in {where.path}? Keys stay."):
        raise typer.Exit(1)
    local.stop_network(where)
    local.reset_network(where)
    typer.echo("chain data deleted; keys kept")


def status(directory: Directory = DEFAULT_DIRECTORY, json: AsJson = False) -> None:
    """Show heights, peers and endpoints; exit code 1 when a validator does not answer."""
    from sdk.testnet.deployment.apply import local  # noqa: PLC0415 - as in up

    found = local.network_status(NetworkDirectory(directory.resolve()))
    if json:
        print_json(_document(found))
    else:
        _print_network(found, with_accounts=False)
    if found.height is None:
        raise typer.Exit(1)


def logs(
    node: Annotated[str | None, typer.Argument(help="One node's name; without it all nodes.")] = None,
    directory: Directory = DEFAULT_DIRECTORY,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written.")] = False,
    lines: Annotated[int, typer.Option(help="How many lines of each log.")] = 20,
) -> None:
    """Print the ends of the nodes' logs."""
    where = NetworkDirectory(directory.resolve())
    names = [known.name for known in where.load_plan().nodes] + ["supervisor"]
    if node is not None and node not in names:
        raise InvalidInput(f"no node {node!r}; known are {', '.join(names)}")
    files = [
        str(where.log_file(name)) for name in ([node] if node else names) if where.log_file(name).exists()
    ]
    if not files:
        raise InvalidInput(f"no logs in {where.path / 'logs'}; start the network with `metanode up`")
    tail = shutil.which("tail")
    if tail is None:
        raise InvalidInput(
            "the command `tail` is not on PATH; read the files below " + str(Path(files[0]).parent)
        )
    command = [tail, "-n", str(lines), *(["-F"] if follow else []), *files]
    raise typer.Exit(subprocess.run(command, check=False, stderr=sys.stderr).returncode)


def _spec(network: str, asked: dict[str, Any]) -> NetworkSpec:
    name = network or DEFAULT_NETWORK
    return replace(PRESETS.get(name, NetworkSpec(network_name=name)), **asked)


def _check_same(where: NetworkDirectory, network: str, asked: dict[str, Any]) -> None:
    """What is asked of an existing network must be what it is."""
    spec = asdict(where.load_plan().spec)
    wanted = {**asked, "network_name": network or None}
    different = [
        f"{key} is {spec[key]}, asked for {value}"
        for key, value in wanted.items()
        if value not in (None, spec[key])
    ]
    if different:
        raise InvalidInput(
            f"{where.path} holds another network: {'; '.join(different)}. "
            "Use another --directory, or `metanode reset` to delete this one's chain data"
        )


def _document(found: NetworkStatus) -> dict[str, Any]:
    document = asdict(found)
    document["directory"] = str(found.directory)
    document["height"] = found.height
    return document


def _print_network(found: NetworkStatus, *, with_accounts: bool = True) -> None:
    console = Console()
    # An address that is cut is of no use: a narrow terminal wraps the lines instead.
    console.width = max(console.width, 130)
    table = Table(
        box=None,
        header_style="dim",
        pad_edge=False,
        title=f"{found.network_name} · chain id {found.chain_id}",
        title_justify="left",
    )
    for heading in ("node", "JSON-RPC and WebSocket", "finalized block", "peers", "metrics", "process"):
        table.add_column(heading, no_wrap=True)
    for node in found.nodes:
        table.add_row(
            node.name,
            node.rpc_url,
            "-" if node.height is None else f"{node.height} {(node.block_hash or '')[:10]}…",
            "-" if node.peers is None else str(node.peers),
            node.metrics_url,
            "not running"
            if node.pid is None
            else f"{node.pid}" + (f", restarted {node.restarts}x" if node.restarts else ""),
        )
    console.print(table)
    count = sum(node.role == "validator" for node in found.nodes)
    tolerance = QuorumRule.AUTHORITY.tolerance([1] * count)
    console.print(f"{count} validators: {tolerance}", highlight=False)
    if tolerance.crashes == 0:
        console.print(
            "[yellow]warning:[/] blocks stop when one validator stops; with 4 validators they go on"
        )
    if with_accounts:
        accounts = Table(
            box=None,
            header_style="dim",
            pad_edge=False,
            title="funded accounts (keys are public knowledge: never use them elsewhere)",
            title_justify="left",
        )
        for heading in ("address", "private key"):
            accounts.add_column(heading, no_wrap=True)
        for account in funded_accounts():
            accounts.add_row(account.address, account.private_key)
        console.print(accounts)
    console.print("stop: make down   status: make status   logs: make logs", highlight=False)
