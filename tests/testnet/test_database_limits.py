"""Nothing waits for a database without end: not for its locks, not for a statement, not for a server that says nothing."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from tests.acceptance.processes import slowness, wait_until
from tests.testnet.postgresql import PostgreSQL, PostgreSQLAbsent, running_postgresql

from metanode.errors import StorageFailed
from sdk.testnet import database
from sdk.testnet.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SLOW = {
    "sqlite": "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c",
    "postgresql": "SELECT pg_sleep(3600)",
}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    try:
        with running_postgresql() as running:
            yield running
    except PostgreSQLAbsent as absent:
        pytest.skip(str(absent))


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits are seconds here, and what they end would take an hour."""
    for name in ("WAIT_S", "READ_S", "WRITE_S", "SILENT_S", "_PING_S"):
        monkeypatch.setattr(database, name, 1)


def opened(url: str) -> Database:
    return Database(url, owner="the test's database", lock=4711, readers=2)


def look_once(store: Database) -> int:
    with store.look() as connection:
        found: int = connection.execute(text("SELECT 7")).scalar_one()
    return found


def test_a_read_of_sqlite_ends_and_the_next_is_answered(tmp_path: Path) -> None:
    store = opened(f"sqlite:///{tmp_path}/any.db")
    with store.change() as connection:
        connection.execute(text("CREATE TABLE any (n INTEGER)"))

    for _ in range(2):
        with pytest.raises(StorageFailed, match="interrupted"), store.look() as connection:
            connection.execute(text(SLOW["sqlite"])).all()
        assert look_once(store) == 7
    store.close()


def test_a_statement_of_postgresql_ends_and_the_next_is_answered(server: PostgreSQL) -> None:
    store = opened(server.url)

    with pytest.raises(StorageFailed, match="statement timeout"), store.look() as connection:
        connection.execute(text(SLOW["postgresql"]))
    with pytest.raises(StorageFailed, match="statement timeout"), store.change() as connection:
        connection.execute(text(SLOW["postgresql"]))
    assert look_once(store) == 7
    store.close()


def test_a_change_does_not_wait_for_ever_for_another_process_s(server: PostgreSQL) -> None:
    first, second = opened(server.url), opened(server.url)

    with first.change(), pytest.raises(StorageFailed, match="timeout"), second.change():
        pytest.fail("two changes at once")
    with second.change() as connection:
        assert connection.execute(text("SELECT 7")).scalar_one() == 7
    first.close()
    second.close()


def test_a_change_does_not_wait_for_ever_for_another_thread_s(tmp_path: Path) -> None:
    store = opened(f"sqlite:///{tmp_path}/any.db")
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with store.change():
            held.set()
            release.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    with pytest.raises(StorageFailed, match="held by another change"), store.change():
        pytest.fail("two changes at once")
    release.set()
    thread.join()
    store.close()


def test_a_server_that_says_nothing_any_more_is_one_that_failed(server: PostgreSQL) -> None:
    store = opened(server.url)
    assert look_once(store) == 7
    with store.change() as connection:
        connection.execute(text("CREATE TABLE kept (n INTEGER)"))

    with server.frozen():
        with pytest.raises(StorageFailed):
            look_once(store)
        with pytest.raises(StorageFailed), store.change() as connection:
            connection.execute(text("INSERT INTO kept VALUES (1)"))

    wait_until(lambda: _reads(store), within_s=5, what="it reads again")
    with store.change() as connection:
        connection.execute(text("INSERT INTO kept VALUES (2)"))
    store.close()


def test_a_server_that_falls_silent_in_the_middle_of_a_change_ends_it(server: PostgreSQL) -> None:
    store = opened(server.url)

    def silenced() -> None:
        with store.change() as connection, server.frozen():
            connection.execute(text("SELECT 7"))

    with pytest.raises(StorageFailed):
        silenced()
    wait_until(lambda: _reads(store), within_s=5, what="it reads again")
    store.close()


def test_who_reads_a_server_that_hangs_is_told_within_two_seconds_however_many_they_are(
    server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    store = opened(server.url)
    took_s: list[float] = []

    def read() -> None:
        began_s = time.monotonic()
        with pytest.raises(StorageFailed):
            look_once(store)
        took_s.append(time.monotonic() - began_s)

    # Both places have their connection.
    with store.look() as one, store.look() as other:
        assert one.execute(text("SELECT 7")).scalar_one() == other.execute(text("SELECT 7")).scalar_one()
    with server.frozen():
        # Over twice as many as there are places: those wait for a statement, the others for a place.
        readers = [threading.Thread(target=read) for _ in range(5)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        assert max(took_s) < 2 * slowness()
        took_s.clear()
        read()
        assert took_s[0] < 0.5 * slowness(), "now it is known"
        began_s = time.monotonic()
        with pytest.raises(StorageFailed, match="says nothing"), store.change():
            pytest.fail("a change without a server")
        assert time.monotonic() - began_s < 0.5 * slowness()

    wait_until(lambda: _reads(store), within_s=5, what="it reads again, by itself")
    store.close()


def test_a_server_that_refuses_is_not_called_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    try:
        with running_postgresql() as server:
            store = opened(server.url)
            assert look_once(store) == 7
            server.stop()
            for _ in range(3):
                with pytest.raises(StorageFailed, match=r"refused or did not answer: .*(failed|terminating)"):
                    look_once(store)
            server.start()
            assert look_once(store) == 7
            store.close()
    except PostgreSQLAbsent as absent:
        pytest.skip(str(absent))


def _reads(store: Database) -> bool:
    try:
        return look_once(store) == 7
    except StorageFailed:
        return False
