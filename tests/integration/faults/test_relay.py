"""The same without namespaces: partitions and delays by a relay of connections, as a user without root has them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.integration.faults.catalogue import kills, packets, partitions
from tests.integration.faults.catalogue.case import perform

if TYPE_CHECKING:
    from tests.integration.faults.catalogue.case import Case
    from tests.integration.faults.cluster import Cluster, Kind

pytestmark = pytest.mark.timeout(300)

KIND: Kind = "relay"
GROUP = replace(
    packets.RELAYED,
    cases=(
        *packets.RELAYED.cases,
        *(case for case in partitions.GROUP.cases if case.in_ci),
        next(case for case in kills.GROUP.cases if case.in_ci),
    ),
)


def test_the_chain_bears_what_a_relay_does_to_connections(case: Case, cluster: Cluster) -> None:
    perform(case, cluster)
