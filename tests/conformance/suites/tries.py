"""Roots of tries, by the function that computes those of blocks and of genesis states."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.conformance.verdicts import Verdict, each, expect_equal

from metanode.chain.trie import neighbours, secure_root, trie_root


def judge(file: Path) -> Iterator[Verdict]:
    """The cases of a file; those of a "secure" trie are over the hashes of the keys."""
    is_secure = "secure" in file.name.lower()

    def judge_root(case: Mapping[str, Any]) -> None:
        entries = final_entries(case["in"])
        root = secure_root(entries) if is_secure else trie_root(entries.items())
        expect_equal("root", "0x" + root.hex(), case["root"])

    return each(json.loads(file.read_bytes()).items(), judge_root)


def judge_neighbours(file: Path) -> Iterator[Verdict]:
    """`trietestnextprev.json`: the keys before and after a key."""

    def judge_walk(case: Mapping[str, Any]) -> None:
        keys = [plain(key) for key in case["in"]]
        for key, before, after in case["tests"]:
            found = neighbours(keys, plain(key))
            # No neighbour is written as an empty key.
            expect_equal(f"beside {key!r}", tuple(one or b"" for one in found), (plain(before), plain(after)))

    return each(json.loads(file.read_bytes()).items(), judge_walk)


def final_entries(changes: Any) -> dict[bytes, bytes]:
    """What is in the trie after all changes; None takes a key out."""
    entries: dict[bytes, bytes] = {}
    for key, value in changes.items() if isinstance(changes, dict) else changes:
        if value is None:
            entries.pop(plain(key), None)
        else:
            entries[plain(key)] = plain(value)
    return entries


def plain(text: str) -> bytes:
    """Text, or bytes written as hex after 0x."""
    return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()
