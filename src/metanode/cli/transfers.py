"""Pre-signed transfers for `metanode bench` and the benchmarks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey
from sdk.testnet.transfers import signed_transfer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Sender:
    """An account of the load, with the nonce of its next transfer."""

    key: PrivateKey
    first_nonce: int = 0


def senders(count: int, *, seed: str) -> list[Sender]:
    """Accounts that only this benchmark knows."""
    return [Sender(PrivateKey(keccak256(f"{seed} {n}".encode()))) for n in range(count)]


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
