"""`metanode bench`: a quick load on the running local network. The full comparison is `make bench`."""

from __future__ import annotations

import secrets
import time
from typing import Annotated, Any

import httpx
import typer

from metanode.cli.calls import call
from metanode.cli.options import DEFAULT_DIRECTORY, AsJson, Directory
from metanode.cli.output import print_json
from metanode.cli.transfers import request_bodies, senders, signed_transfer, spread
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.deployment.apply.accounts import funded_accounts
from sdk.testnet.deployment.apply.layout import NetworkDirectory

SENDERS = 100
BATCH = 100
FUNDING_WEI = 10**17
TIMEOUT_S = 120.0


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(bench)


def bench(
    directory: Directory = DEFAULT_DIRECTORY,
    transactions: Annotated[int, typer.Option(min=1, max=100_000, help="How many transfers.")] = 2_000,
    json: AsJson = False,
) -> None:
    """Send transfers to the running local network and print how fast they are taken and included."""
    node = NetworkDirectory(directory.resolve()).load_plan().nodes[0]
    url = f"http://127.0.0.1:{node.rpc_port}"
    chain_id = int(call(url, "eth_chainId", []), 16)
    accounts = senders(SENDERS, seed=secrets.token_hex(8))
    _fund(url, chain_id, [account.key.address for account in accounts])
    bodies = list(request_bodies(list(spread(accounts, transactions, chain_id)), batch=BATCH))

    first = int(call(url, "eth_blockNumber", []), 16) + 1
    started = time.monotonic()
    with httpx.Client(timeout=TIMEOUT_S) as client:
        for body in bodies:
            _accepted(client.post(url, content=body, headers={"content-type": "application/json"}).json())
    taken_s = time.monotonic() - started
    included, number = 0, first
    while included < transactions:
        if time.monotonic() - started > TIMEOUT_S:
            raise Unavailable(f"{included} of {transactions} transfers were included in {TIMEOUT_S:.0f} s")
        count = call(url, "eth_getBlockTransactionCountByNumber", [hex(number)])
        if count is None:
            time.sleep(0.05)
            continue
        included += int(count, 16)
        number += 1
    included_s = time.monotonic() - started
    figures = {
        "transfers": transactions,
        "intake_per_second": round(transactions / taken_s, 1),
        "included_per_second": round(transactions / included_s, 1),
        "blocks": number - first,
    }
    if json:
        print_json(figures)
        return
    for name, value in figures.items():
        typer.echo(f"{name.replace('_', ' ')}: {value:,}")


def _fund(url: str, chain_id: int, addresses: list[bytes]) -> None:
    rich = PrivateKey(bytes.fromhex(funded_accounts()[0].private_key[2:]))
    nonce = int(call(url, "eth_getTransactionCount", ["0x" + rich.address.hex(), "pending"]), 16)
    raws = [
        signed_transfer(rich, chain_id=chain_id, nonce=nonce + i, to=address, value_wei=FUNDING_WEI)
        for i, address in enumerate(addresses)
    ]
    for body in request_bodies(raws, batch=BATCH):
        _accepted(
            httpx.post(url, content=body, headers={"content-type": "application/json"}, timeout=30.0).json()
        )
    deadline = time.monotonic() + TIMEOUT_S
    while int(call(url, "eth_getBalance", ["0x" + addresses[-1].hex(), "latest"]), 16) < FUNDING_WEI:
        if time.monotonic() > deadline:
            raise Unavailable(
                f"the load's accounts were not funded in {TIMEOUT_S:.0f} s; `metanode status` shows the network"
            )
        time.sleep(0.05)


def _accepted(answers: list[dict[str, Any]]) -> None:
    refused = [answer["error"]["message"] for answer in answers if "error" in answer]
    if refused:
        raise InvalidInput(
            f"{len(refused)} of {len(answers)} transfers were refused; the first: {refused[0]}"
        )
