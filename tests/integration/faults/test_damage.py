"""The part of the table's group "damage" that CI has time for; all of it is `make faults`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.faults.catalogue.case import perform
from tests.integration.faults.catalogue.damage import GROUP

if TYPE_CHECKING:
    from tests.integration.faults.catalogue.case import Case
    from tests.integration.faults.cluster import Cluster

pytestmark = pytest.mark.timeout(300)

__all__ = ["GROUP"]


def test_damaged_files_are_repaired_or_refused_and_never_served(case: Case, cluster: Cluster) -> None:
    perform(case, cluster)
