"""Call trees as lines, and what a node hears of validators."""

from __future__ import annotations

import json

import pytest

from metanode.errors import InvalidEncoding
from sdk.testnet.services.explorer.standing import read_standing
from sdk.testnet.services.explorer.traces import CALLS_MAX, read_tree
from sdk.testnet.services.explorer.twins import plain

A, B = "0x" + "11" * 20, "0x" + "22" * 20


def call(kind: str = "CALL", **more: object) -> dict[str, object]:
    return {
        "type": kind,
        "from": A,
        "to": B,
        "value": "0x1",
        "gasUsed": "0x5208",
        "input": "0x12345678",
    } | more


def test_calls_stand_in_the_order_of_execution() -> None:
    tree = read_tree(
        call(calls=[call("STATICCALL", value=None, calls=[call("DELEGATECALL", error="out of gas")]), call("CREATE", to=None)])
    )  # fmt: skip

    assert [(line.depth, line.kind, line.error) for line in tree.calls] == [
        (0, "CALL", ""),
        (1, "STATICCALL", ""),
        (2, "DELEGATECALL", "out of gas"),
        (1, "CREATE", ""),
    ]
    assert tree.calls[3].recipient == ""
    assert tree.is_whole


def test_a_tree_without_end_is_cut() -> None:
    tree = read_tree(call(calls=[call() for _ in range(2 * CALLS_MAX)]))

    assert len(tree.calls) == CALLS_MAX
    assert not tree.is_whole


@pytest.mark.parametrize("answer", [None, [], "x", {"from": "x"}, {"value": 5}, {"input": "0xz"}])
def test_what_is_no_trace_is_refused(answer: object) -> None:
    with pytest.raises(InvalidEncoding, match="trace"):
        read_tree(answer)


@pytest.mark.parametrize(
    ("seconds", "own", "state"),
    [(0.5, False, "online"), (6.0, False, "online"), (6.1, False, "late"), (31.0, False, "offline"),
     (None, False, "unknown"), (None, True, "online")],
)  # fmt: skip
def test_a_validator_is_judged_by_its_messages(seconds: float | None, own: bool, state: str) -> None:
    heard = None if seconds is None else {"type": "commit", "secondsAgo": seconds}
    member = {
        "address": A,
        "own": own,
        "connected": True,
        "lastMessage": heard,
        "roundWanted": None,
        "peer": {"height": "0x5", "roundTripMs": 4242.0, "clockSkewMs": 4343},
    }
    found = read_standing(
        {
            "head": "0x5", "secondsSinceDecision": 1.0, "height": "0x6", "round": "0x0", "phase": "idle", "period": "0x2",
            "proposer": A, "quorumWeight": "0x3", "totalWeight": "0x4", "halted": None, "validators": [member],
        }
    )  # fmt: skip

    shown = plain(found)
    assert [member["state"] for member in shown["members"].values()] == [state]
    assert all(word not in json.dumps(shown) for word in ("4242", "4343", "connected")), (
        "its connections are the operator's"
    )
