"""The part of the table's group "failing-disks" that CI has time for; all of it is `make faults`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.faults.catalogue.case import perform
from tests.integration.faults.catalogue.failing_disks import GROUP

if TYPE_CHECKING:
    from tests.integration.faults.catalogue.case import Case
    from tests.integration.faults.cluster import Cluster

pytestmark = pytest.mark.timeout(300)

__all__ = ["GROUP"]


def test_a_node_whose_disk_fails_ends_and_one_whose_disk_is_slow_costs_its_own_turns(
    case: Case, cluster: Cluster
) -> None:
    perform(case, cluster)
