"""Roots of small Merkle-Patricia tries: a block's transactions and withdrawals, a genesis state.

Only roots, computed from all entries at once by rust/encoding; the chain's state lives in the execution engine. Source: Yellow Paper,
appendix D.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from typing import Final

from metanode._engine import ordered_root
from metanode._engine import trie_root as _root_of
from metanode.crypto.hashing import keccak256
from metanode.primitives.types import Hash32

__all__ = ["EMPTY_ROOT", "neighbours", "ordered_root", "secure_root", "trie_root"]

EMPTY_ROOT: Final = keccak256(b"\x80")


def secure_root(entries: Mapping[bytes, bytes]) -> Hash32:
    """Return the root of a trie from keccak256(key) to value."""
    return trie_root((keccak256(key), value) for key, value in entries.items())


def neighbours(keys: Iterable[bytes], key: bytes) -> tuple[bytes | None, bytes | None]:
    """Return the keys before and after a key, which may itself be absent, in the order in which a trie is walked.

    A branch has its children by nibble and its own value before them, so that is the order of the bytes.
    """
    ordered = sorted(keys)
    before, after = bisect_left(ordered, key), bisect_right(ordered, key)
    return ordered[before - 1] if before else None, ordered[after] if after < len(ordered) else None


def trie_root(entries: Iterable[tuple[bytes, bytes]]) -> Hash32:
    """Return the root of a trie from distinct keys of at most 256 bytes to non-empty values."""
    return _root_of(list(entries))
