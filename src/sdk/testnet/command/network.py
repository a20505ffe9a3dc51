"""`testnet up|down|status`: the network of a deployment, as processes of this machine or as containers, and what its faucet has left."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metanode.errors import InvalidInput, MetanodeError
from sdk.testnet.command.options import HERE, AsJson, Directory
from sdk.testnet.command.output import (
    print_json,
    print_progress,
    print_services,
    print_table,
    print_warning,
    progress,
)

if TYPE_CHECKING:
    from pathlib import Path

    from sdk.testnet.deployment.apply.layout import NetworkDirectory
    from sdk.testnet.deployment.apply.local import NetworkStatus
    from sdk.testnet.deployment.plan import NetworkPlan

AsContainers = Annotated[
    bool, typer.Option("--docker", help="The containers of the deployment, by Compose, and not processes.")
]
PLACES = ("local", ".", ".metanode")
"""Where below a directory its network lies: a deployment's processes, a network of `metanode up`, one of `make up`."""


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (up, down, status):
        app.command()(command)


def up(
    directory: Directory = HERE,
    timeout: Annotated[
        float, typer.Option(min=0, help="Seconds to wait until the validators agree on a block.")
    ] = 60.0,
    docker: AsContainers = False,
    json: AsJson = False,
) -> None:
    """Start the network that lies there, and wait until all validators agree on a block, or all containers are healthy."""
    from sdk.testnet.deployment.apply import local  # noqa: PLC0415 - HTTP client and process table, not for every command

    if docker:
        from sdk.testnet.command.containers import find_deployment  # noqa: PLC0415 - as above
        from sdk.testnet.deployment.apply import compose  # noqa: PLC0415 - as above

        folder = find_deployment(directory)
        with progress("building the image and waiting until all containers are healthy ...", silent=json):
            compose.start(folder)
        status(directory, json=json)
        return

    where = find_network(directory)
    started = time.monotonic()
    fresh = local.start_network(where)
    with progress("starting the validators ...", silent=json or not fresh) as say:

        def tell(found: NetworkStatus) -> None:
            heights = [node.height for node in found.nodes if node.role == "validator"]
            agreed = "" if found.height is None else f", all have block {found.height}"
            say(f"{len(heights) - heights.count(None)} of {len(heights)} validators answer{agreed}")

        ready = local.wait_network_ready(where, timeout_s=timeout, progress=tell)
    if json:
        print_json(_document(ready, None))
        return
    if fresh:
        print_progress(
            f"all validators agree on block {ready.height} after {time.monotonic() - started:.1f} s"
        )
    else:
        print_progress("the network runs already")
    _print_network(ready)


def down(directory: Directory = HERE, docker: AsContainers = False, json: AsJson = False) -> None:
    """Stop the network; chain data and keys stay, and `up` goes on where it stopped."""
    from sdk.testnet.deployment.apply import local  # noqa: PLC0415 - as in up

    if docker:
        from sdk.testnet.command.containers import stop_containers  # noqa: PLC0415 - as in up

        with progress("stopping the containers ...", silent=json):
            stop_containers(directory)
        stopped = True
    else:
        stopped = local.stop_network(find_network(directory))
    if json:
        print_json({"stopped": stopped})
    else:
        typer.echo("stopped; chain data and keys are kept" if stopped else "nothing was running")


def status(directory: Directory = HERE, json: AsJson = False) -> None:
    """Show heights, peers, endpoints, and how many claims the faucet's account still pays; exit code 1 when a validator does not answer."""
    from sdk.testnet.command.claims import find_claims  # noqa: PLC0415 - as in up
    from sdk.testnet.deployment.apply import local  # noqa: PLC0415 - HTTP client and process table

    found = _containers(directory)
    if found is None:
        found = local.network_status(find_network(directory))
    answering = next((node.rpc_url for node in found.nodes if node.height is not None), None)
    if not json:
        _print_network(found)
    claims = None
    try:
        claims = None if answering is None else find_claims(directory, answering)
    except MetanodeError as error:
        # What is known of the network is worth telling without it.
        print_warning(f"how many claims the faucet has left is not known: {error}")
    if json:
        print_json(_document(found, None if claims is None else asdict(claims)))
    elif claims is not None:
        typer.echo(str(claims))
    if found.height is None:
        raise typer.Exit(1)


def _containers(directory: Path) -> NetworkStatus | None:
    """What the containers of a deployment answer, where its processes do not run."""
    from sdk.testnet.command.containers import containers_status  # noqa: PLC0415 - as in up
    from sdk.testnet.deployment.apply import local  # noqa: PLC0415 - HTTP client and process table
    from sdk.testnet.deployment.apply.layout import NetworkDirectory  # noqa: PLC0415

    processes = NetworkDirectory((directory / "local").resolve())
    if processes.exists() and local.is_running(processes):
        return None
    found = containers_status(directory.resolve())
    return found if found is not None and (found.running or not processes.exists()) else None


def find_network(directory: Path) -> NetworkDirectory:
    """The network of a directory; raises InvalidInput when there is none."""
    from sdk.testnet.deployment.apply.layout import NetworkDirectory  # noqa: PLC0415 - as in up

    for place in PLACES:
        found = NetworkDirectory((directory / place).resolve())
        if found.exists():
            return found
    raise InvalidInput(
        f"no network of processes in {directory.resolve()}; make one with `testnet deploy --apply local`, or give --directory"
    )


def find_plan(directory: Path) -> NetworkPlan:
    """The nodes of a directory's network: its processes, which have the ports of its containers, or else these; raises InvalidInput."""
    try:
        found = find_network(directory)
    except InvalidInput:
        from sdk.testnet.command.containers import containers_plan  # noqa: PLC0415 - as in up

        plan = containers_plan(directory.resolve())
        if plan is None:
            raise
        return plan
    return found.load_plan()


def _document(found: NetworkStatus, claims: dict[str, Any] | None) -> dict[str, Any]:
    return {
        **asdict(found),
        "directory": str(found.directory),
        "height": found.height,
        "validator_count": found.validator_count,
        "faucet": claims,
    }


def _print_network(found: NetworkStatus) -> None:
    print_table(
        ("node", "JSON-RPC and WebSocket", "finalized block", "peers", "metrics", "process"),
        [
            (
                node.name,
                node.rpc_url,
                "-" if node.height is None else f"{node.height} {(node.block_hash or '')[:10]}…",
                "-" if node.peers is None else str(node.peers),
                node.metrics_url,
                ("container" if node.height is not None else "not running")
                if node.pid is None
                else str(node.pid),
            )
            for node in found.nodes
        ],
        title=f"{found.network_name} · chain id {found.chain_id}",
    )
    print_services(found.services)
    if found.running and not any(node.role == "validator" for node in found.nodes):
        typer.echo(
            f"{found.validator_count} validators decide the next block; they publish no JSON-RPC, `docker compose ps` shows their health"
        )
    if not found.running:
        print_warning("the network is stopped; `testnet up` starts it")
