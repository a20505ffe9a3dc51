"""How many claims a faucet's account still pays."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from metanode.crypto.addresses import format_address, parse_address
from metanode.errors import InvalidInput
from metanode.primitives.hexadecimal import decode_quantity
from metanode.rpc.client import open_client
from sdk.testnet.faucet.configuration import TOKENS_PER_REQUEST_GWEI

if TYPE_CHECKING:
    from pathlib import Path

FOLDERS: Final = (
    "data/faucet",
    "nodes/services",
    ".metanode/nodes/services",
    "genesis/keys/faucet",
    "keys/faucet",
)
"""Where a deployment, a network of `metanode up` and an exported genesis keep the key of the faucet."""
GWEI: Final = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a faucet can still give."""

    address: str
    """The account that pays."""
    balance_gwei: int
    tokens_per_request: int
    """Gwei."""
    claims_left: int
    """Fees, which are small beside an amount, come on top."""

    def __str__(self) -> str:
        return f"faucet: {self.claims_left:,} claims left, {self.balance_gwei // GWEI:,} tokens at {self.address}"


def find_claims(
    directory: Path, rpc_url: str, *, tokens_per_request: int = TOKENS_PER_REQUEST_GWEI
) -> Claims | None:
    """What is left of the faucet of a directory, as a node says; None where no key of a faucet lies there.

    Raises:
        InvalidInput: when the key file can't be read.
        Unavailable: when the node does not answer.
    """
    places = [directory / folder / "faucet.json" for folder in FOLDERS]
    path = next((place for place in places if place.exists()), None)
    if path is None:
        return None
    try:
        address = parse_address("0x" + str(json.loads(path.read_bytes())["address"]).removeprefix("0x"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path}: expected a key file with an address: {error}") from None
    text = format_address(address)
    balance_gwei = decode_quantity(asyncio.run(_balance(rpc_url, text))) // GWEI
    return Claims(
        address=text,
        balance_gwei=balance_gwei,
        tokens_per_request=tokens_per_request,
        claims_left=balance_gwei // tokens_per_request,
    )


async def _balance(rpc_url: str, address: str) -> str:
    async with open_client(rpc_url) as client:
        found: str = await client.call("eth_getBalance", address, "latest")
    return found
