"""The index's database: its schema, what refuses to open, and cursors."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import inspect, text
from sqlalchemy.sql.ddl import SchemaGenerator
from tests.testnet.index_database import DATABASES, index_database

from metanode.errors import InvalidInput, StorageFailed
from sdk.testnet.database import Database
from sdk.testnet.monitoring.archive import Look
from sdk.testnet.monitoring.history import History
from sdk.testnet.services.look_archive import LookArchive
from sdk.testnet.services.queries.paging import Slice, format_cursor, parse_cursor
from sdk.testnet.services.store import Store
from sdk.testnet.services.store.store import SCHEMA
from sdk.testnet.services.store.tables import metadata
from sdk.testnet.services.store.upgrading import MIGRATIONS, upgrade

if TYPE_CHECKING:
    from pathlib import Path

FIRST_INDEX = {
    "sqlite": "alembic.ddl.impl.DefaultImpl.create_index",
    "postgresql": "alembic.ddl.postgresql.PostgresqlImpl.create_index",
}


CATALOGUE = {
    "sqlite": ("SELECT type, name, sql FROM sqlite_master",),
    "postgresql": (
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace",
        "SELECT table_name, column_name, concat_ws(' ', data_type, character_maximum_length, is_nullable, collation_name) FROM information_schema.columns WHERE table_schema = 'public'",
    ),
}
"""What a database says of everything in it."""


def migrate(url: str) -> None:
    """Make the tables by all migrations, as the first version began."""
    database = Database(url, owner="the index's database", lock=1)
    try:
        with database.change(is_limited=False) as connection:
            upgrade(connection, None)
    finally:
        database.close()


def described(kind: str, url: str) -> set[tuple[str, ...]]:
    store = Store(url)
    with store.look() as connection:
        rows = [row for query in CATALOGUE[kind] for row in connection.exec_driver_sql(query)]
    store.close()
    # SQLite keeps the statement as it was written.
    return {tuple(" ".join(str(part).replace('"', "").split()) for part in row) for row in rows}


@pytest.mark.parametrize("kind", DATABASES)
def test_a_new_index_is_what_all_migrations_make(kind: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with index_database(kind, tmp_path) as new, index_database(kind, tmp_path / "other") as migrated:
        migrate(migrated)
        expected = described(kind, migrated)
        assert described(kind, new) == expected
        assert len(expected) > len(metadata.tables)


def test_the_version_of_a_new_index_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == SCHEMA


@pytest.mark.parametrize("kind", DATABASES)
def test_migrations_make_exactly_the_tables_that_the_code_uses(kind: str, tmp_path: Path) -> None:
    with index_database(kind, tmp_path) as url:
        migrate(url)
        store = Store(url)  # a second time there is nothing left to do
        with store.change() as connection:
            context = MigrationContext.configure(connection, opts={"version_table": "index_schema"})
            differences = compare_metadata(context, metadata)
        store.close()

    assert differences == []


def test_a_schema_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/index.db"
    store = Store(url)
    with store.change() as connection:
        connection.execute(text("UPDATE index_schema SET version_num = '9999'"))
    store.close()

    with pytest.raises(InvalidInput, match=r"schema 9999.*use the version that made it"):
        Store(url)


@pytest.mark.parametrize("url", ["mysql://x@y/z", "nonsense", ""])
def test_another_kind_of_database_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="database_url"):
        Store(url)


def test_a_server_that_is_not_there_is_a_failed_storage(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="the index's database"):
        Store(f"postgresql://index@/index?host={tmp_path}")


@pytest.mark.parametrize("kind", DATABASES)
def test_a_failed_migration_leaves_nothing_behind_and_neither_does_a_failed_begin(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("in the middle")

    with index_database(kind, tmp_path) as url:
        with monkeypatch.context() as patch:
            # Some tables are there when the first index is made.
            patch.setattr(FIRST_INDEX[kind], fail)
            with pytest.raises(RuntimeError, match="in the middle"):
                migrate(url)
            patch.setattr(SchemaGenerator, "visit_index", fail)
            with pytest.raises(RuntimeError, match="in the middle"):
                Store(url)
        store = Store(url)
        with store.look() as connection:
            assert "blocks" in inspect(connection).get_table_names()
        store.close()


@pytest.mark.parametrize("kind", DATABASES)
def test_looks_of_the_dashboard_are_recalled_after_a_restart(kind: str, tmp_path: Path) -> None:
    async def keep(store: Store) -> None:
        async with LookArchive(store) as archive:
            await archive.keep(
                [Look(1_800_000_000.0, {"height": 811, "tps": None}, {"cpu_percent": {"rpc-1": 3.5}})]
            )

    async def recall(store: Store) -> History:
        async with LookArchive(store) as archive:
            await archive.recall(history := History())
        return history

    with index_database(kind, tmp_path) as url:
        store = Store(url)
        asyncio.run(keep(store))
        store.close()
        store = Store(url)
        history = asyncio.run(recall(store))
        store.close()

    assert history.read(since=0)["height"] == [811]
    assert history.read_lines(since=0)["cpu_percent"] == {"rpc-1": [3.5]}


def test_a_reader_can_change_nothing(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/index.db")
    with pytest.raises(StorageFailed), store.look() as connection:
        connection.execute(text("DELETE FROM blocks"))
    store.close()


@given(st.lists(st.one_of(st.integers(0, 2**63 - 1), st.binary(max_size=32)), min_size=1, max_size=4))
def test_a_cursor_says_what_it_was_made_of(parts: list[int | bytes]) -> None:
    cursor = format_cursor(parts)

    assert parse_cursor(cursor, [type(part) for part in parts]) == tuple(parts)


@given(st.text(max_size=30))
def test_what_is_no_cursor_is_refused_and_never_anything_else(text: str) -> None:
    parts: tuple[int | bytes, ...] = ()
    with suppress(InvalidInput):
        parts = parse_cursor(text, (int, int))

    assert not parts or format_cursor(parts) == text


@pytest.mark.parametrize("change", [{"limit": 0}, {"limit": 10_001}, {"skip": -1}, {"skip": 10_001}])
def test_a_page_has_bounds(change: dict[str, int]) -> None:
    with pytest.raises(InvalidInput):
        Slice(**change)
