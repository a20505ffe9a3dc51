"""Execution blocks are read as Ethereum writes them, and a body that is not the header's is refused."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from metanode.chain.execution_header import (
    EMPTY_REQUESTS_HASH,
    ExecutionHeader,
    Withdrawal,
    decode_execution_block,
    encode_execution_block,
    requests_hash,
    transactions_root,
    validate_requests,
    withdrawals_root,
)
from metanode.chain.trie import secure_root
from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidBlock, InvalidEncoding, InvalidInput
from metanode.primitives import rlp
from metanode.primitives.types import ZERO_ADDRESS, ZERO_HASH, Address, Hash32

FILES = [
    "eest/blockchain_tests/osaka/eip7825_transaction_gas_limit_cap/test_transaction_gas_limit_cap.json",
    "eest/blockchain_tests/prague/eip7685_general_purpose_el_requests/test_valid_multi_type_request_from_same_tx.json",
]
TRANSACTIONS = [b"\x02" + b"\xc1\x80", b"\x04" * 70, rlp.encode([b"legacy", b"x" * 60])]
WITHDRAWALS = [Withdrawal(index=3, validator_index=1, address=Address(b"\7" * 20), amount_gwei=2 * 10**9)]


def integer(text: str) -> int:
    return int(text, 16)


def data(text: str) -> bytes:
    return bytes.fromhex(text[2:])


@pytest.mark.parametrize("file", FILES)
def test_official_genesis_states_and_headers_have_the_official_hashes(
    vector: Callable[[str], bytes], file: str
) -> None:
    for name, case in json.loads(vector(file)).items():
        official = case["genesisBlockHeader"]
        accounts = {}
        for key, account in case["pre"].items():
            storage = {
                integer(slot).to_bytes(32, "big"): rlp.encode(rlp.integer(integer(word)))
                for slot, word in account["storage"].items()
            }
            nonce, balance = rlp.integer(integer(account["nonce"])), rlp.integer(integer(account["balance"]))
            accounts[data(key)] = rlp.encode(
                [nonce, balance, secure_root(storage), keccak256(data(account["code"]))]
            )
        header = ExecutionHeader(
            parent_hash=ZERO_HASH,
            beneficiary=ZERO_ADDRESS,
            state_root=secure_root(accounts),
            number=0,
            gas_limit=integer(official["gasLimit"]),
            timestamp=integer(official["timestamp"]),
            extra_data=data(official["extraData"]),
            base_fee_per_gas=integer(official["baseFeePerGas"]),
            requests_hash=EMPTY_REQUESTS_HASH,
        )
        assert "0x" + header.hash.hex() == official["hash"], name


@pytest.mark.parametrize("file", FILES)
def test_official_blocks_decode_to_their_headers(vector: Callable[[str], bytes], file: str) -> None:
    decoded = 0
    for name, case in json.loads(vector(file)).items():
        for block in case["blocks"]:
            official = block.get("blockHeader")
            if official is None:
                continue
            found = decode_execution_block(data(block["rlp"]))
            assert "0x" + found.header.hash.hex() == official["hash"], name
            assert found.transaction_count == len(block["transactions"])
            assert len(found.withdrawals) == len(block["withdrawals"])
            decoded += 1
    assert decoded or "gas_limit_cap" in file


def header(**changes: Any) -> ExecutionHeader:
    fields: dict[str, Any] = {
        "parent_hash": Hash32(b"\1" * 32),
        "beneficiary": Address(b"\2" * 20),
        "state_root": Hash32(b"\3" * 32),
        "transactions_root": transactions_root(TRANSACTIONS),
        "withdrawals_root": withdrawals_root(WITHDRAWALS),
        "number": 9,
        "gas_limit": 60_000_000,
        "timestamp": 1_700_000_000,
        "base_fee_per_gas": 7,
        "requests_hash": EMPTY_REQUESTS_HASH,
    }
    return ExecutionHeader(**(fields | changes))


GOOD = encode_execution_block(header(), TRANSACTIONS, WITHDRAWALS)


def test_a_block_decodes_to_what_was_encoded() -> None:
    block = decode_execution_block(GOOD)
    assert block.header == header()
    assert block.header.hash == header().hash
    assert (block.transaction_count, block.withdrawals) == (3, tuple(WITHDRAWALS))


def test_truncation_at_every_length_and_trailing_bytes_are_refused() -> None:
    for length in range(len(GOOD)):
        with pytest.raises(InvalidInput):
            decode_execution_block(GOOD[:length])
    with pytest.raises(InvalidEncoding, match="nothing after it"):
        decode_execution_block(GOOD + b"\x80")


@pytest.mark.parametrize("position", range(0, len(GOOD), 7))
def test_no_changed_byte_keeps_the_hash(position: int) -> None:
    changed = bytearray(GOOD)
    changed[position] ^= 1
    with contextlib.suppress(InvalidInput):
        assert decode_execution_block(bytes(changed)).header.hash != header().hash


@pytest.mark.parametrize(
    ("transactions", "withdrawals", "message"),
    [
        (TRANSACTIONS[:2], WITHDRAWALS, "transactions have the root"),
        (TRANSACTIONS[::-1], WITHDRAWALS, "transactions have the root"),
        ([*TRANSACTIONS, b"\2x"], WITHDRAWALS, "transactions have the root"),
        (TRANSACTIONS, [], "withdrawals have the root"),
        (TRANSACTIONS, [replace(WITHDRAWALS[0], amount_gwei=1)], "withdrawals have the root"),
        (TRANSACTIONS, WITHDRAWALS * 17, "at most 16 withdrawals"),
    ],
)
def test_a_foreign_body_under_a_good_header_is_refused(
    transactions: list[bytes], withdrawals: list[Withdrawal], message: str
) -> None:
    with pytest.raises(InvalidBlock, match=message):
        decode_execution_block(encode_execution_block(header(), transactions, withdrawals))


def test_more_transactions_than_the_gas_limit_has_room_for_cost_nothing() -> None:
    crowd = [b"\1"] * 3_000_000
    with pytest.raises(InvalidBlock, match="more than 2857 transactions do not fit"):
        decode_execution_block(encode_execution_block(header(), crowd, []))
    with pytest.raises(InvalidBlock, match="more than 50000 transactions"):
        decode_execution_block(encode_execution_block(header(gas_limit=2**63), crowd, []))


def test_ommers_are_refused() -> None:
    payload = header().encode() + b"\xc0" + b"\xc1\xc0" + b"\xc0"
    with pytest.raises(InvalidBlock, match="no ommers"):
        decode_execution_block(rlp.list_of_encoded(payload))


def test_extra_data_of_33_bytes_is_refused() -> None:
    block = encode_execution_block(header(extra_data=b"x" * 33), TRANSACTIONS, WITHDRAWALS)
    with pytest.raises(InvalidEncoding, match=r"extra_data: expected at most 32"):
        decode_execution_block(block)


def test_requests_hash_as_in_eip_7685() -> None:
    assert EMPTY_REQUESTS_HASH.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert requests_hash([b"\1a"]) != requests_hash([b"\1a", b"\2b"])


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ([b"\1"], "type byte and data"),
        ([b""], "type byte and data"),
        ([b"\1a", b"\1b"], "does not ascend"),
        ([b"\2a", b"\1b"], "does not ascend"),
        ([b"\0" + bytes(3_000_000)], "at most"),
    ],
)
def test_malformed_requests_are_refused(requests: list[bytes], message: str) -> None:
    with pytest.raises(InvalidBlock, match=message):
        validate_requests(requests)
