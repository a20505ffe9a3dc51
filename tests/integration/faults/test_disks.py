"""The part of the table's group "disks" that CI has time for; all of it is `make faults`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.faults.catalogue.case import perform
from tests.integration.faults.catalogue.disks import GROUP

if TYPE_CHECKING:
    from tests.integration.faults.catalogue.case import Case
    from tests.integration.faults.cluster import Cluster

pytestmark = pytest.mark.timeout(300)

__all__ = ["GROUP"]


def test_a_node_whose_disk_takes_no_more_ends_with_a_sentence_and_loses_nothing(
    case: Case, cluster: Cluster
) -> None:
    perform(case, cluster)
