"""Percentiles of the last minutes from counters that only grow."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from tests.unit.monitoring.networks import page

from sdk.testnet.monitoring.distributions import Distribution

if TYPE_CHECKING:
    from sdk.testnet.monitoring.page import MetricsPage

NAME = "metanode_rpc_request_duration_seconds"


def calls(**methods: tuple[int, int, int]) -> MetricsPage:
    """By method how many calls took at most 10 ms, 100 ms, and longer."""
    lines = []
    for method, (fast, slow, longer) in methods.items():
        for bound, count in (("0.01", fast), ("0.1", fast + slow), ("+Inf", fast + slow + longer)):
            lines.append(f'{NAME}_bucket{{le="{bound}",method="{method}"}} {count}.0')
    return page("\n".join(lines))


def test_a_histogram_is_read_by_label_and_bound() -> None:
    found = calls(eth_call=(1, 2, 3)).histograms(NAME, "method")

    assert found == {"eth_call": {0.01: 1, 0.1: 3, math.inf: 6}}
    assert calls(eth_call=(1, 2, 3)).histograms(NAME) == {"": {0.01: 1, 0.1: 3, math.inf: 6}}
    assert page(f'{NAME}_bucket{{le="x",method="eth_call"}} 1').histograms(NAME, "method") == {}
    assert page(f'{NAME}_bucket{{method="eth_call"}} 1').histograms(NAME, "method") == {}


@pytest.mark.parametrize(
    ("share", "counts", "expected_s"),
    [
        (0.5, (100, 0, 0), 0.005),
        (0.95, (90, 10, 0), 0.055),
        (1.0, (90, 10, 0), 0.1),
        (0.95, (0, 0, 7), 0.1),
        (0.95, (10, 0, 10), 0.1),
        (0.0, (0, 5, 5), 0.01),
    ],
)
def test_a_percentile_is_even_within_its_bucket_and_no_more_than_the_last_bound(
    share: float, counts: tuple[int, int, int], expected_s: float
) -> None:
    known = Distribution(NAME, "method", 120.0)
    known.take(0.0, {"a": calls(eth_call=(0, 0, 0))})
    known.take(2.0, {"a": calls(eth_call=counts)})

    assert known.percentiles(share) == {"eth_call": pytest.approx(expected_s)}


def test_what_nodes_have_counted_before_the_first_look_is_of_no_window() -> None:
    known = Distribution(NAME, "method", 120.0)
    known.take(0.0, {"a": calls(eth_call=(900, 0, 0))})
    assert known.percentiles(0.95) == {}

    # A method that nobody had called has no line on the page before it is called.
    known.take(
        2.0, {"a": calls(eth_call=(900, 0, 0), eth_getLogs=(0, 1, 0)), "b": calls(eth_call=(0, 900, 0))}
    )
    assert set(known.percentiles(0.95)) == {"eth_getLogs"}


def test_nodes_are_counted_together_and_one_that_was_started_anew_from_nothing() -> None:
    known = Distribution(NAME, "method", 120.0)
    known.take(0.0, {"a": calls(eth_call=(0, 0, 0)), "b": calls(eth_call=(50, 500, 0))})
    known.take(2.0, {"a": calls(eth_call=(90, 0, 0)), "b": calls(eth_call=(0, 10, 0))})

    assert known.percentiles(0.95) == {"eth_call": pytest.approx(0.055)}


def test_a_window_forgets_and_a_quiet_one_knows_nothing() -> None:
    known = Distribution(NAME, "method", 120.0)
    counted = 0
    for look in range(200):
        counted += 10 if look < 60 else 0
        known.take(2.0 * look, {"a": calls(eth_call=(0, counted, 0))})
        assert len(known._steps) <= 60
        assert bool(known.percentiles(0.95)) == (1 <= look < 119), look
    known.take(402.0, {"a": calls(eth_call=(20, counted, 0))})
    assert known.percentiles(1.0) == {"eth_call": pytest.approx(0.01)}, (
        "the slow ones are of no account any more"
    )


def test_a_page_that_is_missed_once_is_no_start() -> None:
    lags = Distribution("metanode_event_loop_lag_seconds", None, 120.0)
    text = 'metanode_event_loop_lag_seconds_bucket{{le="0.01"}} {0}\nmetanode_event_loop_lag_seconds_bucket{{le="+Inf"}} {0}'
    lags.take(0.0, {"a": page(text.format(100)), "b": page(text.format(5))})
    lags.take(2.0, {"b": page(text.format(9))})
    lags.take(4.0, {"a": page(text.format(130)), "b": page(text.format(9))})

    assert lags.percentiles(0.99) == {"a": pytest.approx(0.0099), "b": pytest.approx(0.0099)}
