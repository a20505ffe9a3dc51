"""RLP and the hex-prefix paths of tries, by the codec that messages, blocks and records of nodes go through."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tests.conformance.verdicts import Mismatch, Verdict, each, expect_equal, named

from metanode.chain.trie import trie_root
from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidEncoding
from metanode.primitives import rlp

VALUE: Final = bytes(40)
"""Long enough that no node stands inside another."""
LAST_NIBBLE: Final = b"\x30"
"""The path of a leaf with the one nibble 0 left."""


def judge_valid(file: Path) -> Iterator[Verdict]:
    """`rlptest.json`: values with their encodings."""
    return each(json.loads(file.read_bytes()).items(), judge_value)


def judge_named(file: Path) -> Iterator[Verdict]:
    """Cases that say themselves whether they are valid."""
    return each(json.loads(file.read_bytes()).items(), judge_by_name)


def judge_ethers(file: Path) -> Iterator[Verdict]:
    """Values of ethers.js, whose strings are hex."""

    def judge(case: Mapping[str, Any]) -> None:
        expect_both_ways(hex_value(case["decoded"]), bytes.fromhex(case["encoded"][2:]))

    return each(named(json.loads(file.read_bytes())), judge)


def judge_extra_data(file: Path) -> Iterator[Verdict]:
    """The `extraData` of Besu's IBFT 2.0, which is not our header's: our RLP reads and writes it."""
    content = json.loads(file.read_bytes())

    def judge(encoded: str) -> None:
        expected = content["decoded"]
        vote = [bytes.fromhex(expected["vote"]["recipient"][2:]), bytes.fromhex(expected["vote"]["type"][2:])]
        value = [
            bytes.fromhex(expected["vanity"][2:]),
            [bytes.fromhex(item[2:]) for item in expected["validators"]],
            vote,
            expected["round"].to_bytes(4, "big"),
            [bytes.fromhex(item[2:]) for item in expected["seals"]],
        ]
        expect_both_ways(value, bytes.fromhex(encoded[2:]))

    return each([("extraData", content["extraData"])], judge)


def judge_paths(file: Path) -> Iterator[Verdict]:
    """`hexencodetest.json`: the paths in the nodes of a trie. The root of a small trie with such a path must be that of nodes which have it."""

    def judge(case: Mapping[str, Any]) -> None:
        seq, path = tuple(case["seq"]), bytes.fromhex(case["out"])
        # A leaf ends at its path; an extension leads to two leaves, whose keys differ after it.
        ends: list[tuple[int, ...]] = [()] if case["term"] else [(0, 0), (1, 0)]
        node: list[rlp.Item] = (
            [path, VALUE] if case["term"] else [path, reference(branch_of([LAST_NIBBLE, VALUE]))]
        )
        # An even number of nibbles makes a key, so an odd path stands under a branch.
        starts: list[tuple[int, ...]] = [(0,), (1,)] if len(seq) % 2 else [()]
        keys = [start + seq + end for start in starts for end in ends]
        expected = branch_of(node) if len(seq) % 2 else node
        expect_equal("root", trie_root((packed(key), VALUE) for key in keys), keccak256(rlp.encode(expected)))

    return each(json.loads(file.read_bytes()).items(), judge)


def branch_of(node: list[rlp.Item]) -> list[rlp.Item]:
    """A branch with the same node under its first two nibbles."""
    return [reference(node), reference(node), *([b""] * 15)]


def reference(node: list[rlp.Item]) -> bytes:
    """What a parent holds of a node."""
    return keccak256(rlp.encode(node))


def packed(nibbles: tuple[int, ...]) -> bytes:
    """A key of nibbles, two in a byte."""
    return bytes(high << 4 | low for high, low in zip(nibbles[::2], nibbles[1::2], strict=True))


def judge_value(case: Mapping[str, Any]) -> None:
    """One value and its encoding."""
    expect_both_ways(official_value(case["in"]), bytes.fromhex(case["out"].removeprefix("0x")))


def judge_by_name(case: Mapping[str, Any]) -> None:
    """One encoding that is "VALID" or "INVALID"."""
    encoded = bytes.fromhex(case["out"].removeprefix("0x"))
    if case["in"] == "VALID":
        expect_equal("encoding", rlp.encode(rlp.decode(encoded)), encoded)
        return
    try:
        value = rlp.decode(encoded)
    except InvalidEncoding:
        return
    raise Mismatch(f"{encoded.hex()} is no RLP, and is read as {value!r}")


def expect_both_ways(value: rlp.Item, encoded: bytes) -> None:
    """Encoding gives the bytes, and decoding them the value."""
    expect_equal("encoding", rlp.encode(value), encoded)
    expect_equal("value", rlp.decode(encoded), value)


def official_value(value: Any) -> rlp.Item:
    """A value as `rlptest.json` writes it: large numbers are strings after "#"."""
    if isinstance(value, list):
        return [official_value(child) for child in value]
    if isinstance(value, int):
        return rlp.integer(value)
    if value.startswith("#"):
        return rlp.integer(int(value[1:]))
    return value.encode("latin-1")


def hex_value(value: Any) -> rlp.Item:
    """A value as ethers.js writes it."""
    return [hex_value(child) for child in value] if isinstance(value, list) else bytes.fromhex(value[2:])
