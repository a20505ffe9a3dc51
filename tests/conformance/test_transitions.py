"""Transactions on a given state from Python: what comes back, and what is refused."""

import json
from typing import Any

import pytest
from tests.conformance.suites.calls import system_contracts
from tests.conformance.transitions import run

from metanode import _engine
from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey
from metanode.primitives import rlp

KEY = PrivateKey(bytes(31) + b"\1")
RECEIVER = "0x" + "dd" * 20
ENV: dict[str, Any] = {
    "number": "0x1", "timestamp": "0x10", "gasLimit": "0x1c9c380", "coinbase": "0x" + "cb" * 20, "baseFeePerGas": "0x7",
    "excessBlobGas": "0x0",
}  # fmt: skip


def transfer(nonce: int, value: int) -> bytes:
    """A legacy transaction before EIP-155."""
    fields: list[rlp.Item] = [rlp.integer(nonce), rlp.integer(10), rlp.integer(21_000)]
    fields += [bytes.fromhex(RECEIVER[2:]), rlp.integer(value), b""]
    signature = KEY.sign(keccak256(rlp.encode(fields)))
    numbers = [rlp.integer(int.from_bytes(signature[at : at + 32], "big")) for at in (0, 32)]
    return rlp.encode([*fields, rlp.integer(27 + signature[64]), *numbers])


def sender() -> dict[str, Any]:
    return {"0x" + KEY.address.hex(): {"balance": "0xde0b6b3a7640000"}}


def test_a_transfer_gives_its_receipt_and_the_accounts_that_changed() -> None:
    raw = transfer(0, 5)
    found = run("Osaka", alloc=sender(), env=ENV, transactions=[raw, transfer(7, 5)])
    accepted = {"index": 0, "hash": "0x" + keccak256(raw).hex(), "sender": "0x" + KEY.address.hex()}
    assert found["accepted"] == [{**accepted, "intrinsicGas": "0x5208"}]
    assert [(one["index"], one["code"]) for one in found["rejected"]] == [(1, "transaction_nonce_too_high")]
    assert found["gasUsed"] == found["receipts"][0]["cumulativeGasUsed"] == "0x5208"
    assert found["accounts"][RECEIVER]["balance"] == "0x5"
    assert found["accounts"][ENV["coinbase"]]["balance"] == hex(21_000 * 3)
    assert found["logsHash"] == "0x" + keccak256(b"\xc0").hex()


def test_a_block_has_withdrawals_and_needs_its_system_contracts() -> None:
    withdrawal = {"index": "0x0", "validatorIndex": "0x0", "address": RECEIVER, "amount": "0x2"}
    env = {**ENV, "withdrawals": [withdrawal]}
    alloc = {**sender(), **system_contracts()}
    block = run("Osaka", alloc=alloc, env=env, transactions=[], is_block=True)
    assert block["accounts"][RECEIVER]["balance"] == hex(2 * 10**9)
    assert run("Osaka", alloc=alloc, env=env, transactions=[])["accounts"] == {}
    with pytest.raises(_engine.InvalidBlock) as refused:
        run("Osaka", alloc=sender(), env=env, transactions=[], is_block=True)
    assert refused.value.code in ("execution", "system_contract")


@pytest.mark.parametrize(
    "transition", [b"", b"[]", b"{", json.dumps({"config": {"chainId": 1}}).encode(), b'{"a":' * 10_000]
)
def test_what_is_no_transition_is_refused(transition: bytes) -> None:
    with pytest.raises(_engine.InvalidInput, match="transition: "):
        _engine.run_transition(transition)
