"""Packed headers come back as they were, are small, and damage in them is found."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metanode.chain.voting import Vote
from metanode.errors import InvalidEncoding, StorageDamaged
from metanode.primitives.types import Height
from metanode.storage import packed_header
from metanode.storage.packed_header import pack_header, unpack_header


def stored_headers(path: Path) -> list[bytes]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT header FROM headers ORDER BY height").fetchall()
    connection.close()
    return [bytes(row[0]) for row in rows]


def test_headers_come_back_over_anchors_votes_and_another_validator_set(
    open_store: Callable[..., Any], decisions: Any, keys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed_header, "ANCHOR_EVERY", 5)
    store = open_store()
    expected = [decisions.genesis.header]
    for _ in range(17):
        has_voted = len(decisions.state.validators) == 5
        vote = None if has_voted else Vote(subject=keys[4].address, add=True)
        # What this node decided with is not what the next block holds.
        decided = decisions.decide(decisions.propose(vote=vote), seals=3)
        decisions.certificate = decisions.certify(decided.block, seals=4)
        expected.append(decided.block.header)
        asyncio.run(store.save(record=b"", bodies=[], decided=decided))
    assert len(decisions.state.validators) == 5, "the votes were counted"
    store = open_store()
    assert [asyncio.run(store.header(Height(height))) for height in range(18)] == expected
    assert asyncio.run(store.height_of(expected[13].execution_hash)) == 13
    stored = stored_headers(tmp_path / "data" / "node.db")
    is_whole = [data == header.encode() for data, header in zip(stored, expected, strict=True)]
    assert is_whole == [height % 5 == 0 for height in range(18)]


def test_an_idle_header_takes_a_third(open_store: Callable[..., Any], decisions: Any, tmp_path: Path) -> None:
    store = open_store()
    for _ in range(20):
        asyncio.run(store.save(record=b"", bodies=[], decided=decisions.decide(decisions.propose())))
    packed = stored_headers(tmp_path / "data" / "node.db")[-1]
    assert len(packed) * 2.5 < len(decisions.parent.encode()), len(packed)


def test_a_file_of_the_first_schema_is_taken_over(
    open_store: Callable[..., Any], decisions: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, headers = open_store(), []
    monkeypatch.setattr(packed_header, "ANCHOR_EVERY", 1)
    for height in range(1, 7):
        if height == 4:
            store.close()
            connection = sqlite3.connect(tmp_path / "data" / "node.db")
            connection.execute("PRAGMA user_version = 1")
            connection.close()
            monkeypatch.undo()
            store = open_store()
        headers.append(decisions.propose())
        asyncio.run(store.save(record=b"", bodies=[], decided=decisions.decide(headers[-1])))
    assert [asyncio.run(store.header(block.height)) for block in headers] == [b.header for b in headers]
    stored = stored_headers(tmp_path / "data" / "node.db")[1:]
    assert [packed_header.is_whole(data) for data in stored] == [True] * 3 + [False] * 3


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE headers SET header = substr(header, 1, 40) WHERE height = 2",
        "UPDATE headers SET header = CAST(header || x'00' AS BLOB) WHERE height = 2",
        "UPDATE headers SET header = x'01ff' WHERE height = 2",
        "DELETE FROM headers WHERE height = 0",
    ],
)
def test_damage_is_found(
    open_store: Callable[..., Any], decisions: Any, tmp_path: Path, statement: str
) -> None:
    store = open_store()
    for _ in range(2):
        asyncio.run(store.save(record=b"", bodies=[], decided=decisions.decide(decisions.propose())))
    connection = sqlite3.connect(tmp_path / "data" / "node.db")
    connection.execute(statement)
    connection.commit()
    connection.close()
    with pytest.raises(StorageDamaged, match=r"header (2 is damaged|0 is missing)"):
        asyncio.run(store.header(Height(2)))


def test_no_packed_header_grows_without_bound(decisions: Any) -> None:
    header = decisions.propose().header
    packed = pack_header(header, anchor=b"", parent_certificate=None)
    assert unpack_header(packed, anchor=b"", parent_certificate=None) == header
    deflate = packed_header.zlib.compressobj(9, packed_header.zlib.DEFLATED, -packed_header.WINDOW_BITS)
    bomb = b"\x01" + deflate.compress(bytes(1 << 20)) + deflate.flush()
    with pytest.raises(InvalidEncoding, match="cut off"):
        unpack_header(bomb, anchor=b"", parent_certificate=None)
