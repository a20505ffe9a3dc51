"""The identities of the chain as distinct types.

Inside the node these are plain `bytes` and `int` with a name that mypy checks. The constructors here check a value once, where it
enters; everything behind them may rely on it.
"""

from typing import Final, NewType

from metanode.errors import InvalidEncoding

Address = NewType("Address", bytes)
"""20 bytes."""
Hash32 = NewType("Hash32", bytes)
"""32 bytes, usually a keccak256."""
Height = NewType("Height", int)
"""Position of a consensus block; the execution block of the same position has the same `number`."""
Round = NewType("Round", int)
"""Attempt to decide a height, from 0."""
Wei = NewType("Wei", int)
"""10^-18 of the native token."""
Gwei = NewType("Gwei", int)
"""10^9 wei: the unit of withdrawals."""

ADDRESS_BYTES: Final = 20
HASH_BYTES: Final = 32
SIGNATURE_BYTES: Final = 65
"""r (32), s (32) and the recovery id (0 or 1)."""

UINT64_MAX: Final = 2**64 - 1

ZERO_ADDRESS: Final = Address(bytes(ADDRESS_BYTES))
ZERO_HASH: Final = Hash32(bytes(HASH_BYTES))


def address(value: bytes) -> Address:
    """Return the value as an address; raises InvalidEncoding unless it has 20 bytes."""
    if len(value) != ADDRESS_BYTES:
        raise InvalidEncoding(f"an address has {ADDRESS_BYTES} bytes, found {len(value)}")
    return Address(bytes(value))


def hash32(value: bytes) -> Hash32:
    """Return the value as a hash; raises InvalidEncoding unless it has 32 bytes."""
    if len(value) != HASH_BYTES:
        raise InvalidEncoding(f"a hash has {HASH_BYTES} bytes, found {len(value)}")
    return Hash32(bytes(value))


def height(value: int) -> Height:
    """Return the value as a height; raises InvalidEncoding outside 0 to 2^64 - 1."""
    if not 0 <= value <= UINT64_MAX:
        raise InvalidEncoding(f"a height is 0 to 2^64 - 1, found {value}")
    return Height(value)


def round_number(value: int) -> Round:
    """Return the value as a round; raises InvalidEncoding outside 0 to 2^64 - 1."""
    if not 0 <= value <= UINT64_MAX:
        raise InvalidEncoding(f"a round is 0 to 2^64 - 1, found {value}")
    return Round(value)
