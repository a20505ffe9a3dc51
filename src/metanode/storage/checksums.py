"""Checksums of rows: SQLite has none of its pages, so that a bit that flips on the disk would be served as if it had been written.

A row's checksum covers its name too, which holds the key: what stands under another height is found as well. What proves itself (evidence,
signed addresses) and what is compared at every start has none.
"""

import sqlite3
import zlib
from typing import Final

REMEDY: Final = (
    "Put a good copy back, or remove the file and those beside it that begin with its name: the node then fetches what was decided "
    "from its peers"
)

_TABLES: Final = (
    ("current", "value", "name"),
    ("headers", "header", "'header ' || height"),
    ("certificates", "certificate", "'certificate ' || height"),
    ("requests", "requests", "'requests ' || height"),
    ("validator_sets", "validators", "'validators ' || lower(hex(hash))"),
    ("bodies", "block", "'body ' || lower(hex(hash))"),
)
"""Table, column, and what a row is called."""


def checksum(name: str, data: bytes) -> int:
    """Return the CRC-32 of a row: damage is found, not forgery."""
    return zlib.crc32(data, zlib.crc32(name.encode()))


def add_checksums(connection: sqlite3.Connection) -> None:
    """Give every row of a file that was written without them its checksum, as it is found."""
    connection.create_function("checksum", 2, checksum, deterministic=True)
    for table, column, name in _TABLES:
        known = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        if "crc" not in known:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN crc INTEGER")
        connection.execute(f"UPDATE {table} SET crc = checksum({name}, {column})")  # noqa: S608 - names of ours
