"""The services' metrics page: one process with index, explorer and monitor beside a real network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.acceptance.processes import free_ports, wait_until
from tests.testnet.pages.served import serve

from sdk.testnet import Testnet

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.timeout(180), pytest.mark.slow]


def values(url: str) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(httpx.get(url, timeout=20).text)
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_the_page_tells_of_the_monitor_the_index_and_requests(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/metrics"
    with (
        Testnet(validators=1, block_time_s=1, in_memory=True) as net,
        serve(tmp_path, net, more=f"[metrics]\nport = {port}\n") as (site, _),
    ):
        httpx.get(f"{site}/blocks", timeout=20)
        httpx.get(f"{site}/address/0x{'12' * 20}", timeout=20)
        wait_until(
            lambda: values(url).get(("metanode_explorer_indexed_block_number",), 0) > 0,
            within_s=60,
            what="the index has blocks",
        )
        wait_until(
            lambda: values(url).get(("metanode_monitor_verdict", "UNKNOWN")) == 0,
            within_s=30,
            what="the monitor has seen the node",
        )
        found = values(url)

    assert ("metanode_explorer_lag_blocks",) in found
    assert found["metanode_services_part_up", "monitor"] == found["metanode_services_part_up", "index"] == 1
    assert found["metanode_sse_clients", "explorer"] == 0
    routes = {key[2] for key in found if key[0] == "metanode_http_requests_total"}
    assert any(route.startswith("/blocks") for route in routes), routes
    assert not any("1212" in route for route in routes)
