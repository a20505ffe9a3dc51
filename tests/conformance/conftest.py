"""The archive for tests; without it they are skipped, and say so."""

import pytest
from tests.conformance.archive import Archive, ArchiveAbsent, open_archive


@pytest.fixture(scope="session")
def archive() -> Archive:
    """The official cases, unpacked."""
    try:
        return open_archive()
    except ArchiveAbsent as error:
        pytest.skip(str(error))
