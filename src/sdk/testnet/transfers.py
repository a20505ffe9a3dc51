"""Transfers of the native token, signed here: type 2 transactions, by our own RLP and libsecp256k1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metanode.crypto.hashing import keccak256
from metanode.primitives import rlp

if TYPE_CHECKING:
    from metanode.crypto.secp256k1 import PrivateKey

TRANSFER_GAS = 21_000
"""Of a transfer to an account without code."""
MAX_FEE_WEI = 100_000_000_000
"""100 gwei a gas: what is not needed is not taken."""
TIP_WEI = 1_000_000_000


def signed_transfer(
    key: PrivateKey,
    *,
    chain_id: int,
    nonce: int,
    to: bytes,
    value_wei: int,
    max_fee_wei: int = MAX_FEE_WEI,
    tip_wei: int = TIP_WEI,
    gas: int = TRANSFER_GAS,
    data: bytes = b"",
) -> bytes:
    """Return one EIP-1559 transfer or call, signed and encoded; its keccak256 is its hash. Fees in wei for each gas."""
    fields: list[rlp.Item] = [
        rlp.integer(chain_id), rlp.integer(nonce), rlp.integer(tip_wei), rlp.integer(max_fee_wei),
        rlp.integer(gas), to, rlp.integer(value_wei), data, [],
    ]  # fmt: skip
    signature = key.sign(keccak256(b"\x02" + rlp.encode(fields)))
    parts = (signature[64], int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"))
    return b"\x02" + rlp.encode([*fields, *(rlp.integer(part) for part in parts)])
