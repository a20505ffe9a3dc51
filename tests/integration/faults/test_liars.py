"""The part of the table's group "liars" that CI has time for; all of it is `make faults`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.faults.catalogue.case import perform
from tests.integration.faults.catalogue.liars import GROUP

if TYPE_CHECKING:
    from tests.integration.faults.catalogue.case import Case
    from tests.integration.faults.cluster import Cluster

pytestmark = pytest.mark.timeout(300)

__all__ = ["GROUP"]


def test_a_proposer_that_lies_costs_its_turn_and_is_found_out(case: Case, cluster: Cluster) -> None:
    perform(case, cluster)
