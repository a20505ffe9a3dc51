"""`eth_sendRawTransactionSync` (EIP-7966) of a node that makes blocks: the receipt, the end of the wait, and what the pool refuses."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.acceptance.processes import slowness
from tests.integration.hostile.target import CHAIN_ID, PERIOD_S, flood_key, running_target

from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey
from metanode.primitives.hexadecimal import encode_data
from sdk.testnet.transfers import signed_transfer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.hostile.target import Target

pytestmark = pytest.mark.timeout(120)

RECEIVER = b"\x42" * 20
NOT_INCLUDED_IN_TIME = 4
WITHIN_S = 30.0
"""Longer than the 20 s that a caller waits who does not say how long, and half of what refused ones ask for: they are told at once."""
POOR = PrivateKey(keccak256(b"nobody sends to this account"))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with running_target(tmp_path_factory.mktemp("sending")) as running:
        yield running


def transfer(key: PrivateKey, nonce: int, *, value_wei: int = 1) -> str:
    raw = signed_transfer(key, chain_id=CHAIN_ID, nonce=nonce, to=RECEIVER, value_wei=value_wei)
    return encode_data(raw)


def hash_of(transaction: str) -> str:
    return encode_data(keccak256(bytes.fromhex(transaction[2:])))


def answer(target: Target, method: str, *params: Any) -> dict[str, Any]:
    """The whole answer, since an error's data counts here."""
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    found: dict[str, Any] = httpx.post(target.process.rpc.url, json=request, timeout=WITHIN_S).json()
    return found


def test_a_transfer_is_answered_with_its_receipt_by_the_block_that_has_it(target: Target) -> None:
    transaction = transfer(flood_key(1), 0)
    before = target.height()
    receipt = answer(target, "eth_sendRawTransactionSync", transaction)["result"]
    after = target.height()
    assert receipt == target.call("eth_getTransactionReceipt", hash_of(transaction))
    assert (receipt["transactionHash"], receipt["status"]) == (hash_of(transaction), "0x1")
    assert (receipt["from"], receipt["to"]) == (encode_data(flood_key(1).address), encode_data(RECEIVER))
    # Whoever had waited for a timer, and not for the block, would have seen later blocks.
    assert before < int(receipt["blockNumber"], 16) <= after <= before + 2 + int(slowness() / PERIOD_S)


def test_transfers_that_are_sent_together_wait_together(target: Target) -> None:
    transactions = [transfer(flood_key(number), 0) for number in range(2, 12)]
    batch = [
        {"jsonrpc": "2.0", "id": number, "method": "eth_sendRawTransactionSync", "params": [transaction]}
        for number, transaction in enumerate(transactions)
    ]
    found = httpx.post(target.process.rpc.url, json=batch, timeout=WITHIN_S).json()
    assert [one["result"]["transactionHash"] for one in found] == [hash_of(one) for one in transactions]


def test_one_behind_a_gap_is_answered_with_code_4_and_its_hash_and_stays_in_the_pool(target: Target) -> None:
    key = flood_key(20)
    behind = transfer(key, 1)
    started = time.monotonic()
    error = answer(target, "eth_sendRawTransactionSync", behind, 500)["error"]
    waited_s = time.monotonic() - started
    assert (error["code"], error["data"]) == (NOT_INCLUDED_IN_TIME, hash_of(behind))
    assert error["message"] == "the transaction was added to the pool, and no block had it within 0.5 s"
    assert 0.5 <= waited_s < 0.5 + slowness()
    assert target.call("eth_getTransactionReceipt", hash_of(behind)) is None
    # It was not lost: the one before it brings both into a block.
    assert answer(target, "eth_sendRawTransactionSync", transfer(key, 0))["result"]["status"] == "0x1"
    assert target.call("eth_getTransactionReceipt", hash_of(behind))["status"] == "0x1"


@pytest.mark.parametrize(
    ("transaction", "message"),
    [
        (transfer(POOR, 0), "insufficient funds for gas * price + value"),
        (transfer(flood_key(21), 0, value_wei=10**30), "insufficient funds for gas * price + value"),
        (transfer(flood_key(21), 0)[:-2], "rlp: value size exceeds available input length"),
        ("0x02", "typed transaction too short"),
    ],
)
def test_one_that_the_pool_refuses_is_told_so_at_once_in_the_pool_s_words(
    target: Target, transaction: str, message: str
) -> None:
    error = answer(target, "eth_sendRawTransactionSync", transaction, 60_000)["error"]
    assert error == answer(target, "eth_sendRawTransaction", transaction)["error"]
    assert error["message"].startswith(message)


def test_one_whose_nonce_is_used_is_refused_as_by_the_pool(target: Target) -> None:
    key = flood_key(22)
    assert "result" in answer(target, "eth_sendRawTransactionSync", transfer(key, 0))
    again = transfer(key, 0, value_wei=2)
    error = answer(target, "eth_sendRawTransactionSync", again, 60_000)["error"]
    assert error == answer(target, "eth_sendRawTransaction", again)["error"]
    assert error["message"].startswith("nonce too low")
