"""What every unit test may ask for."""

from collections.abc import Callable

import pytest
from tests.conformance.archive import ArchiveAbsent, open_archive


@pytest.fixture
def vector() -> Callable[[str], bytes]:
    """Give the content of one official file by its path in the archive; skip the test when the archive is absent."""
    try:
        archive = open_archive()
    except ArchiveAbsent as error:
        pytest.skip(str(error))
    return lambda name: archive.file(name).read_bytes()
