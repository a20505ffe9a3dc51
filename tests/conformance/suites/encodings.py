"""RLP and the hex-prefix paths of tries, by the codec that messages, blocks and records of nodes go through."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.conformance.verdicts import Mismatch, Verdict, each, expect_equal, named

from metanode.chain import trie
from metanode.errors import InvalidEncoding
from metanode.primitives import rlp


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
    """`hexencodetest.json`: the paths in the nodes of a trie."""

    def judge(case: Mapping[str, Any]) -> None:
        expect_equal("path", trie._path(bytes(case["seq"]), leaf=case["term"]).hex(), case["out"])

    return each(json.loads(file.read_bytes()).items(), judge)


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
