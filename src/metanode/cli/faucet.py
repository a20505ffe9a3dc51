"""`metanode faucet`: coins from a faucet's service, with the proof of work in native code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from metanode.cli.options import AsJson
from metanode.cli.output import print_json, print_progress
from metanode.primitives.units import format_tokens
from sdk.testnet.services.faucet import client

if TYPE_CHECKING:
    from sdk.testnet.services.faucet.client import Progress

app = typer.Typer(name="faucet", help="Coins from a faucet.", no_args_is_help=True)

URL_DEFAULT = "http://127.0.0.1:8080"


@app.callback()
def faucet() -> None:
    """Coins from a faucet."""


@app.command()
def claim(
    address: Annotated[str, typer.Argument(help="Who is paid: 0x and 40 hexadecimal digits.")],
    url: Annotated[
        str, typer.Option("--url", envvar="METANODE_FAUCET", help="The faucet's page.")
    ] = URL_DEFAULT,
    voucher: Annotated[
        str | None,
        typer.Option(
            "--voucher", envvar="METANODE_FAUCET_VOUCHER", help="A voucher or key, in the place of the work."
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Claim coins, compute the proof of work where the faucet asks for it, and wait until they are in a final block."""
    claimed = client.claim(url, address, voucher=voucher, on_progress=_show)
    if json:
        print_json(claimed)
        return
    typer.echo(f"{format_tokens(int(claimed['amount']))} coins are at {claimed['address']}")
    typer.echo(f"transaction {claimed['transaction_hash']}")


def _show(progress: Progress) -> None:
    rate = progress.hashes / progress.elapsed_s if progress.elapsed_s else 0.0
    text = f"proof of work: {progress.solved} of {progress.puzzles} solved, {progress.hashes:,} hashes of about {progress.expected_hashes:,}, {rate:.0f}/s"
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text}\x1b[K" + ("\n" if progress.solved == progress.puzzles else ""))
        sys.stderr.flush()
    elif progress.solved == progress.puzzles:
        print_progress(text)
