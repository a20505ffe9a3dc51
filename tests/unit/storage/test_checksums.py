"""A bit that flips in node.db is found when the row is read, and nothing of the row is given out."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from metanode.errors import StorageDamaged
from metanode.primitives.types import Height

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TABLES = {
    "headers": ("header", "height = 2"),
    "certificates": ("certificate", "height = 2"),
    "validator_sets": ("validators", "1"),
    "bodies": ("block", "height = 2"),
    "current": ("value", "name = 'state'"),
}


def change(path: Path, statement: str, *parameters: object) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute(statement, parameters).rowcount > 0
        connection.commit()


def stored(path: Path, table: str) -> bytes:
    column, where = TABLES[table]
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return bytes(connection.execute(f"SELECT {column} FROM {table} WHERE {where}").fetchone()[0])  # noqa: S608 - names of ours


def read_all(store: Any) -> list[Any]:
    """Everything that a peer, a reader or a start can ask for."""

    async def ask() -> list[Any]:
        return [
            await store.load(),
            [await store.header(Height(height)) for height in range(4)],
            [await store.certificate(Height(height)) for height in range(4)],
            [await store.block(Height(height)) for height in range(1, 4)],
            [await store.validators(Height(height)) for height in range(4)],
            await store.heights(Height(1), 3, bytes_max=1 << 20),
        ]

    return asyncio.run(ask())


@pytest.fixture
def path(open_store: Callable[..., Any], decisions: Any, tmp_path: Path) -> Path:
    """A store of three decided heights."""
    store = open_store()
    for _ in range(3):
        asyncio.run(store.save(record=b"record", bodies=[], decided=decisions.decide(decisions.propose())))
    store.close()
    return tmp_path / "data" / "node.db"


@pytest.mark.parametrize("table", TABLES)
def test_a_flipped_bit_is_found_wherever_it_is(
    open_store: Callable[..., Any], path: Path, table: str
) -> None:
    column, where = TABLES[table]
    whole = stored(path, table)
    statement = f"UPDATE {table} SET {column} = ? WHERE {where}"  # noqa: S608 - names of ours
    before = read_all(open_store())
    for position in range(0, len(whole), max(1, len(whole) // 16)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        change(path, statement, bytes(damaged))
        with pytest.raises(StorageDamaged, match=r"node\.db: .* is damaged: .* remove the file"):
            read_all(open_store())
    change(path, statement, whole)
    assert read_all(open_store()) == before


@pytest.mark.parametrize("kind", ["header", "certificate"])
def test_a_height_that_its_table_has_lost_is_damage_and_not_unknown(
    open_store: Callable[..., Any], path: Path, kind: str
) -> None:
    """A bit that flips in a key, or in a page of keys, hides rows that are there."""
    change(path, f"DELETE FROM {kind}s WHERE height = 2")  # noqa: S608 - names of ours
    store = open_store()
    asked = [getattr(store, kind), *([store.validators, store.block] if kind == "header" else [])]

    for ask in asked:
        with pytest.raises(StorageDamaged, match=rf"{kind} 2 is missing\. .*remove the file"):
            asyncio.run(ask(Height(2)))
    assert asyncio.run(getattr(store, kind)(Height(4))) is None, "not decided yet"


def test_a_row_under_another_key_is_found(open_store: Callable[..., Any], path: Path) -> None:
    change(path, "UPDATE certificates SET height = 7 WHERE height = 2")
    change(path, "UPDATE certificates SET height = 2 WHERE height = 1")

    with pytest.raises(StorageDamaged, match="certificate 2 is damaged"):
        asyncio.run(open_store().certificate(Height(2)))


def test_a_lost_checksum_is_damage(open_store: Callable[..., Any], path: Path) -> None:
    change(path, "UPDATE headers SET crc = NULL WHERE height = 2")

    with pytest.raises(StorageDamaged, match="header 2 is damaged"):
        asyncio.run(open_store().header(Height(2)))


def test_a_file_without_checksums_is_taken_over(open_store: Callable[..., Any], path: Path) -> None:
    before = read_all(open_store())
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for table in (*TABLES, "requests"):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN crc")
        connection.execute("PRAGMA user_version = 3")
        connection.commit()

    assert read_all(open_store()) == before
    assert read_all(open_store()) == before, "once, and for good"
    change(path, "UPDATE certificates SET certificate = zeroblob(10) WHERE height = 2")
    with pytest.raises(StorageDamaged, match="certificate 2 is damaged"):
        read_all(open_store())
