"""Databases for tests of the index: a file of SQLite, and a real PostgreSQL server."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.testnet.postgresql import PostgreSQLAbsent, postgresql

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATABASES = ("sqlite", "postgresql")


@contextmanager
def index_database(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database of this kind; it is gone after the block."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/index.db"
        return
    try:
        with postgresql() as url:
            yield url
    except PostgreSQLAbsent as absent:
        pytest.skip(str(absent))
