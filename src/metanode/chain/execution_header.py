"""The execution block as consensus sees it: its header, its withdrawals, and that the body is the header's own.

A block's consensus hash commits to the execution header, and that to the body by two roots. Both are recomputed here before any execution
client is asked, so that a peer who sends a good header with a foreign body is refused as malformed and can neither get a good hash marked
as invalid nor halt a node that follows a certificate. What the transactions do is the client's business.

Source of the field list: EIPs 1559, 4895, 4844, 4788 and 7685 on the Yellow Paper's header (21 fields since Prague).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from metanode.chain.trie import EMPTY_ROOT, ordered_root
from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidBlock, InvalidEncoding
from metanode.primitives import rlp
from metanode.primitives.types import ZERO_HASH, Address, Hash32

EXECUTION_BYTES_MAX: Final = 8_388_608
"""EIP-7934: the longest RLP of a block."""
EXTRA_DATA_BYTES_MAX: Final = 32
WITHDRAWALS_MAX: Final = 16
"""The convention of the consensus layer."""
REQUESTS_BYTES_MAX: Final = 2 * 1024 * 1024
"""Deposits are bounded by gas alone: 60 M gas fit about 1.2 MB of them."""
TRANSACTION_GAS_MIN: Final = 21_000
"""Every transaction uses at least this much. Sources: Yellow Paper, appendix G; EIP-7623 for what refunds leave."""
TRANSACTIONS_MAX: Final = 50_000
"""A gas limit of 1,050 M filled with transfers; half a second of this module's work."""
EMPTY_OMMERS_HASH: Final = keccak256(rlp.encode([]))
EMPTY_BLOOM: Final = bytes(256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """A credit without a transaction: the way rewards are paid. Source: EIP-4895."""

    index: int
    """Counts all withdrawals of the chain from 0."""
    validator_index: int
    """The validator's registration number."""
    address: Address
    amount_gwei: int

    def to_item(self) -> rlp.Item:
        """Return the fields as RLP."""
        return [
            rlp.integer(self.index),
            rlp.integer(self.validator_index),
            self.address,
            rlp.integer(self.amount_gwei),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionHeader:
    """A post-merge header of Prague and Osaka."""

    parent_hash: Hash32
    ommers_hash: Hash32 = EMPTY_OMMERS_HASH
    beneficiary: Address
    """Gets the tips, and the reward in the next block."""
    state_root: Hash32
    transactions_root: Hash32 = EMPTY_ROOT
    receipts_root: Hash32 = EMPTY_ROOT
    logs_bloom: bytes = EMPTY_BLOOM
    difficulty: int = 0
    number: int
    gas_limit: int
    gas_used: int = 0
    timestamp: int
    extra_data: bytes = b""
    mix_hash: Hash32 = ZERO_HASH
    """prevRandao."""
    nonce: bytes = bytes(8)
    base_fee_per_gas: int
    withdrawals_root: Hash32 = EMPTY_ROOT
    blob_gas_used: int = 0
    excess_blob_gas: int = 0
    parent_beacon_block_root: Hash32 = ZERO_HASH
    requests_hash: Hash32

    hash: Hash32 = field(init=False, compare=False)
    """The execution hash."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "hash", keccak256(self.encode()))

    def encode(self) -> bytes:
        """Return the header's RLP."""
        return rlp.encode(
            [
                self.parent_hash,
                self.ommers_hash,
                self.beneficiary,
                self.state_root,
                self.transactions_root,
                self.receipts_root,
                self.logs_bloom,
                rlp.integer(self.difficulty),
                rlp.integer(self.number),
                rlp.integer(self.gas_limit),
                rlp.integer(self.gas_used),
                rlp.integer(self.timestamp),
                self.extra_data,
                self.mix_hash,
                self.nonce,
                rlp.integer(self.base_fee_per_gas),
                self.withdrawals_root,
                rlp.integer(self.blob_gas_used),
                rlp.integer(self.excess_blob_gas),
                self.parent_beacon_block_root,
                self.requests_hash,
            ]
        )

    @classmethod
    def decode(cls, data: bytes) -> "ExecutionHeader":
        """Return the header of its RLP; raises InvalidEncoding that names the field."""
        fields = rlp.Reader(rlp.decode(data, items_max=64), "execution header")
        header = cls(
            parent_hash=fields.hash32("parent_hash"),
            ommers_hash=fields.hash32("ommers_hash"),
            beneficiary=fields.address("beneficiary"),
            state_root=fields.hash32("state_root"),
            transactions_root=fields.hash32("transactions_root"),
            receipts_root=fields.hash32("receipts_root"),
            logs_bloom=fields.bytes("logs_bloom", length=256),
            difficulty=fields.integer("difficulty"),
            number=fields.integer("number"),
            gas_limit=fields.integer("gas_limit"),
            gas_used=fields.integer("gas_used"),
            timestamp=fields.integer("timestamp"),
            extra_data=fields.bytes("extra_data", length_max=EXTRA_DATA_BYTES_MAX),
            mix_hash=fields.hash32("mix_hash"),
            nonce=fields.bytes("nonce", length=8),
            base_fee_per_gas=fields.integer("base_fee_per_gas", bits=256),
            withdrawals_root=fields.hash32("withdrawals_root"),
            blob_gas_used=fields.integer("blob_gas_used"),
            excess_blob_gas=fields.integer("excess_blob_gas"),
            parent_beacon_block_root=fields.hash32("parent_beacon_block_root"),
            requests_hash=fields.hash32("requests_hash"),
        )
        fields.end()
        return header


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionBlock:
    """The parts of an execution block that consensus looks at."""

    header: ExecutionHeader
    withdrawals: tuple[Withdrawal, ...]
    transaction_count: int


def decode_execution_block(data: bytes, *, check_roots: bool = True) -> ExecutionBlock:
    """Return the block of its RLP, with the body checked against the header's roots; about 10 us a transaction.

    `check_roots=False` is for bytes that the own execution client has just made. Raises InvalidEncoding for bytes that are no block, InvalidBlock for a body that is not the header's.
    """
    if len(data) > EXECUTION_BYTES_MAX:
        raise InvalidBlock(
            f"execution block: expected at most {EXECUTION_BYTES_MAX} bytes, found {len(data)}"
        )
    is_list, position, end = rlp.item_span(data, 0, len(data))
    if not is_list or end != len(data):
        raise InvalidEncoding("execution block: expected one list and nothing after it")
    header_start = position
    _, _, position = rlp.item_span(data, position, end)
    header = ExecutionHeader.decode(data[header_start:position])
    count_max = min(TRANSACTIONS_MAX, header.gas_limit // TRANSACTION_GAS_MIN)
    transactions, position = _transactions(data, position, end, count_max)
    ommers_start = position
    _, _, position = rlp.item_span(data, position, end)
    if data[ommers_start:position] != b"\xc0" or header.ommers_hash != EMPTY_OMMERS_HASH:
        raise InvalidBlock("execution block: expected no ommers")
    withdrawals = _withdrawals(rlp.decode(data[position:end], items_max=8 * WITHDRAWALS_MAX))
    if check_roots:
        _check_roots(header, transactions, withdrawals)
    return ExecutionBlock(header=header, withdrawals=withdrawals, transaction_count=len(transactions))


def encode_execution_block(
    header: ExecutionHeader, transactions: Sequence[bytes], withdrawals: Sequence[Withdrawal]
) -> bytes:
    """Return the block's RLP from a header and EIP-2718 transactions; the header's roots are the caller's to set."""
    items = [
        transaction if transaction[0] >= 0xC0 else rlp.encode(transaction) for transaction in transactions
    ]
    payload = header.encode() + rlp.list_of_encoded(b"".join(items)) + b"\xc0"
    return rlp.list_of_encoded(payload + rlp.encode([withdrawal.to_item() for withdrawal in withdrawals]))


def transactions_root(transactions: Sequence[bytes]) -> Hash32:
    """Return the header's transactions_root of EIP-2718 transactions."""
    return ordered_root(transactions)


def withdrawals_root(withdrawals: Sequence[Withdrawal]) -> Hash32:
    """Return the header's withdrawals_root."""
    return ordered_root([rlp.encode(withdrawal.to_item()) for withdrawal in withdrawals])


def requests_hash(requests: Sequence[bytes]) -> Hash32:
    """Return the header's requests_hash. Source: EIP-7685; an empty list gives the hash of nothing."""
    return Hash32(
        hashlib.sha256(b"".join([hashlib.sha256(request).digest() for request in requests])).digest()
    )


EMPTY_REQUESTS_HASH: Final = requests_hash(())


def validate_requests(requests: Sequence[bytes]) -> None:
    """Raise InvalidBlock unless each request is a type byte and data, ascending by type, within the limit. Source: EIP-7685."""
    if sum(map(len, requests)) > REQUESTS_BYTES_MAX:
        raise InvalidBlock(
            f"requests: expected at most {REQUESTS_BYTES_MAX} bytes, found {sum(map(len, requests))}"
        )
    previous = -1
    for index, request in enumerate(requests):
        if len(request) < 2:
            raise InvalidBlock(
                f"requests[{index}]: expected a type byte and data, found {len(request)} bytes"
            )
        if request[0] <= previous:
            raise InvalidBlock(f"requests[{index}]: type {request[0]} does not ascend from {previous}")
        previous = request[0]


def _check_roots(
    header: ExecutionHeader, transactions: Sequence[bytes], withdrawals: Sequence[Withdrawal]
) -> None:
    for name, found, said in (
        ("transactions", transactions_root(transactions), header.transactions_root),
        ("withdrawals", withdrawals_root(withdrawals), header.withdrawals_root),
    ):
        if found != said:
            raise InvalidBlock(
                f"execution block: its {name} have the root 0x{found.hex()}, its header says 0x{said.hex()}"
            )


def _transactions(data: bytes, start: int, end: int, count_max: int) -> tuple[list[bytes], int]:
    """Return the EIP-2718 bytes of each transaction, and where their list ends."""
    is_list, position, stop = rlp.item_span(data, start, end)
    if not is_list:
        raise InvalidEncoding("execution block: expected a list of transactions")
    found: list[bytes] = []
    while position < stop:
        if len(found) == count_max:
            raise InvalidBlock(
                f"execution block: more than {count_max} transactions do not fit its gas limit"
            )
        legacy, content, after = rlp.item_span(data, position, stop)
        if content == after:
            raise InvalidEncoding(f"execution block: transaction {len(found)} is empty")
        found.append(data[position if legacy else content : after])
        position = after
    return found, stop


def _withdrawals(item: rlp.Decoded) -> tuple[Withdrawal, ...]:
    if isinstance(item, bytes):
        raise InvalidEncoding("execution block: expected a list of withdrawals")
    if len(item) > WITHDRAWALS_MAX:
        raise InvalidBlock(
            f"execution block: expected at most {WITHDRAWALS_MAX} withdrawals, found {len(item)}"
        )
    found = []
    for index, entry in enumerate(item):
        fields = rlp.Reader(entry, f"withdrawals[{index}]")
        found.append(
            Withdrawal(
                index=fields.integer("index"),
                validator_index=fields.integer("validator_index"),
                address=fields.address("address"),
                amount_gwei=fields.integer("amount"),
            )
        )
        fields.end()
    return tuple(found)
