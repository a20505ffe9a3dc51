"""What every unit test may ask for."""

import functools
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

VECTORS = Path(
    os.environ.get("METANODE_VECTORS", Path(__file__).parents[3] / "shared" / "vectors" / "vectors.tar.xz")
)
"""The official test cases, `../shared/vectors` seen from the project."""

_FOLDERS = (
    "dev/ethereum-tests/RLPTests/",
    "dev/ethereum-tests/KeyStoreTests/",
    "dev/ethereum-tests/TrieTests/",
    "dev/vectors/",
    "dev/eest/blockchain_tests/osaka/eip7825_transaction_gas_limit_cap/",
    "dev/eest/blockchain_tests/prague/eip7685_general_purpose_el_requests/",
)


@functools.cache
def _vectors() -> dict[str, bytes]:
    found = {}
    with tarfile.open(VECTORS, "r:xz") as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if member.isfile() and name.startswith(_FOLDERS):
                file = archive.extractfile(member)
                assert file is not None
                found[name.removeprefix("dev/")] = file.read()
    return found


@pytest.fixture
def vector() -> Callable[[str], bytes]:
    """Give the content of one official file by its path in the archive; skip the test when the archive is absent."""
    if not VECTORS.exists():
        pytest.skip(
            f"the official vectors are absent: put vectors.tar.xz at {VECTORS} or name it in METANODE_VECTORS"
        )
    return lambda name: _vectors()[name]
