"""Pre-signed transfers for `metanode bench` and the benchmarks: our own RLP and libsecp256k1, so that signing is not what is measured."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey
from metanode.primitives import rlp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TRANSFER_GAS = 21_000
MAX_FEE_WEI = 100_000_000_000
TIP_WEI = 1_000_000_000


@dataclass(frozen=True)
class Sender:
    """An account of the load, with the nonce of its next transfer."""

    key: PrivateKey
    first_nonce: int = 0


def senders(count: int, *, seed: str) -> list[Sender]:
    """Accounts that only this benchmark knows."""
    return [Sender(PrivateKey(keccak256(f"{seed} {n}".encode()))) for n in range(count)]


def signed_transfer(key: PrivateKey, *, chain_id: int, nonce: int, to: bytes, value_wei: int) -> bytes:
    """One EIP-1559 transfer, signed and encoded."""
    fields: list[rlp.Item] = [
        rlp.integer(chain_id), rlp.integer(nonce), rlp.integer(TIP_WEI), rlp.integer(MAX_FEE_WEI),
        rlp.integer(TRANSFER_GAS), to, rlp.integer(value_wei), b"", [],
    ]  # fmt: skip
    signature = key.sign(keccak256(b"\x02" + rlp.encode(fields)))
    parts = (signature[64], int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"))
    return b"\x02" + rlp.encode([*fields, *(rlp.integer(part) for part in parts)])


def spread(accounts: Sequence[Sender], count: int, chain_id: int) -> Iterator[bytes]:
    """`count` transfers, the senders taking turns, each to an account of its own."""
    for index in range(count):
        sender = accounts[index % len(accounts)]
        to = keccak256(b"to" + index.to_bytes(8, "big"))[-20:]
        nonce = sender.first_nonce + index // len(accounts)
        yield signed_transfer(sender.key, chain_id=chain_id, nonce=nonce, to=to, value_wei=1 + index)


def request_bodies(raws: Sequence[bytes], *, batch: int = 1) -> Iterator[str]:
    """JSON-RPC bodies that send the transfers, `batch` calls in each."""
    for start in range(0, len(raws), batch):
        calls = [
            {
                "jsonrpc": "2.0",
                "id": start + i,
                "method": "eth_sendRawTransaction",
                "params": ["0x" + raw.hex()],
            }
            for i, raw in enumerate(raws[start : start + batch])
        ]
        yield json.dumps(calls if batch > 1 else calls[0])


def write_requests(path: Path, raws: Sequence[bytes], *, batch: int = 1) -> None:
    """Write one request body a line."""
    path.write_text("".join(body + "\n" for body in request_bodies(raws, batch=batch)), encoding="ascii")
