"""One network and one explorer for the pages of a file of tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.testnet.pages.served import Served, served_network

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served_network(tmp_path_factory.mktemp("services")) as found:
        yield found
