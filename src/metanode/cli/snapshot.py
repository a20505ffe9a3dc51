"""`metanode snapshot`: a stopped node's state in a file, and a new node that begins from it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Final

import typer

from metanode.cli.options import AsJson
from metanode.cli.output import print_json, print_progress
from metanode.primitives.hexadecimal import decode_data
from metanode.primitives.types import HASH_BYTES, Hash32

app = typer.Typer(
    help="Begin a node from another one's state instead of the first block.", no_args_is_help=True
)

PROGRESS_S: Final = 2.0

Node = Annotated[Path, typer.Argument(help="The node's directory; the node must be stopped.")]


@app.command("export")
def export_(
    directory: Node,
    file: Annotated[Path, typer.Argument(help="The file to write; an existing one is never replaced.")],
    no_headers: Annotated[
        bool,
        typer.Option(
            "--no-headers",
            help="Leave out the headers that prove the snapshot from genesis on: smaller, and an import needs --trust.",
        ),
    ] = False,
    json: AsJson = False,
) -> None:
    """Write the state of a stopped node at its decided height into one file."""
    from metanode.node.snapshots.exporting import export_snapshot  # noqa: PLC0415 - loads the engine

    done = export_snapshot(directory.resolve(), file.resolve(), with_headers=not no_headers, tell=_Progress())
    if json:
        print_json(
            {"height": done.height, "block_hash": "0x" + done.block_hash.hex(), "size_bytes": done.size_bytes}
        )
        return
    typer.echo(
        f"wrote {file}: height {done.height}, consensus hash 0x{done.block_hash.hex()}, {done.size_bytes / 1e6:,.1f} MB"
    )


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A file that export has written.")],
    directory: Node,
    trust: Annotated[
        str | None,
        typer.Option(
            metavar="HASH",
            help="Consensus hash of the snapshot's block, from a source that you trust, as ibft_getCommitCertificate gives it.",
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Fill the empty data directory of a node from a snapshot; every part is verified first."""
    from metanode.node.snapshots.importing import import_snapshot  # noqa: PLC0415 - loads the engine

    trusted = None if trust is None else _parse_hash(trust)
    done = import_snapshot(file, directory.resolve(), trusted=trusted, tell=_Progress())
    if json:
        print_json({"height": done.height, "block_hash": "0x" + done.block_hash.hex()})
        return
    typer.echo(
        f"imported height {done.height} (consensus hash 0x{done.block_hash.hex()}); start the node, it syncs the rest"
    )


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="A file that export has written.")], json: AsJson = False
) -> None:
    """Show what a snapshot says of itself; only an import proves it."""
    from metanode.node.snapshots.importing import read_summary  # noqa: PLC0415 - loads the engine

    found = read_summary(file)
    document = {
        "network": found.network_name,
        "chain_id": found.chain_id,
        "genesis_hash": "0x" + found.genesis_hash.hex(),
        "height": found.height,
        "block_hash": "0x" + found.block_hash.hex(),
        "headers": found.has_headers,
    }
    if json:
        print_json(document)
        return
    for name, value in document.items():
        typer.echo(f"{name.replace('_', ' ')}: {value}")


class _Progress:
    """A line on stderr every two seconds."""

    def __init__(self) -> None:
        self._due = time.monotonic() + PROGRESS_S

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._due = now + PROGRESS_S
            print_progress(text)


def _parse_hash(text: str) -> Hash32:
    return Hash32(decode_data(text, field="--trust", length=HASH_BYTES))
