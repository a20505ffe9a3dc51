"""A block with a transfer, as a node tells it."""

from __future__ import annotations

from typing import Any

from sdk.testnet.services.indexer import events
from sdk.testnet.services.indexer.fetched import FetchedBlock, Identity
from sdk.testnet.services.store.meanings import Traces

A, B = bytes(12) + b"\xaa" * 20, bytes(12) + b"\xbb" * 20
NUMBER = (7).to_bytes(32, "big")
IDENTITY = Identity(chain_id=1, genesis_hash=b"\x21" * 32, consensus_genesis_hash=b"")
"""Of the chain that this block begins."""


def tree(**changes: Any) -> dict[str, Any]:
    return {"type": "CALL", "from": "0x" + "0a" * 20, "to": "0x" + "0b" * 20, "value": "0x0", **changes}


def block(number: int = 0) -> FetchedBlock:
    """A block as a node tells it."""
    sender, recipient, token = "0x" + "51" * 20, "0x" + "52" * 20, "0x" + "53" * 20
    moved = "0x" + "11" * 32
    log = {
        "address": token,
        "topics": ["0x" + events.TRANSFER.hex(), "0x" + A.hex(), "0x" + B.hex()],
        "data": "0x" + NUMBER.hex(),
    }
    transaction = {
        "hash": moved, "from": sender, "to": recipient, "input": "0x12345678", "value": "0x5", "nonce": "0x0",
        "type": "0x2", "gas": "0x5208",
    }  # fmt: skip
    receipt = {
        "transactionHash": moved, "gasUsed": "0x5208", "effectiveGasPrice": "0x7", "status": "0x1",
        "contractAddress": None, "logs": [log],
    }  # fmt: skip
    return FetchedBlock(
        number=number,
        block={
            "number": hex(number), "hash": "0x" + "21" * 32, "parentHash": "0x" + "22" * 32, "timestamp": "0x65000000",
            "miner": sender, "gasUsed": "0x5208", "gasLimit": "0x1000000", "baseFeePerGas": "0x7", "size": "0x300",
            "extraData": "0x", "stateRoot": "0x" + "23" * 32, "transactions": [transaction],
            "withdrawals": [{"address": sender, "validatorIndex": "0x0", "amount": "0x1"}],
        },
        receipts=[receipt],
        logs_missing=0,
        calls=[tree(calls=[tree(value="0x9")])],
        traces=Traces.INDEXED,
        header=None,
        members=(),
        parent_certificate=None,
        own_certificate=None,
    )  # fmt: skip
