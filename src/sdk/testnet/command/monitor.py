"""`testnet monitor`: one look at a network, or a table that follows it, with one verdict for the whole."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sdk.testnet.command.network import find_plan
from sdk.testnet.command.options import HERE, AsJson, Directory
from sdk.testnet.command.output import WIDTH_MIN, log_on_stderr, print_json

if TYPE_CHECKING:
    from pathlib import Path

    from sdk.testnet.monitoring import TestnetMonitor

COLOURS: Final = {
    "HEALTHY": "green",
    "STARTING": "cyan",
    "SLOW": "yellow",
    "DEGRADED": "yellow",
    "UNKNOWN": "dim",
}
"""Of a verdict; all others are red."""
SOUND: Final = ("HEALTHY", "STARTING", "SLOW", "DEGRADED")
"""Verdicts of a network that makes blocks."""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(monitor)


def monitor(
    url: Annotated[
        list[str] | None,
        typer.Argument(help="RPC addresses of nodes; without one the network of --directory is watched."),
    ] = None,
    directory: Directory = HERE,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    json: AsJson = False,
) -> None:
    """Say how a network fares: one verdict, its nodes, its alerts. Exit code 1 when it makes no blocks, or nobody answers.

    With --follow and --json each look is a JSON document on a line of its own.
    """
    verdict = asyncio.run(_watch(url, directory, follow=follow, json=json))
    if verdict not in SOUND:
        raise typer.Exit(1)


async def _watch(urls: list[str] | None, directory: Path, *, follow: bool, json: bool) -> str:
    """Look once, or until a signal; the last verdict."""
    watched = _monitor(urls, directory)
    stopping = asyncio.Event()
    if follow:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    console = Console(highlight=False)
    console.width = max(console.width, WIDTH_MIN)
    if json or not follow or not console.is_terminal:
        # A table that follows shows what is logged above itself.
        log_on_stderr()
    async with watched:
        data = watched.get_dashboard_data()
        if not follow:
            if json:
                print_json(data)
            else:
                console.print(_picture(data))
        elif json or not console.is_terminal:
            while not stopping.is_set():
                data = watched.get_dashboard_data()
                _print_line(data, json=json)
                await _pause(stopping, watched.poll_interval_s)
        else:
            with Live(_picture(data), console=console, auto_refresh=False) as live:
                while not stopping.is_set():
                    await _pause(stopping, watched.poll_interval_s)
                    data = watched.get_dashboard_data()
                    live.update(_picture(data), refresh=True)
    return str(data["verdict"]["state"])


def _monitor(urls: list[str] | None, directory: Path) -> TestnetMonitor:
    from sdk.testnet.monitoring import TestnetMonitor  # noqa: PLC0415 - HTTP client, for this command only

    if urls:
        return TestnetMonitor(endpoints=urls)
    return TestnetMonitor.of_plan(find_plan(directory))


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return


def _print_line(data: dict[str, Any], *, json: bool) -> None:
    line = (
        orjson.dumps(data).decode() if json else f"{data['verdict']['state']}: {data['verdict']['sentence']}"
    )
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _picture(data: dict[str, Any]) -> Group:
    state = str(data["verdict"]["state"])
    metrics = data["metrics"]
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in ("node", "role", "status", "block", "peers", "sync", "CPU %", "memory %"):
        table.add_column(heading, no_wrap=True)
    for node in data["nodes"]:
        cpu, memory = node["cpu_usage"], node["memory_usage"]
        table.add_row(
            *(
                Text(str(cell))
                for cell in (
                    node["node_id"],
                    node["role"] or "-",
                    node["status"],
                    node["last_block_height"],
                    node["peer_count"],
                    node["sync_status"],
                    "-" if cpu is None else f"{cpu:.0f}",
                    "-" if memory is None else f"{memory:.0f}",
                )
            )
        )
    lines = [
        Text.assemble((state, COLOURS.get(state, "bold red")), f": {data['verdict']['sentence']}"),
        Text(
            f"block {metrics['current_height']:,}, every {metrics['avg_block_time']:.1f} s, {metrics['tps']:.1f} transactions/s, "
            f"{metrics['active_validators']} of {metrics['total_validators']} validators take part"
        ),
        *(Text(f"{alert['severity']}: {alert['text']}") for alert in data["alerts"]),
    ]
    return Group(*lines, table)
