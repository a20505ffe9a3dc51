"""`testnet bootstrap`: run a bootstrap node in this terminal, and ask one that runs."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from metanode.errors import Unavailable
from sdk.testnet.command.options import AsJson, ConfigFile
from sdk.testnet.command.output import log_on_stderr, print_json, print_line, print_progress, print_table
from sdk.testnet.deployment.plan import SERVICE_PORTS

if TYPE_CHECKING:
    from sdk.testnet.bootstrap import BootstrapConfig

app = typer.Typer(help="Run a bootstrap node, and ask one.", no_args_is_help=True)

HTTP_PORT: Final = SERVICE_PORTS["registry"]
"""Of the registry, where nobody says: that of a deployment; a page for people and programs on this machine."""
TIMEOUT_S: Final = 10.0
RegistryUrl = Annotated[str, typer.Argument(help="Where the node shows its registry.")]
DEFAULT_URL: Final = f"http://127.0.0.1:{HTTP_PORT}"


@app.command()
def run(
    config: ConfigFile = None,
    listen_address: Annotated[str | None, typer.Option(help="0.0.0.0 lets other machines in.")] = None,
    listen_port: Annotated[int | None, typer.Option(help="UDP for discovery, TCP for greetings.")] = None,
    http_port: Annotated[int | None, typer.Option(help="Of the registry over HTTP, on loopback.")] = None,
    chain_id: Annotated[int | None, typer.Option(help="Peers of another chain are not listed.")] = None,
    max_peers: Annotated[int | None, typer.Option(help="Listed at once.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Keeps key and registry; without it both are forgotten.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Serve until Ctrl-C or SIGTERM. Options stand above the file of --config.

    With --json one line has the enode and the address of the registry once both can be reached.
    """
    from dataclasses import replace  # noqa: PLC0415 - for this command only

    from sdk.testnet.bootstrap import BootstrapConfig  # noqa: PLC0415 - sockets and signatures, for this command only

    found = BootstrapConfig(http_port=HTTP_PORT) if config is None else BootstrapConfig.load(config)
    asked: dict[str, Any] = {
        "listen_address": listen_address,
        "listen_port": listen_port,
        "http_port": http_port,
        "chain_id": chain_id,
        "max_peers": max_peers,
        "data_dir": data,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    asyncio.run(_serve(replace(found, **given), json=json))


@app.command()
def peers(url: RegistryUrl = DEFAULT_URL, json: AsJson = False) -> None:
    """Show whom a bootstrap node lists."""
    found = _get(f"{url.rstrip('/')}/api/v1/peers")
    if json:
        print_json(found)
        return
    rows = found.get("peers", []) if isinstance(found, dict) else found
    print_table(
        ("node", "address", "verified"),
        [
            (
                str(row.get("node_id"))[:40],
                f"{row.get('address')}:{row.get('port')}",
                "yes" if row.get("verified") else "no",
            )
            for row in rows
        ],
        title=f"{len(rows)} peers",
    )


@app.command()
def stats(url: RegistryUrl = DEFAULT_URL, json: AsJson = False) -> None:
    """Show a bootstrap node's counters."""
    found = _get(f"{url.rstrip('/')}/api/v1/status")
    if json:
        print_json(found)
    else:
        print_table(("", ""), [(name.replace("_", " "), str(value)) for name, value in found.items()])


async def _serve(config: BootstrapConfig, *, json: bool) -> None:
    from sdk.testnet.bootstrap import BootstrapNode  # noqa: PLC0415 - as above

    if json:
        log_on_stderr()
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with BootstrapNode(config) as node:
        registry = None if node.http_url is None else f"{node.http_url}/api/v1/peers"
        if json:
            print_line({"enode": str(node.enode), "registry": registry})
        else:
            print_progress(f"bootstrap node {node.enode}")
            if registry is not None:
                print_progress(f"registry {registry}")
        await stopping.wait()


def _get(url: str) -> Any:
    import httpx  # noqa: PLC0415 - for these commands only

    try:
        answer = httpx.get(url, timeout=TIMEOUT_S, trust_env=False)
        answer.raise_for_status()
        return answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise Unavailable(
            f"{url}: expected the registry of a bootstrap node: {str(error) or type(error).__name__}"
        ) from None
