"""The simulated node.db keeps what was committed under PRAGMA synchronous = FULL, and nothing that did not wait for the disk."""

import sqlite3
from pathlib import Path

import pytest

from metanode.simulation.medium import DatabaseMedium
from metanode.storage import database


def commit_one(medium: DatabaseMedium) -> int:
    """Make a table, then commit a row in a life that ends in a power cut; return how many rows there are."""
    medium.outside.execute("CREATE TABLE things (number INTEGER)")
    node = medium.connect()
    node.execute("BEGIN IMMEDIATE")
    node.execute("INSERT INTO things VALUES (1)")
    node.execute("COMMIT")
    medium.cut_power()
    (count,) = medium.outside.execute("SELECT count(*) FROM things").fetchone()
    return int(count)


def test_a_commit_that_waited_for_the_disk_survives_a_power_cut() -> None:
    assert commit_one(DatabaseMedium()) == 1


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_a_commit_that_did_not_wait_is_lost(synchronous: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = database.connect_file

    def connect_without_sync(path: Path) -> sqlite3.Connection:
        connection = original(path)
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        return connection

    monkeypatch.setattr(database, "connect_file", connect_without_sync)
    assert commit_one(DatabaseMedium()) == 0
