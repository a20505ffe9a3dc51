"""`metanode up|down|reset|status|logs`: the local network of this directory."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from metanode.chain.quorum import QuorumRule
from metanode.cli.log_stream import LogStream
from metanode.cli.options import DEFAULT_DIRECTORY, AsJson, Directory
from metanode.cli.output import (
    print_json,
    print_line,
    print_progress,
    print_services,
    print_table,
    print_warning,
)
from metanode.errors import InvalidInput
from sdk.testnet.deployment.apply.accounts import funded_accounts
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.plan import PRESETS, NetworkSpec

if TYPE_CHECKING:
    from sdk.testnet.deployment.apply.local import NetworkStatus, NodeStatus

DEFAULT_NETWORK = "metanode-local"
SERVICES_WAIT_S = 2.0
"""The network is up without its services; the table says `starting` of one that takes longer."""
LOG_POLL_S = 0.2
"""How often new lines are looked for: at once, to a reader's eyes."""
OPTIONS = {
    "network_name": "--network",
    "validator_count": "--validators",
    "chain_id": "--chain-id",
    "block_time_s": "--block-time",
    "port_offset": "--port-offset",
}
"""The option that sets each field of a network."""


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
        float, typer.Option(min=0, help="Seconds to wait until the validators agree on a block.")
    ] = 60.0,
    services: Annotated[
        bool | None,
        typer.Option(
            envvar="METANODE_SERVICES",
            help="Run explorer, dashboard, faucet and community API beside the nodes; a new network has them.",
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Start the local network, make it first if there is none, and wait until all validators agree on a block."""
    from sdk.testnet.deployment.apply import local  # noqa: PLC0415 - HTTP client and process table, not for every command

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
        if services is not None:
            local.set_services(where, are_wanted=services)
    else:
        # Before anything is written: the cure is another offset, and a network that is made keeps its own.
        local.check_new_ports(where, spec, with_services=services is not False)
        local.create_network(where, spec, with_services=services is not False)
        if not json:
            print_progress(f"made network {spec.network_name} in {where.path}")
    started = time.monotonic()
    fresh = local.start_network(where)
    try:
        ready = _wait_ready(where, timeout_s=timeout, silent=json or not fresh)
    except KeyboardInterrupt:
        print_warning(
            f"the network goes on starting in the background; see `{_command('status', where)}`, stop it with `{_command('down', where)}`"
        )
        raise
    if fresh and ready.services:
        ready = replace(ready, services=local.wait_services_ready(where, timeout_s=SERVICES_WAIT_S))
    if json:
        print_json(_document(ready))
        return
    if fresh:
        took_s = time.monotonic() - started
        print_progress(f"all validators agree on block {ready.height} after {took_s:.1f} s")
    else:
        print_progress("the network runs already")
    _print_network(ready, where)
    _print_accounts()
    _print_commands(where)


def down(directory: Directory = DEFAULT_DIRECTORY, json: AsJson = False) -> None:
    """Stop the local network; chain data and keys stay, and `metanode up` goes on where it stopped."""
    from sdk.testnet.deployment.apply import local  # noqa: PLC0415 - as in up

    stopped = local.stop_network(NetworkDirectory(directory.resolve()))
    if json:
        print_json({"stopped": stopped})
    else:
        typer.echo("stopped; chain data and keys are kept" if stopped else "nothing was running")


def reset(
    directory: Directory = DEFAULT_DIRECTORY,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: AsJson = False,
) -> None:
    """Stop the local network and delete its chain data; keys stay."""
    from sdk.testnet.deployment.apply import local  # noqa: PLC0415 - as in up

    where = NetworkDirectory(directory.resolve())
    if not where.exists():
        raise InvalidInput(f"no network in {where.path}")
    if not yes and not typer.confirm(
        f"Stop the network and delete all chain data in {where.path}? Keys stay.", err=True
    ):
        raise typer.Exit(1)
    local.stop_network(where)
    local.reset_network(where)
    if json:
        print_json({"deleted": str(where.path)})
    else:
        typer.echo("chain data deleted; keys kept")


def status(directory: Directory = DEFAULT_DIRECTORY, json: AsJson = False) -> None:
    """Show heights, peers and endpoints; exit code 1 when a validator does not answer."""
    from sdk.testnet.deployment.apply import local  # noqa: PLC0415 - as in up

    where = NetworkDirectory(directory.resolve())
    found = local.network_status(where)
    if json:
        print_json(_document(found))
    else:
        _print_network(found, where)
        _print_commands(where)
    if found.height is None:
        raise typer.Exit(1)


def logs(
    node: Annotated[str | None, typer.Argument(help="One node's name; without it all nodes.")] = None,
    directory: Directory = DEFAULT_DIRECTORY,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written.")] = False,
    lines: Annotated[int, typer.Option(min=0, help="How many lines of each log.")] = 20,
    json: Annotated[
        bool,
        typer.Option("--json", help="A JSON document for each line, with its node's name and its text."),
    ] = False,
) -> None:
    """Print the ends of the nodes' logs as one stream, in the order of time."""
    where = NetworkDirectory(directory.resolve())
    names = [known.name for known in where.load_plan().processes] + ["supervisor"]
    if node is not None and node not in names:
        raise InvalidInput(f"no node {node!r}; known are {', '.join(names)}")
    files = {
        name: where.log_file(name) for name in ([node] if node else names) if where.log_file(name).exists()
    }
    if not files:
        raise InvalidInput(f"no logs in {where.path / 'logs'}; start the network with `metanode up`")
    stream = LogStream(files)
    width = max(len(name) for name in files)
    found = stream.last(lines)
    while True:
        for line in found:
            if json:
                print_line(asdict(line))
            else:
                typer.echo(line.aligned(width) if node is None else line.text)
        if not follow:
            return
        time.sleep(LOG_POLL_S)
        found = stream.new()


def _spec(network: str, asked: dict[str, Any]) -> NetworkSpec:
    name = network or DEFAULT_NETWORK
    return replace(PRESETS.get(name, NetworkSpec(network_name=name)), **asked)


def _wait_ready(where: NetworkDirectory, *, timeout_s: float, silent: bool) -> NetworkStatus:
    """Wait for the network and say what has been reached: a live line on a terminal, a line for each change elsewhere."""
    from sdk.testnet.deployment.apply import local  # noqa: PLC0415 - as in up

    if silent:
        return local.wait_network_ready(where, timeout_s=timeout_s)
    console = Console(stderr=True, highlight=False)
    said = ""
    with console.status("starting the validators ...") as live:

        def progress(found: NetworkStatus) -> None:
            nonlocal said
            heights = [node.height for node in found.nodes if node.role == "validator"]
            answering = len(heights) - heights.count(None)
            text = f"{answering} of {len(heights)} validators answer"
            if found.height is not None:
                text += f", all have block {found.height}"
            if text != said:
                said = text
                live.update(text)
                if not console.is_terminal:
                    console.print(text)

        return local.wait_network_ready(where, timeout_s=timeout_s, progress=progress)


def _check_same(where: NetworkDirectory, network: str, asked: dict[str, Any]) -> None:
    """What is asked of an existing network must be what it is."""
    spec = asdict(where.load_plan().spec)
    wanted = {**asked, "network_name": network or None}
    different = [
        f"{OPTIONS[key]} is {spec[key]}, asked for {value}"
        for key, value in wanted.items()
        if value not in (None, spec[key])
    ]
    if different:
        raise InvalidInput(
            f"{where.path} holds another network: {'; '.join(different)}. "
            f"Use another --directory, or `{_command('reset', where)}` to delete this one's chain data"
        )


def _document(found: NetworkStatus) -> dict[str, Any]:
    document = asdict(found)
    document["directory"] = str(found.directory)
    document["height"] = found.height
    document["validator_count"] = found.validator_count
    return document


def _print_network(found: NetworkStatus, where: NetworkDirectory) -> None:
    print_table(
        ("node", "JSON-RPC and WebSocket", "finalized block", "peers", "metrics", "process"),
        [
            (
                node.name,
                node.rpc_url,
                "-" if node.height is None else f"{node.height} {(node.block_hash or '')[:10]}…",
                "-" if node.peers is None else str(node.peers),
                node.metrics_url,
                _process(node),
            )
            for node in found.nodes
        ],
        title=f"{found.network_name} · chain id {found.chain_id}",
    )
    print_services(found.services)
    count = found.validator_count
    tolerance = QuorumRule.AUTHORITY.tolerance([1] * count)
    typer.echo(f"{count} validator{'s' * (count > 1)}: {tolerance}")
    if tolerance.crashes == 0:
        print_warning("blocks stop as soon as one validator stops; with 4 validators they go on")
    elif tolerance.liars == 0:
        print_warning("one validator that lies is too many; 4 validators tolerate one")
    if not found.running and any(node.pid is not None and not node.by_hand for node in found.nodes):
        print_warning(
            f"the supervisor has ended, and its nodes go on without it; `{_command('up', where)}` starts them anew, "
            f"`{_command('down', where)}` stops them"
        )
    elif not found.running and any(node.by_hand for node in found.nodes):
        print_warning(
            f"nothing but nodes that were started by hand runs: `{_command('down', where)}` leaves them alone, and "
            f"`{_command('up', where)}` needs their ports"
        )
    elif not found.running:
        print_warning(f"the network is stopped; start it with `{_command('up', where)}`")


def _process(node: NodeStatus) -> str:
    if node.pid is None:
        return "not running"
    if node.by_hand:
        return f"{node.pid}, started by hand"
    return f"{node.pid}, restarted {node.restarts}x" if node.restarts else f"{node.pid}"


def _print_accounts() -> None:
    print_table(
        ("address", "private key"),
        [(account.address, account.private_key) for account in funded_accounts()],
        title="funded accounts (keys are public knowledge: never use them elsewhere)",
    )


def _print_commands(where: NetworkDirectory) -> None:
    stop, show, follow = (_command(name, where) for name in ("down", "status", "logs"))
    typer.echo(f"stop: {stop}\nshow: {show}\nlogs: {follow}")


def _command(name: str, where: NetworkDirectory) -> str:
    """How a command is typed for this network: by make in a clone of the repository, else as this program was called."""
    if where.path == DEFAULT_DIRECTORY.resolve():
        in_clone = Path("Makefile").exists() and Path("rust").exists()
        return f"make {name}" if in_clone else f"{_program()} {name}"
    return f"{_program()} {name} --directory {shlex.quote(str(where.path))}"


def start_command(where: NetworkDirectory) -> str:
    """How this network is started, in the words of `status`."""
    return _command("up", where)


def typed_command(where: NetworkDirectory) -> str:
    """How any command of this program is typed for this network: a format with `{}` in place of its name."""
    home = "" if where.path == DEFAULT_DIRECTORY.resolve() else f" --directory {shlex.quote(str(where.path))}"
    program, home = (text.replace("{", "{{").replace("}", "}}") for text in (_program(), home))
    return f"{program} {{}}{home}"


def _program() -> str:
    """What to type for `metanode`: its path, unless the name alone finds this very program."""
    called = sys.argv[0]
    if Path(called).name != "metanode":
        return "metanode"
    found = shutil.which("metanode")
    return "metanode" if found and Path(found).resolve() == Path(called).resolve() else shlex.quote(called)
