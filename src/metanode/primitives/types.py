"""The identities of the chain as distinct types.

Inside the node these are plain `bytes` and `int` with a name that mypy checks. Lengths and ranges are checked once, where a value enters:
by `rlp.Reader`, by `hexadecimal`, by the signature that recovers an address. Everything behind them may rely on it.
"""

from typing import Final, NewType

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

ADDRESS_BYTES: Final = 20
HASH_BYTES: Final = 32
SIGNATURE_BYTES: Final = 65
"""r (32), s (32) and the recovery id (0 or 1)."""

UINT64_MAX: Final = 2**64 - 1

ZERO_ADDRESS: Final = Address(bytes(ADDRESS_BYTES))
ZERO_HASH: Final = Hash32(bytes(HASH_BYTES))
