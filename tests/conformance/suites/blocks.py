"""Blockchain tests: each block goes through `validate`, each decided one through `finalize`, as in a node.

The chain has one head and never goes back, so blocks are decided along the path to the head that the test expects; those beside it are
validated on undecided parents, as proposals are.
"""

import json
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tests.conformance.chains import genesis_of, opened
from tests.conformance.verdicts import Mismatch, Verdict, each, expect_equal

from metanode import _engine
from metanode.chain.trie import ordered_root
from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidEncoding
from metanode.primitives import rlp

UNDECIDED_MAX: Final = 24
"""Blocks that wait for their decision; the engine keeps 32 and forgets the oldest."""

REFUSALS: Final[Mapping[str, tuple[str, ...]]] = {
    "BlockException.BLOB_GAS_USED_ABOVE_LIMIT": ("blob_gas_used",),
    "BlockException.EXTRA_DATA_INVALID_DAO": ("extra_data",),
    "BlockException.EXTRA_DATA_TOO_BIG": ("extra_data",),
    "BlockException.GASLIMIT_TOO_BIG": ("gas_limit",),
    "BlockException.GAS_USED_OVERFLOW": ("gas_used", "transaction_block_gas"),
    "BlockException.IMPORT_IMPOSSIBLE_DIFFICULTY_OVER_PARIS": ("difficulty",),
    "BlockException.IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS": ("ommers",),
    "BlockException.INCORRECT_BLOB_GAS_USED": ("blob_gas_used",),
    "BlockException.INCORRECT_BLOCK_FORMAT": (
        "rlp",
        "withdrawals_root",
        "excess_blob_gas",
        "blob_gas_used",
        "parent_beacon_block_root",
        "requests_hash",
    ),
    "BlockException.INCORRECT_EXCESS_BLOB_GAS": ("excess_blob_gas",),
    "BlockException.INVALID_BASEFEE_PER_GAS": ("base_fee",),
    "BlockException.INVALID_BLOCK_NUMBER": ("number",),
    "BlockException.INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT": ("timestamp",),
    "BlockException.INVALID_DEPOSIT_EVENT_LAYOUT": ("execution", "deposit_event"),
    "BlockException.INVALID_GASLIMIT": ("gas_limit",),
    "BlockException.INVALID_GAS_USED": ("gas_used",),
    "BlockException.INVALID_GAS_USED_ABOVE_LIMIT": ("gas_used",),
    "BlockException.INVALID_LOG_BLOOM": ("logs_bloom",),
    "BlockException.INVALID_RECEIPTS_ROOT": ("receipts_root",),
    "BlockException.INVALID_REQUESTS": ("requests", "requests_hash"),
    "BlockException.INVALID_STATE_ROOT": ("state_root",),
    "BlockException.INVALID_TRANSACTIONS_ROOT": ("transactions_root",),
    "BlockException.INVALID_UNCLES_HASH": ("ommers",),
    "BlockException.INVALID_VERSIONED_HASHES": ("transaction_blobs",),
    "BlockException.INVALID_WITHDRAWALS_ROOT": ("withdrawals_root",),
    "BlockException.RLP_BLOCK_LIMIT_EXCEEDED": ("block_size",),
    "BlockException.RLP_INVALID_FIELD_OVERFLOW_64": ("rlp",),
    "BlockException.RLP_STRUCTURES_ENCODING": ("rlp",),
    "BlockException.RLP_WITHDRAWALS_NOT_READ": ("rlp", "withdrawals_root"),
    "BlockException.SYSTEM_CONTRACT_CALL_FAILED": ("execution", "system_contract"),
    "BlockException.SYSTEM_CONTRACT_EMPTY": ("execution", "system_contract"),
    "BlockException.TOO_MANY_UNCLES": ("ommers",),
    "BlockException.UNCLE_IN_CHAIN": ("ommers",),
    "BlockException.UNCLE_IS_ANCESTOR": ("ommers",),
    "BlockException.UNCLE_IS_BROTHER": ("ommers",),
    "BlockException.UNCLE_PARENT_INCORRECT": ("ommers",),
    "BlockException.UNCLE_UNKNOWN_PARENT": ("ommers",),
    "TransactionException.GASLIMIT_PRICE_PRODUCT_OVERFLOW": ("transaction_funds", "transaction_fee"),
    "TransactionException.GAS_ALLOWANCE_EXCEEDED": ("transaction_block_gas",),
    "TransactionException.GAS_LIMIT_EXCEEDS_MAXIMUM": ("transaction_gas_limit",),
    "TransactionException.INITCODE_SIZE_EXCEEDED": ("transaction_initcode",),
    "TransactionException.INSUFFICIENT_ACCOUNT_FUNDS": ("transaction_funds",),
    "TransactionException.INSUFFICIENT_MAX_FEE_PER_BLOB_GAS": ("transaction_blob_fee",),
    "TransactionException.INSUFFICIENT_MAX_FEE_PER_GAS": ("transaction_base_fee",),
    "TransactionException.INTRINSIC_GAS_BELOW_FLOOR_GAS_COST": ("transaction_intrinsic_gas",),
    "TransactionException.INTRINSIC_GAS_TOO_LOW": ("transaction_intrinsic_gas",),
    "TransactionException.INVALID_CHAINID": ("transaction_chain_id",),
    "TransactionException.INVALID_SIGNATURE_VRS": ("transaction_signature", "rlp"),
    "TransactionException.NONCE_IS_MAX": ("transaction_nonce_max",),
    "TransactionException.NONCE_MISMATCH_TOO_HIGH": ("transaction_nonce_too_high",),
    "TransactionException.NONCE_MISMATCH_TOO_LOW": ("transaction_nonce_too_low",),
    "TransactionException.NONCE_TOO_BIG": ("transaction_nonce_max", "rlp"),
    "TransactionException.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS": ("transaction_priority_fee",),
    "TransactionException.SENDER_NOT_EOA": ("transaction_sender_code",),
    "TransactionException.TYPE_1_TX_PRE_FORK": ("transaction_type",),
    "TransactionException.TYPE_2_TX_PRE_FORK": ("transaction_type",),
    "TransactionException.TYPE_3_TX_BLOB_COUNT_EXCEEDED": ("transaction_blobs", "blob_gas_used"),
    "TransactionException.TYPE_3_TX_CONTRACT_CREATION": ("transaction_blobs", "rlp"),
    "TransactionException.TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH": ("transaction_blobs",),
    "TransactionException.TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED": ("transaction_blobs", "blob_gas_used"),
    "TransactionException.TYPE_3_TX_PRE_FORK": ("transaction_type",),
    "TransactionException.TYPE_3_TX_WITH_FULL_BLOBS": ("rlp",),
    "TransactionException.TYPE_3_TX_ZERO_BLOBS": ("transaction_blobs",),
    "TransactionException.TYPE_3_TX_ZERO_BLOBS_PRE_FORK": ("transaction_type", "transaction_blobs"),
    "TransactionException.TYPE_4_EMPTY_AUTHORIZATION_LIST": ("transaction_authorizations",),
    "TransactionException.TYPE_4_INVALID_AUTHORITY_SIGNATURE": ("rlp", "transaction_authorizations"),
    "TransactionException.TYPE_4_INVALID_AUTHORITY_SIGNATURE_S_TOO_HIGH": (
        "rlp",
        "transaction_authorizations",
    ),
    "TransactionException.TYPE_4_INVALID_AUTHORIZATION_FORMAT": ("rlp", "transaction_authorizations"),
    "TransactionException.TYPE_4_TX_CONTRACT_CREATION": ("rlp", "transaction_authorizations"),
    "TransactionException.TYPE_4_TX_PRE_FORK": ("transaction_type",),
    "TransactionException.TYPE_NOT_SUPPORTED": ("transaction_type", "rlp"),
}
"""The engine's names for the reasons that the tests give. A reason that is not here fails the case."""

TRANSACTIONS_ROOT_AT: Final = 4
"""The place of the root among the fields of a header."""


def judge(file: Path) -> Iterator[Verdict]:
    """The cases of a file of blockchain tests."""
    return each(json.loads(file.read_bytes()).items(), judge_chain)


def judge_chain(test: Mapping[str, Any]) -> None:
    """Play one chain."""
    blocks = [(bytes.fromhex(block["rlp"][2:]), block.get("expectException")) for block in test["blocks"]]
    head = bytes.fromhex(test["lastblockhash"][2:])
    path = path_to(head, [encoded for encoded, expected in blocks if expected is None])
    with opened(genesis_of(test)) as engine:
        expect_equal(
            "hash of the genesis", engine.head().hash, bytes.fromhex(test["genesisBlockHeader"]["hash"][2:])
        )
        undecided: deque[bytes] = deque()
        for number, (encoded, expected) in enumerate(blocks, 1):
            refusal = validate(engine, encoded)
            if expected is None and refusal is not None:
                raise Mismatch(f"block {number} is valid, and refused: {refusal}")
            if expected is not None:
                if refusal is not None and hides_its_transactions(refusal, expected):
                    refusal = validate(engine, with_the_root_of_its_transactions(encoded))
                expect_refusal(f"block {number}", refusal, expected)
            elif header_of(encoded)[0] in path:
                undecided.append(header_of(encoded)[0])
                if len(undecided) > UNDECIDED_MAX:
                    engine.finalize(undecided.popleft())
        for block_hash in undecided:
            engine.finalize(block_hash)
        # The hash covers every field: the roots of state, receipts and withdrawals, the bloom, the hash of the requests.
        expect_equal("hash of the head", engine.head().hash, head)


def validate(engine: _engine.Engine, encoded: bytes) -> _engine.InvalidBlock | None:
    """Check a block as a node does, but that its requests are not beside it, and return why it is refused."""
    try:
        engine.validate(encoded, None)
    except _engine.InvalidBlock as refusal:
        return refusal
    return None


def expect_refusal(what: str, refusal: _engine.InvalidBlock | None, expected: str) -> None:
    """Raise Mismatch unless the refusal is for one of the expected reasons, which are written with "|" between them."""
    if refusal is None:
        raise Mismatch(f"{what} is accepted, expected {expected}")
    if refusal.code not in codes_of(expected):
        raise Mismatch(f"{what} is refused as {refusal.code} ({refusal.detail}), expected {expected}")


def codes_of(expected: str) -> set[str]:
    """The engine's names for any of the expected reasons."""
    return {code for reason in expected.split("|") for code in REFUSALS.get(reason, ())}


def hides_its_transactions(refusal: _engine.InvalidBlock, expected: str) -> bool:
    """Whether a block that should fail for a transaction failed earlier, for its header's root of them.

    Such blocks were made by putting the invalid transaction into the body of a block without it: two faults, of which geth and we look for
    the root first.
    """
    return (
        refusal.code == "transactions_root"
        and refusal.code not in codes_of(expected)
        and "TransactionException." in expected
    )


def with_the_root_of_its_transactions(encoded: bytes) -> bytes:
    """The same block with a header that names the transactions in it, so that only they are wrong."""
    block = rlp.decode(encoded)
    assert isinstance(block, list)
    header, transactions, *rest = block
    assert isinstance(header, list)
    assert isinstance(transactions, list)
    # A legacy transaction is a list in the block, and the encoding of that list in the trie; the others are strings in both.
    raw = [one if isinstance(one, bytes) else rlp.encode(one) for one in transactions]
    named = [*header[:TRANSACTIONS_ROOT_AT], ordered_root(raw), *header[TRANSACTIONS_ROOT_AT + 1 :]]
    return rlp.encode([named, transactions, *rest])


def path_to(head: bytes, encoded: list[bytes]) -> set[bytes]:
    """The hashes of the blocks from the genesis to the head."""
    parents = dict(header_of(block) for block in encoded)
    path = set()
    while head in parents:
        path.add(head)
        head = parents[head]
    return path


def header_of(encoded: bytes) -> tuple[bytes, bytes]:
    """Hash and parent hash of an encoded block."""
    try:
        _, start, _ = rlp.item_span(encoded, 0, len(encoded))
        _, content, end = rlp.item_span(encoded, start, len(encoded))
        _, parent, parent_end = rlp.item_span(encoded, content, end)
    except InvalidEncoding as error:
        raise Mismatch(f"a block without a header: {error}") from error
    return keccak256(encoded[start:end]), encoded[parent:parent_end]
