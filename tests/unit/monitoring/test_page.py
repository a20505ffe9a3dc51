"""A metrics page as anybody may send it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.monitoring.networks import KEYS

from sdk.testnet.monitoring.page import SERIES_MAX, read_page

TEXT = f"""# HELP metanode_p2p_peers Connected peers.
# TYPE metanode_p2p_peers gauge
metanode_p2p_peers{{direction="inbound",role="validator"}} 2.0
metanode_p2p_peers{{direction="outbound",role="validator"}} 1.0
metanode_consensus_proposals_total{{validator="{KEYS[0]}"}} 7
metanode_build_info{{commit="ac2",python="3.11.7",version="0.1.0"}} 1.0
metanode_invented_total 9
metanode_disk_free_bytes{{volume="data"}} 2.5e+10
"""


def test_the_wanted_series_are_read_with_their_labels() -> None:
    page = read_page(TEXT)

    assert page.value("metanode_p2p_peers") == 3
    assert page.value("metanode_p2p_peers", direction="inbound") == 2
    assert page.value("metanode_p2p_peers", direction="up") is None
    assert page.by("metanode_consensus_proposals_total", "validator") == {KEYS[0]: 7}
    assert page.label("metanode_build_info", "version") == "0.1.0"
    assert page.label("metanode_build_info", "colour") is None
    assert page.value("metanode_disk_free_bytes", volume="data") == 2.5e10
    assert page.value("metanode_invented_total") is None


def test_what_is_no_sample_is_passed_over() -> None:
    wrong = [
        "metanode_p2p_peers",
        "metanode_p2p_peers x",
        "metanode_p2p_peers NaN",
        "metanode_p2p_peers +Inf",
        "metanode_p2p_peers{ 1",
    ]

    assert read_page("\n".join(wrong)).samples == {}


def test_a_page_without_end_is_bounded() -> None:
    text = "\n".join(f'metanode_rpc_requests_total{{method="m{n}"}} 1' for n in range(SERIES_MAX + 99))

    assert read_page(text).value("metanode_rpc_requests_total") == SERIES_MAX


@given(st.text())
def test_no_page_breaks_the_reader(text: str) -> None:
    read_page(text)
    read_page(f"metanode_p2p_peers{{{text}}} 1\nmetanode_p2p_peers {text}")
