"""The part of the table's group "clocks" that CI has time for; all of it is `make faults`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.faults.catalogue.case import perform
from tests.integration.faults.catalogue.clocks import GROUP

if TYPE_CHECKING:
    from tests.integration.faults.catalogue.case import Case
    from tests.integration.faults.cluster import Cluster

pytestmark = pytest.mark.timeout(300)

__all__ = ["GROUP"]


def test_a_wrong_clock_costs_its_own_turns_and_nothing_else(case: Case, cluster: Cluster) -> None:
    perform(case, cluster)
