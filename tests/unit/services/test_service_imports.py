"""What the services of one process load: not what only other databases, other processes and older indexes need."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import sys
from sdk.testnet.services import heads, program
from sdk.testnet.services.api import make_app
from sdk.testnet.services.explorer import app
from sdk.testnet.services.faucet import app
from sdk.testnet.services.indexer import Indexer
from sdk.testnet.services.store import Store

for _ in range(2):
    Store(sys.argv[1]).close()
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    path: Path = tmp_path_factory.mktemp("index") / "index.db"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, f"sqlite:///{path}"], capture_output=True, check=True, text=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("package", ["alembic", "psycopg", "redis"])
def test_services_on_sqlite_do_not_load_what_they_never_use(loaded: set[str], package: str) -> None:
    """Each of these would be 6 to 10 MB of the 200 that all services have."""
    assert "sqlalchemy" in loaded
    assert package not in loaded
