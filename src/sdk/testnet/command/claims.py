"""How many claims a faucet's account still pays."""

from __future__ import annotations

import asyncio
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from metanode.crypto.addresses import format_address
from metanode.errors import InvalidInput
from metanode.primitives.hexadecimal import decode_quantity
from metanode.rpc.client import open_client
from sdk.testnet.faucet.configuration import TOKENS_PER_REQUEST_GWEI
from sdk.testnet.keys import read_account

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PLACES: Final = {
    "data/faucet": ("data/services/services.toml", "config/services.toml"),
    "nodes/services": ("nodes/services/services.toml",),
    ".metanode/nodes/services": (".metanode/nodes/services/services.toml",),
    "genesis/keys/faucet": (),
    "keys/faucet": (),
}
"""Where a deployment, a network of `metanode up` and an exported genesis keep the key of the faucet, and what its services are told."""
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


def find_claims(directory: Path, rpc_url: str) -> Claims | None:
    """What is left of the faucet of a directory, as a node says; None where no key of a faucet lies there.

    Raises:
        InvalidInput: when the key file can't be read.
        Unavailable: when the node does not answer.
    """
    folder = next((name for name in PLACES if (directory / name / "faucet.json").exists()), None)
    if folder is None:
        return None
    text = format_address(read_account(directory / folder / "faucet.json"))
    tokens_per_request = read_tokens_per_request(directory / name for name in PLACES[folder])
    balance_gwei = decode_quantity(asyncio.run(_balance(rpc_url, text))) // GWEI
    return Claims(
        address=text,
        balance_gwei=balance_gwei,
        tokens_per_request=tokens_per_request,
        claims_left=balance_gwei // tokens_per_request,
    )


def read_tokens_per_request(files: Iterable[Path]) -> int:
    """Gwei of a claim, as the first of these files that is there tells the services; the default where none says."""
    path = next((file for file in files if file.exists()), None)
    if path is None:
        return TOKENS_PER_REQUEST_GWEI
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        amount = found.get("faucet", {}).get("tokens_per_request", TOKENS_PER_REQUEST_GWEI)
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidInput(f"{path}: expected the configuration of the services: {error}") from None
    if type(amount) is not int or amount < 1:
        raise InvalidInput(f"{path}: faucet.tokens_per_request: expected gwei, found {amount!r:.80}")
    return amount


async def _balance(rpc_url: str, address: str) -> str:
    async with open_client(rpc_url) as client:
        found: str = await client.call("eth_getBalance", address, "latest")
    return found
