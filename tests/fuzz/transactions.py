"""Signed transactions from fields, and the ways in which one is damaged so that nobody may take it."""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import ORDER, PrivateKey
from metanode.primitives import rlp

LEGACY: Final = 0
ACCESS_LIST: Final = 1
FEE_MARKET: Final = 2
SET_CODE: Final = 4
TYPES: Final = (LEGACY, ACCESS_LIST, FEE_MARKET, SET_CODE)
"""Types without blobs: our networks carry no sidecars."""
AUTHORIZATION_MAGIC: Final = b"\x05"
"""Before the RLP that an authorization signs (EIP-7702)."""

GAS_TRANSACTION: Final = 21_000
GAS_CREATE: Final = 32_000
GAS_INITCODE_WORD: Final = 2
GAS_TOKEN: Final = 4
GAS_TOKEN_FLOOR: Final = 10
GAS_ACCESS_ADDRESS: Final = 2_400
GAS_ACCESS_SLOT: Final = 1_900
GAS_AUTHORIZATION: Final = 25_000


class Damage(StrEnum):
    """What is done to a transaction or an authorization after its fields are known."""

    NONE = "none"
    HIGH_S = "high s"
    ZERO_R = "r of zero"
    BIG_R = "r beyond the order"
    PARITY = "a parity that is none"
    OTHER_SIGNER = "signed by nobody we know"
    TRAILING = "bytes after the end"
    CUT = "cut short"
    LEADING_ZERO = "a number with a leading zero"
    EXTRA_FIELD = "one field more"
    UNKNOWN_TYPE = "a type that does not exist"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """One authorization of EIP-7702."""

    secret: bytes
    chain_id: int
    address: bytes
    nonce: int
    damage: Damage = Damage.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """The fields of a transaction and the key that signs it."""

    label: str
    """What it is for, in the table of what ran."""
    kind: int
    """One of TYPES."""
    secret: bytes
    nonce: int
    gas: int
    max_fee: int
    """The gas price of types 0 and 1."""
    tip: int = 0
    to: bytes | None
    """None creates a contract."""
    value: int = 0
    data: bytes = b""
    chain_id: int | None
    """None is for a legacy transaction that names no chain."""
    access_list: tuple[tuple[bytes, tuple[int, ...]], ...] = ()
    authorizations: tuple[Authorization, ...] = ()
    damage: Damage = Damage.NONE


@lru_cache(maxsize=256)
def key_of(secret: bytes) -> PrivateKey:
    """The key of 32 secret bytes, made once."""
    return PrivateKey(secret)


def intrinsic_gas(transaction: Transaction) -> int:
    """What a transaction costs before it runs."""
    gas = GAS_TRANSACTION + GAS_TOKEN * tokens(transaction.data)
    if transaction.to is None:
        gas += GAS_CREATE + GAS_INITCODE_WORD * ((len(transaction.data) + 31) // 32)
    for _, slots in transaction.access_list:
        gas += GAS_ACCESS_ADDRESS + GAS_ACCESS_SLOT * len(slots)
    return gas + GAS_AUTHORIZATION * len(transaction.authorizations)


def floor_gas(transaction: Transaction) -> int:
    """The least that a transaction pays (EIP-7623)."""
    return GAS_TRANSACTION + GAS_TOKEN_FLOOR * tokens(transaction.data)


def tokens(data: bytes) -> int:
    """A zero byte is one token, another byte four."""
    zeros = data.count(0)
    return zeros + 4 * (len(data) - zeros)


def encode(transaction: Transaction) -> bytes:
    """The bytes of a transaction as wallets send them: RLP for a legacy one, its type and RLP otherwise."""
    fields = _fields(transaction)
    prefix = bytes([transaction.kind]) if transaction.kind else b""
    r, s, parity = _signed(transaction, prefix, fields)
    if transaction.kind == LEGACY:
        v = parity + (27 if transaction.chain_id is None else 35 + 2 * transaction.chain_id)
    else:
        v = parity
    whole: list[rlp.Item] = [*fields, rlp.integer(v), rlp.integer(r), rlp.integer(s)]
    return _damaged(transaction.damage, prefix, whole)


def _signed(transaction: Transaction, prefix: bytes, fields: list[rlp.Item]) -> tuple[int, int, int]:
    if transaction.kind == LEGACY and transaction.chain_id is not None:
        fields = [*fields, rlp.integer(transaction.chain_id), b"", b""]
    digest = keccak256(prefix + rlp.encode(fields))
    return _signature(transaction.secret, digest, transaction.damage)


def _fields(transaction: Transaction) -> list[rlp.Item]:
    number = rlp.integer
    to, value, data = transaction.to or b"", number(transaction.value), transaction.data
    nonce, gas = number(transaction.nonce), number(transaction.gas)
    chain_id = number(transaction.chain_id or 0)
    access_list = [[a, [s.to_bytes(32, "big") for s in slots]] for a, slots in transaction.access_list]
    if transaction.kind == LEGACY:
        return [nonce, number(transaction.max_fee), gas, to, value, data]
    if transaction.kind == ACCESS_LIST:
        return [chain_id, nonce, number(transaction.max_fee), gas, to, value, data, access_list]
    fees = [number(transaction.tip), number(transaction.max_fee)]
    fields: list[rlp.Item] = [chain_id, nonce, *fees, gas, to, value, data, access_list]
    if transaction.kind == SET_CODE:
        fields.append([_authorization(authorization) for authorization in transaction.authorizations])
    return fields


def _authorization(authorization: Authorization) -> rlp.Item:
    number = rlp.integer
    signed = [number(authorization.chain_id), authorization.address, number(authorization.nonce)]
    digest = keccak256(AUTHORIZATION_MAGIC + rlp.encode(signed))
    r, s, parity = _signature(authorization.secret, digest, authorization.damage)
    return [*signed, number(parity), number(r), number(s)]


def _signature(secret: bytes, digest: bytes, damage: Damage) -> tuple[int, int, int]:
    if damage is Damage.OTHER_SIGNER:
        secret = keccak256(secret)
    signature = key_of(secret).sign(digest)
    r, s, parity = (
        int.from_bytes(signature[:32], "big"),
        int.from_bytes(signature[32:64], "big"),
        signature[64],
    )
    match damage:
        case Damage.HIGH_S:
            return r, ORDER - s, 1 - parity
        case Damage.ZERO_R:
            return 0, s, parity
        case Damage.BIG_R:
            return r + ORDER if r + ORDER < 2**256 else ORDER, s, parity
        case Damage.PARITY:
            return r, s, parity + 2
        case _:
            return r, s, parity


def _damaged(damage: Damage, prefix: bytes, whole: list[rlp.Item]) -> bytes:
    match damage:
        case Damage.TRAILING:
            return prefix + rlp.encode(whole) + b"\x00"
        case Damage.CUT:
            return prefix + rlp.encode(whole)[:-1]
        case Damage.LEADING_ZERO:
            # The gas price or a fee: the second number of every type.
            second = whole[1]
            assert isinstance(second, bytes)
            return prefix + rlp.encode([whole[0], b"\x00" + second, *whole[2:]])
        case Damage.EXTRA_FIELD:
            return prefix + rlp.encode([*whole, b"\x01"])
        case Damage.UNKNOWN_TYPE:
            return b"\x05" + rlp.encode(whole)
        case _:
            return prefix + rlp.encode(whole)
