"""One attacked node for all tests of a process: that it survives each of them is what they assert."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.hostile.target import Target, running_target

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with running_target(tmp_path_factory.mktemp("hostile")) as running:
        yield running
