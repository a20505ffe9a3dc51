"""Roots are those of Ethereum."""

import json
from collections.abc import Callable

import pytest

from metanode.chain.trie import EMPTY_ROOT, neighbours, ordered_root, secure_root, trie_root
from metanode.crypto.hashing import keccak256
from metanode.primitives import rlp


def test_the_empty_root_is_the_well_known_one() -> None:
    assert EMPTY_ROOT.hex() == "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
    assert ordered_root([]) == EMPTY_ROOT


@pytest.mark.parametrize(
    ("key", "before", "after"),
    [
        (b"", None, b"do"),
        (b"do", None, b"dog"),
        (b"doe", b"do", b"dog"),
        (b"dog", b"do", b"horse"),
        (b"dogs", b"dog", b"horse"),
        (b"horse", b"dog", None),
        (b"z", b"horse", None),
    ],
)
def test_a_key_has_the_neighbours_of_its_place(key: bytes, before: bytes | None, after: bytes | None) -> None:
    assert neighbours([b"horse", b"do", b"dog"], key) == (before, after)


def test_a_branching_example() -> None:
    entries = [(b"doe", b"reindeer"), (b"dog", b"puppy")]
    assert trie_root(entries) == trie_root(reversed(entries))


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 127, 128, 129, 300])
def test_roots_of_lists_agree_with_an_independent_implementation(count: int) -> None:
    items = [keccak256(bytes([i % 251, i // 251])) * (1 + i % 3) for i in range(count)]
    pairs = {rlp.encode(rlp.integer(i)): item for i, item in enumerate(items)}
    assert ordered_root(items) == slow_root(pairs)


def test_what_has_no_root_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        trie_root([(b"a", b"1"), (b"a", b"2")])
    with pytest.raises(ValueError, match="at most 256 bytes"):
        trie_root([(bytes(257), b"1")])


def slow_root(pairs: dict[bytes, bytes]) -> bytes:
    """The definition, by inserting into nested dictionaries instead of by sorted ranges."""

    def nibbles(key: bytes) -> list[int]:
        return [n for byte in key for n in (byte >> 4, byte & 15)]

    def compact(path: list[int], leaf: bool) -> bytes:
        flags = [2 * leaf + 1] if len(path) % 2 else [2 * leaf, 0]
        full = flags + path
        return bytes(full[i] * 16 + full[i + 1] for i in range(0, len(full), 2))

    def build(entries: list[tuple[list[int], bytes]]) -> rlp.Item:
        if not entries:
            return b""
        if len(entries) == 1:
            return [compact(entries[0][0], True), entries[0][1]]
        length = 0
        while len({tuple(path[: length + 1]) for path, _ in entries}) == 1:
            length += 1
        if length:
            inner = build([(path[length:], value) for path, value in entries])
            return [compact(entries[0][0][:length], False), reference(inner)]
        return [
            *(
                reference(build([(path[1:], value) for path, value in entries if path[0] == n]))
                for n in range(16)
            ),
            b"",
        ]

    def reference(node: rlp.Item) -> rlp.Item:
        encoded = rlp.encode(node)
        return node if len(encoded) < 32 else keccak256(encoded)

    return keccak256(rlp.encode(build([(nibbles(key), value) for key, value in pairs.items()])))


def test_a_key_may_be_the_beginning_of_another() -> None:
    """The example of the Ethereum wiki; all official cases are in tests/conformance."""
    entries = {b"do": b"verb", b"dog": b"puppy", b"doge": b"coin", b"horse": b"stallion"}
    expected = "5991bb8c6514148a29db676a14ac506cd2cd5775ace63c30a4fe457715e9ac84"
    assert trie_root(entries.items()).hex() == expected
    assert trie_root(reversed(entries.items())).hex() == expected


@pytest.mark.parametrize("file", ["hex_encoded_securetrie_test", "trieanyorder_secureTrie"])
def test_official_secure_tries(vector: Callable[[str], bytes], file: str) -> None:
    def plain(text: str) -> bytes:
        return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()

    for name, case in json.loads(vector(f"ethereum-tests/TrieTests/{file}.json")).items():
        entries = {plain(key): plain(value) for key, value in case["in"].items()}
        assert "0x" + secure_root(entries).hex() == case["root"], name
