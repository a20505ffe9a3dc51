"""Many rows at once, by what each database does fastest: prepared statements of SQLite, COPY and arrays of PostgreSQL.

The indexer's rows are plain tuples in the order of the table's columns: nothing is made for a row but the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BigInteger, Boolean, Integer, LargeBinary, SmallInteger, String

from metanode.errors import StorageFailed

if TYPE_CHECKING:
    from sqlalchemy import Column, Connection, Table

COPY_ROWS_MIN: Final = 8
"""Fewer go with one INSERT: COPY takes one more exchange with the server."""
VARIABLES_MAX: Final = 30_000
"""Of one statement of SQLite, which takes 32,766."""

Row = Sequence[Any]


def insert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows that are new."""
    if not rows:
        return
    if _is_sqlite(connection):
        marks = ", ".join("?" * len(table.c))
        connection.exec_driver_sql(f"INSERT INTO {table.name} ({_names(table)}) VALUES ({marks})", list(rows))
    elif len(rows) < COPY_ROWS_MIN:
        connection.exec_driver_sql(
            f"INSERT INTO {table.name} ({_names(table)}) SELECT * FROM unnest({_casts(table.c)})",
            _transposed(rows),
        )
    else:
        _copy(connection, table, rows)


def upsert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows, or replace those with the same key."""
    if not rows:
        return
    keys = ", ".join(column.name for column in table.primary_key)
    changes = ", ".join(
        f"{_quoted(column)} = excluded.{_quoted(column)}" for column in table.c if not column.primary_key
    )
    tail = f"ON CONFLICT ({keys}) DO UPDATE SET {changes}"
    if _is_sqlite(connection):
        marks = ", ".join("?" * len(table.c))
        statement = f"INSERT INTO {table.name} ({_names(table)}) VALUES ({marks}) {tail}"
        connection.exec_driver_sql(statement, list(rows))
    else:
        statement = (
            f"INSERT INTO {table.name} ({_names(table)}) SELECT * FROM unnest({_casts(table.c)}) {tail}"
        )
        connection.exec_driver_sql(statement, _transposed(rows))


def update(
    connection: Connection, table: Table, changes: Sequence[str], columns: Sequence[str], rows: Sequence[Row]
) -> None:
    """Change rows by their first column, a key.

    Args:
        connection: In a transaction.
        table: Whose primary key is one column.
        changes: SQL of each change: "last_block = {}" or "x = accounts.x + {}"; the mark stands for the value.
        columns: Whose types the values have, in the order of the changes.
        rows: The key first, then a value for each change.
    """
    if not rows:
        return
    (key,) = table.primary_key
    if _is_sqlite(connection):
        told = ", ".join(change.format("?") for change in changes)
        statement = f"UPDATE {table.name} SET {told} WHERE {key.name} = ?"
        connection.exec_driver_sql(statement, [(*row[1:], row[0]) for row in rows])
    else:
        named = ", ".join(change.format(f"d.v{place}") for place, change in enumerate(changes))
        values = ", ".join(f"v{place}" for place in range(len(changes)))
        casts = _casts([key, *(table.c[name] for name in columns)])
        statement = (
            f"UPDATE {table.name} SET {named} FROM unnest({casts}) AS d(k, {values}) "
            f"WHERE {table.name}.{key.name} = d.k"
        )
        connection.exec_driver_sql(statement, _transposed(rows))


def delete(connection: Connection, table: Table, keys: Sequence[Row]) -> None:
    """Delete rows by their primary keys, which must not hold null."""
    if not keys:
        return
    columns = list(table.primary_key)
    if _is_sqlite(connection):
        told = " AND ".join(f"{column.name} = ?" for column in columns)
        connection.exec_driver_sql(f"DELETE FROM {table.name} WHERE {told}", list(keys))
    else:
        names = ", ".join(f"k{place}" for place in range(len(columns)))
        told = " AND ".join(
            f"{table.name}.{column.name} = d.k{place}" for place, column in enumerate(columns)
        )
        connection.exec_driver_sql(
            f"DELETE FROM {table.name} USING unnest({_casts(columns)}) AS d({names}) WHERE {told}",
            _transposed(keys),
        )


def find(
    connection: Connection, table: Table, wanted: Sequence[str], by: Sequence[str], keys: Sequence[Row]
) -> list[Row]:
    """Return columns of the rows whose `by` columns are one of the keys."""
    if not keys:
        return []
    told = ", ".join(f"{table.name}.{_quoted(table.c[name])}" for name in wanted)
    columns = [table.c[name] for name in by]
    if not _is_sqlite(connection):
        names = ", ".join(f"k{place}" for place in range(len(columns)))
        same = " AND ".join(
            f"{table.name}.{column.name} = d.k{place}" for place, column in enumerate(columns)
        )
        statement = f"SELECT {told} FROM unnest({_casts(columns)}) AS d({names}) JOIN {table.name} ON {same}"
        return [tuple(row) for row in connection.exec_driver_sql(statement, _transposed(keys))]
    found: list[Row] = []
    size = VARIABLES_MAX // len(columns)
    names = ", ".join(column.name for column in columns)
    for start in range(0, len(keys), size):
        part = keys[start : start + size]
        if len(columns) == 1:
            statement = f"SELECT {told} FROM {table.name} WHERE {names} IN ({', '.join('?' * len(part))})"
        else:
            marks = ", ".join([f"({', '.join('?' * len(columns))})"] * len(part))
            # A join with the keys as the outer loop: each is one search of the index.
            same = " AND ".join(
                f"{table.name}.{column.name} = d.column{place + 1}" for place, column in enumerate(columns)
            )
            statement = f"SELECT {told} FROM (VALUES {marks}) AS d CROSS JOIN {table.name} WHERE {same}"
        values = tuple(value for key in part for value in key)
        found += [tuple(row) for row in connection.exec_driver_sql(statement, values)]
    return found


def _copy(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    import psycopg  # noqa: PLC0415 - 6 MB that SQLite does without

    cursor = connection.connection.cursor()
    try:
        with cursor.copy(f"COPY {table.name} ({_names(table)}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(_types(table))
            write = copy.write_row
            for row in rows:
                write(row)
    except psycopg.Error as error:
        raise StorageFailed(
            f"the index's database refused or did not answer: {str(error).strip()}"
        ) from error
    finally:
        cursor.close()


def _is_sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"


def _transposed(rows: Sequence[Row]) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True))


def _quoted(column: Column[Any]) -> str:
    """A column's name; some of ours are words of SQL."""
    return f'"{column.name}"'


@lru_cache(maxsize=64)
def _names(table: Table) -> str:
    return ", ".join(_quoted(column) for column in table.c)


@lru_cache(maxsize=64)
def _types(table: Table) -> list[str]:
    return [_type(column) for column in table.c]


def _casts(columns: Any) -> str:
    return ", ".join(f"%s::{_type(column)}[]" for column in columns)


def _type(column: Column[Any]) -> str:
    match column.type:
        case SmallInteger():
            return "int2"
        case BigInteger():
            return "int8"
        case Integer():
            return "int4"
        case Boolean():
            return "bool"
        case LargeBinary():
            return "bytea"
        case String():
            return "text"
        case other:
            raise AssertionError(other)
