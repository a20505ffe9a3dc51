"""`metanode node DIRECTORY` runs one node; `metanode node add` adds one to the local network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from metanode.cli.options import DEFAULT_DIRECTORY, AsJson, Directory
from metanode.cli.output import print_json, print_warning
from metanode.crypto.addresses import format_address


class RunByDefault(TyperGroup):
    """`metanode node X` means `metanode node run X` unless X is a command."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # its base is private
        """Put `run` first when no command is named."""
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args.insert(0, "run")
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=RunByDefault, help="Run one node, or add one to the local network.", no_args_is_help=True
)


@app.command()
def run(
    directory: Annotated[
        Path | None,
        typer.Argument(help="Directory with config.toml, genesis.json and keys; data goes there too."),
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", "-c", help="Configuration files instead; later ones override."),
    ] = None,
    genesis: Annotated[
        Path | None, typer.Option(help="Genesis file; by default genesis.json of the directory.")
    ] = None,
    sign_without_watermark: Annotated[
        bool,
        typer.Option(
            "--sign-without-watermark",
            help="Sign at once although signer.log was lost: only when no other process can have used the key.",
        ),
    ] = False,
) -> None:
    """Run one node until SIGTERM; for containers, systemd and the local supervisor."""
    from metanode.node.config import load_config  # noqa: PLC0415 - for this command only

    home = (directory or Path.cwd()).resolve()
    files = config or [home / "config.toml"]
    loaded = load_config(files)
    for warning in loaded.warnings:
        print_warning(warning)
    from metanode.node.app import run_node  # noqa: PLC0415 - loads the engine, so only when the configuration is good

    run_node(loaded.config, home=home, genesis_file=genesis, sign_without_watermark=sign_without_watermark)


@app.command()
def add(
    directory: Directory = DEFAULT_DIRECTORY,
    validator: Annotated[
        bool,
        typer.Option("--validator", help="Give it a validator key, so that the validators can vote it in."),
    ] = False,
    json: AsJson = False,
) -> None:
    """Add a node that follows the local network; with --validator one that can be voted in."""
    from sdk.testnet.deployment.apply import local, services  # noqa: PLC0415 - HTTP client and process table
    from sdk.testnet.deployment.apply.layout import NetworkDirectory  # noqa: PLC0415

    where = NetworkDirectory(directory.resolve())
    added = local.add_node(where, "candidate" if validator else "follower")
    node = added.plan
    address = format_address(added.validator_address) if added.validator_address else None
    if json:
        print_json(
            {
                "name": node.name,
                "address": address,
                "rpc_url": node.rpc_url,
                "is_served": added.is_served,
                **node.ports,
            }
        )
    else:
        typer.echo(f"{node.name}: {node.rpc_url}")
        if address:
            typer.echo(
                f"its validator key is {address}; when it is at the head: metanode validators add {address}"
            )
    if not added.is_served:
        print_warning(
            f"the services are not told of it: their nodes in {services.config_file(where)} are not those that `metanode up` wrote; "
            f"add {node.rpc_url} to rpc_urls, and what belongs to it to node_names and metrics_urls, then `metanode down` and `metanode up`"
        )
    if not local.is_running(where):
        print_warning("the network is stopped; the node starts with the next `metanode up`")


@app.command()
def recover(
    directory: Annotated[Path, typer.Argument(help="The node's directory; the node must be stopped.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: AsJson = False,
) -> None:
    """Set the proof of two decided blocks aside, and rewind an engine that is ahead of every certificate that can be had."""
    from metanode.node.recovery import plan_recovery, recover_node  # noqa: PLC0415 - loads the engine

    plan = plan_recovery(directory.resolve())
    # Who reads a document is asked beside it.
    typer.echo(plan.describe(), err=json)
    is_done = plan.is_needed and (yes or typer.confirm("Do it?", err=json))
    if is_done:
        recover_node(plan)
    if json:
        print_json(
            {
                "decided_height": plan.decided_height,
                "engine_height": plan.engine_height,
                "fork_height": plan.fork and plan.fork.height,
                "is_needed": plan.is_needed,
                "is_done": is_done,
            }
        )
    elif is_done:
        typer.echo("done")
    if plan.is_needed and not is_done:
        raise typer.Exit(1)


@app.command("forget-pin")
def forget_pin(
    address: Annotated[str, typer.Argument(help="HOST:PORT as it stands in the configuration.")],
    directory: Annotated[
        Path | None, typer.Argument(help="The node's directory; by default the current one.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Forget which node id was first met at an address, so that another one may answer there."""
    from metanode.node.pins import forget_pin as forget  # noqa: PLC0415 - opens the database

    home = (directory or Path.cwd()).resolve()
    was_pinned = forget(home, address.removeprefix("enode://"))
    if json:
        print_json({"address": address, "was_pinned": was_pinned})
    elif was_pinned:
        typer.echo(f"forgot the node id of {address}; the next one that answers there is pinned")
    if not was_pinned:
        print_warning(f"nothing is pinned to {address}")
        raise typer.Exit(1)
