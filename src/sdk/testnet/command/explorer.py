"""`testnet explorer`: the newest blocks of a network, and what a number or a hash leads to, from a node's JSON-RPC."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from metanode.errors import InvalidInput, Unavailable
from metanode.primitives.hexadecimal import decode_quantity
from sdk.testnet.command.network import find_plan
from sdk.testnet.command.options import HERE, AsJson, Directory
from sdk.testnet.command.output import print_json, print_table, progress

if TYPE_CHECKING:
    from pathlib import Path

    from sdk.testnet.explorer import TestnetExplorer

app = typer.Typer(
    help="Look at blocks and transactions; the pages for browsers are `testnet service explorer`.",
    no_args_is_help=True,
)

SEARCHED: Final = 1_000
"""Blocks that are searched: 33 minutes of two seconds each, and a second of asking."""
RpcUrl = Annotated[
    str | None,
    typer.Option(help="JSON-RPC of a node; without it the first that answers of the network of --directory."),
]


@app.command()
def blocks(
    count: Annotated[int, typer.Option(min=1, max=1_000, help="How many, the newest first.")] = 10,
    rpc_url: RpcUrl = None,
    directory: Directory = HERE,
    json: AsJson = False,
) -> None:
    """Show the newest blocks."""
    found = _explore(rpc_url, directory, capacity=count, silent=json).get_latest_blocks(count)
    if json:
        print_json(found)
        return
    print_table(
        ("block", "time (UTC)", "transactions", "gas used", "hash"),
        [_row(block) for block in found],
    )


@app.command()
def find(
    query: Annotated[str, typer.Argument(help="A block's number or hash, or a transaction's hash.")],
    searched: Annotated[
        int, typer.Option("--blocks", min=1, max=100_000, help="Among so many of the newest.")
    ] = SEARCHED,
    rpc_url: RpcUrl = None,
    directory: Directory = HERE,
    json: AsJson = False,
) -> None:
    """Show the block or the transaction that a number or a hash leads to; exit code 1 when nothing is there."""
    explorer = _explore(rpc_url, directory, capacity=searched, silent=json)
    found = explorer.search(query)
    if json:
        print_json(found)
        if found is None:
            raise typer.Exit(1)
        return
    if found is None:
        raise Unavailable(
            f"{query[:80]} leads to nothing in the newest {len(explorer)} blocks, up to {explorer.height}; --blocks searches more"
        )
    typer.echo(found["kind"])
    print_table(("", ""), [(name, _shown(value)) for name, value in found["found"].items()])


def _explore(rpc_url: str | None, directory: Path, *, capacity: int, silent: bool) -> TestnetExplorer:
    """An explorer with the newest blocks of the first node that answers; raises Unavailable that names all that did not."""
    from sdk.testnet.explorer import TestnetExplorer  # noqa: PLC0415 - HTTP client, for these commands only

    urls = [rpc_url] if rpc_url is not None else [node.rpc_url for node in find_plan(directory).nodes]
    reasons = []
    with progress("asking for blocks ...", silent=silent):
        for url in urls:
            explorer = TestnetExplorer(url, capacity=capacity)
            try:
                asyncio.run(explorer.update())
            except Unavailable as error:
                reasons.append(str(error))
            else:
                return explorer
    raise Unavailable("; ".join(reasons))


def _row(block: dict[str, Any]) -> tuple[str, ...]:
    """A block in the table; raises Unavailable for what is none."""
    try:
        return (
            str(block["height"]),
            f"{datetime.fromtimestamp(block['timestamp'], UTC):%Y-%m-%d %H:%M:%S}",
            str(len(block["transactions"])),
            f"{decode_quantity(block['gasUsed'], bits=63):,}",
            str(block["hash"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError, OSError, InvalidInput) as error:
        raise Unavailable(
            f"the node's block {block['height']} can't be read: {type(error).__name__} {error}"
        ) from None


def _shown(value: Any) -> str:
    return "\n".join(str(one) for one in value) if isinstance(value, list) else str(value)
