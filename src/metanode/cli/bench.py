"""`metanode bench`: a quick load on the running local network. The full comparison is `make bench`."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Annotated

import typer

from metanode.cli.options import DEFAULT_DIRECTORY, AsJson, Directory
from metanode.cli.output import print_json
from metanode.cli.transfers import senders, spread
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidInput, Unavailable
from metanode.primitives.hexadecimal import decode_quantity, encode_data
from metanode.rpc.client import open_client
from sdk.testnet.deployment.apply.accounts import funded_accounts
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.transfers import MAX_FEE_WEI, TRANSFER_GAS, signed_transfer

if TYPE_CHECKING:
    from metanode.rpc.client import JSONRPCClient

SENDERS = 100
BATCH = 100
TIMEOUT_S = 120.0
POLL_INTERVAL_S = 0.05


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
    figures = asyncio.run(_measure(node.rpc_url, transactions))
    if json:
        print_json(figures)
        return
    for name, value in figures.items():
        typer.echo(f"{name.replace('_', ' ')}: {value:,}")


async def _measure(url: str, transactions: int) -> dict[str, float]:
    async with open_client(url, timeout_s=TIMEOUT_S) as client:
        chain_id = decode_quantity(await client.call("eth_chainId"))
        accounts = senders(SENDERS, seed=secrets.token_hex(8))
        each_wei = (transactions // SENDERS + 1) * (TRANSFER_GAS * MAX_FEE_WEI + transactions)
        await _fund(client, chain_id, [account.key.address for account in accounts], each_wei)
        raws = list(spread(accounts, transactions, chain_id))

        first = decode_quantity(await client.call("eth_blockNumber")) + 1
        started = time.monotonic()
        await _send(client, raws)
        taken_s = time.monotonic() - started
        included, number = 0, first
        while included < transactions:
            if time.monotonic() - started > TIMEOUT_S:
                raise Unavailable(
                    f"{included} of {transactions} transfers were included in {TIMEOUT_S:.0f} s"
                )
            count = await client.call("eth_getBlockTransactionCountByNumber", hex(number))
            if count is None:
                await asyncio.sleep(POLL_INTERVAL_S)
                continue
            included += decode_quantity(count)
            number += 1
    return {
        "transfers": transactions,
        "intake_per_second": round(transactions / taken_s, 1),
        "included_per_second": round(transactions / (time.monotonic() - started), 1),
        "blocks": number - first,
    }


async def _fund(client: JSONRPCClient, chain_id: int, addresses: list[bytes], each_wei: int) -> None:
    rich = PrivateKey(bytes.fromhex(funded_accounts()[0].private_key[2:]))
    nonce = decode_quantity(
        await client.call("eth_getTransactionCount", encode_data(rich.address), "pending")
    )
    await _send(
        client,
        [
            signed_transfer(rich, chain_id=chain_id, nonce=nonce + i, to=address, value_wei=each_wei)
            for i, address in enumerate(addresses)
        ],
    )
    deadline = time.monotonic() + TIMEOUT_S
    last = encode_data(addresses[-1])
    while decode_quantity(await client.call("eth_getBalance", last, "latest")) < each_wei:
        if time.monotonic() > deadline:
            raise Unavailable(
                f"the load's accounts were not funded in {TIMEOUT_S:.0f} s; `metanode status` shows the network"
            )
        await asyncio.sleep(POLL_INTERVAL_S)


async def _send(client: JSONRPCClient, raws: list[bytes]) -> None:
    for start in range(0, len(raws), BATCH):
        calls = [("eth_sendRawTransaction", [encode_data(raw)]) for raw in raws[start : start + BATCH]]
        refused = [answer for answer in await client.batch(calls) if isinstance(answer, Exception)]
        if refused:
            if busy := next((answer for answer in refused if isinstance(answer, Unavailable)), None):
                raise Unavailable(
                    f"{len(refused)} of {len(calls)} transfers were not taken: {busy}; try again later, or with fewer --transactions"
                )
            raise InvalidInput(
                f"{len(refused)} of {len(calls)} transfers were refused; the first: {refused[0]}"
            )
