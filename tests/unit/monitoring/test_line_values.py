"""What one look gives the lines of charts, and who is how far from whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.monitoring.networks import KEYS, consensus, network, node, observed, page, pictured

from sdk.testnet.monitoring import screen
from sdk.testnet.monitoring.line_values import line_values, round_trips
from sdk.testnet.monitoring.memory import Memory

if TYPE_CHECKING:
    from sdk.testnet.monitoring.view import Picture

RTT = 'metanode_p2p_validator_rtt_seconds{{validator="{}"}} {}'
ALL = """process_cpu_seconds_total {cpu}
metanode_event_loop_lag_seconds_bucket{{le="0.01"}} {prompt}
metanode_event_loop_lag_seconds_bucket{{le="0.1"}} {all}
metanode_event_loop_lag_seconds_bucket{{le="+Inf"}} {all}
metanode_disk_free_bytes{{volume="data"}} 2.5e+10
metanode_rpc_request_duration_seconds_bucket{{le="0.01",method="eth_call"}} {all}
metanode_rpc_request_duration_seconds_bucket{{le="+Inf",method="eth_call"}} {all}
"""


def measured(*rows: dict[int, int], **changes: Any) -> Picture:
    """A network whose nodes have measured so many milliseconds to validators."""
    pages = {
        f"validator-{place}": page("\n".join(RTT.format(KEYS[to], ms / 1000) for to, ms in row.items()))
        for place, row in enumerate(rows, start=1)
    }
    return pictured(observed(*network(**changes), pages=pages))


def test_methods_nodes_and_validators_have_lines() -> None:
    memory = Memory()
    for number in range(4):
        pages = {
            f"validator-{place}": page(
                ALL.format(cpu=10 * place + number * place, prompt=900 * number, all=1_000 * number)
            )
            for place in (1, 2)
        }
        seen = pictured(observed(*network(), at_s=1_000.0 + 10 * number, pages=pages), memory)
    found = line_values(seen, screen.cpu_percents(memory))

    assert found["cpu_percent"] == {"validator-1": 10.0, "validator-2": 20.0}
    assert found["loop_lag_p99_ms"] == {name: pytest.approx(91.0) for name in ("validator-1", "validator-2")}
    assert found["disk_free_gb"] == {"validator-1": 25.0, "validator-2": 25.0}
    assert found["rpc_p95_ms"] == {"eth_call": pytest.approx(9.5)}
    assert found["round_trip_ms"] == {}


def test_a_node_whose_page_is_not_read_has_no_number_of_now() -> None:
    memory = Memory()
    for number in range(3):
        pages = {"validator-1": page(ALL.format(cpu=number, prompt=number, all=number))} if number < 2 else {}
        seen = pictured(observed(*network(), at_s=1_000.0 + 10 * number, pages=pages), memory)
    found = line_values(seen, screen.cpu_percents(memory))

    assert (found["cpu_percent"], found["loop_lag_p99_ms"], found["disk_free_gb"]) == ({}, {}, {})


def test_the_way_to_a_validator_is_the_median_of_what_the_others_measure() -> None:
    seen = measured({1: 10, 2: 300, 3: 20}, {0: 11, 2: 310, 3: 21}, {0: 305, 1: 290, 3: 295}, {0: 19, 1: 22})

    assert line_values(seen, {})["round_trip_ms"] == {
        "validator-1": 19, "validator-2": 22, "validator-3": 305, "validator-4": 21,
    }  # fmt: skip
    found = round_trips(seen)
    assert found is not None
    assert found["of_validators"] == 4
    assert found["to"] == ["validator-1", "validator-2", "validator-3", "validator-4"]
    assert [row["from"] for row in found["rows"]] == found["to"]
    assert [row["ms"] for row in found["rows"]] == [
        [None, 10, 300, 20], [11, None, 310, 21], [305, 290, None, 295], [19, 22, None, None],
    ]  # fmt: skip


def test_the_last_round_trip_to_who_has_gone_is_not_told() -> None:
    seen = measured({1: 10, 3: 20}, {0: 11, 3: 21}, {}, down=(3,))
    found = round_trips(seen)

    assert found is not None
    assert found["to"] == ["validator-1", "validator-2"]
    assert line_values(seen, {})["round_trip_ms"] == {"validator-1": 11, "validator-2": 10}


def test_followers_measure_too_and_stand_below() -> None:
    follower = node(6, consensus(None), name="a-follower", role="follower")
    pages = {
        "a-follower": page(RTT.format(KEYS[0], 0.08)),
        "validator-2": page(RTT.format(KEYS[0].upper().replace("0X", "0x"), 0.002)),
    }
    found = round_trips(pictured(observed(*network(), follower, pages=pages)))

    assert found is not None
    assert found["to"] == ["validator-1"]
    assert found["rows"] == [{"from": "a-follower", "ms": [80]}, {"from": "validator-2", "ms": [2]}]


def test_without_a_metrics_page_no_round_trip_is_known() -> None:
    assert round_trips(pictured(observed(*network()))) is None


def test_of_many_validators_the_slowest_to_reach_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdk.testnet.monitoring.line_values.ROUND_TRIPS_MAX", 2)
    found = round_trips(
        measured({1: 10, 2: 300, 3: 20}, {0: 11, 2: 310, 3: 21}, {0: 305, 1: 290, 3: 295}, {0: 19})
    )

    assert found is not None
    assert (found["of_validators"], found["to"]) == (4, ["validator-2", "validator-3"])
    assert [row["ms"] for row in found["rows"]] == [[None, 310], [290, None]]
