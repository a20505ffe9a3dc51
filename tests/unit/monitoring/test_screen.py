"""What the screen says of a look: numbers that one page of counters does not have."""

from __future__ import annotations

from tests.unit.monitoring.networks import network, observed, page, pictured

from sdk.testnet.monitoring import screen
from sdk.testnet.monitoring.memory import Memory

CALLS = 'metanode_rpc_requests_total{{method="eth_call",result="ok"}} {}\nmetanode_rpc_errors_total{{method="eth_call",code="{}"}} {}'


def ratios(*looks: tuple[tuple[int, str, int], tuple[int, str, int]]) -> list[float | None]:
    """The share of calls that failed, look after look, ten seconds apart: for each node its calls, an error's code and count."""
    memory, found = Memory(), []
    for number, nodes in enumerate(looks):
        pages = {
            f"validator-{place}": page(CALLS.format(*counts)) for place, counts in enumerate(nodes, start=1)
        }
        seen = pictured(observed(*network(), at_s=1_000.0 + 10 * number, pages=pages), memory)
        found.append(screen.details(seen)["traffic"]["rpc_error_ratio"])
    return found


def test_the_share_of_failed_calls_is_of_what_came_since_the_first_look_on_all_nodes() -> None:
    begin = ((1_000, "-32603", 900), (10, "-32603", 0))

    assert ratios(begin) == [None], "what was before is not of these five minutes"
    assert ratios(begin, begin) == [None, None], "nothing was called"
    assert ratios(begin, ((1_060, "-32603", 901), (50, "-32603", 1))) == [None, 0.02]
    # A call that the caller got wrong is no fault of a node.
    caller = ((1_060, "-32000", 905), (50, "3", 40))
    assert ratios(begin, caller) == [None, 0.0]
    # A node that was started anew counts from nothing.
    assert ratios(begin, ((30, "-32603", 3), (80, "-32603", 7))) == [None, 0.1]
