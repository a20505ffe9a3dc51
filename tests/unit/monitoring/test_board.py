"""When an alert begins, when it ends, and what has only happened."""

from __future__ import annotations

import itertools

from tests.unit.monitoring.networks import consensus, network, node, observed, page, pictured

from sdk.testnet.monitoring.alerts.board import ALERTS_MAX, FEED_MAX, Board
from sdk.testnet.monitoring.alerts.catalogue import CRITICAL, WARNING
from sdk.testnet.monitoring.alerts.conditions import Condition
from sdk.testnet.monitoring.alerts.events import Chronicle, Totals
from sdk.testnet.monitoring.memory import Memory

LATE = Condition(name="ChainLate", subject="net", severity=WARNING, text="late")
LOOKS = itertools.count(1000.0, 2.0)
"""A moment for each look."""
NODE = Condition(name="NodeDown", subject="validator-1", severity=WARNING, text="down")


def test_an_alert_waits_until_its_condition_has_held_and_ends_when_it_has_been_gone() -> None:
    board = Board({("ChainLate", WARNING): 10.0}, runbook="https://docs/")
    told = [board.update([LATE], at_s=at, now=1000 + at) for at in (0.0, 5.0, 9.9, 10.0, 12.0)]

    assert [len(alerts) for alerts in told] == [0, 0, 0, 1, 0]
    (alert,) = board.active
    assert (alert.since, alert.resolved_at, alert.runbook_url) == (1000.0, None, "https://docs/#chainlate")

    ended = [board.update([], at_s=at, now=1000 + at) for at in (14.0, 21.9, 22.0)]
    assert [len(alerts) for alerts in ended] == [0, 0, 1]
    assert ended[2][0].resolved_at == 1022.0
    assert board.active == []
    assert [entry.resolved_at for entry in board.feed] == [None, 1022.0]


def test_a_condition_that_comes_and_goes_before_its_time_is_never_told() -> None:
    board = Board({("ChainLate", WARNING): 10.0})
    for at in range(0, 100, 4):
        assert board.update([LATE] if at % 8 == 0 else [], at_s=at, now=at) == []


def test_one_that_flickers_is_one_alert() -> None:
    board = Board({})
    told = [board.update([NODE] if at % 8 == 0 else [], at_s=at, now=at) for at in range(0, 100, 4)]

    assert sum(map(len, told)) == 1


def test_a_graver_severity_is_told_again_and_a_new_text_is_not() -> None:
    board = Board({})
    assert len(board.update([NODE], at_s=0, now=0)) == 1
    worded = Condition(name="NodeDown", subject="validator-1", severity=WARNING, text="down for long")
    assert board.update([worded], at_s=1, now=1) == []
    assert board.active[0].text == "down for long"
    graver = Condition(name="NodeDown", subject="validator-1", severity=CRITICAL, text="down")
    (told,) = board.update([graver], at_s=2, now=2)
    assert (told.severity, told.since) == (CRITICAL, 0)
    assert len(board.active) == 1


def test_who_is_blind_ends_nothing() -> None:
    board = Board({})
    board.update([LATE], at_s=0, now=0)
    for at in range(2, 60, 2):
        board.update([NODE], at_s=at, now=at, is_blind=True)

    assert {alert.name for alert in board.active} == {"ChainLate", "NodeDown"}


def test_the_gravest_come_first() -> None:
    board = Board({})
    board.update([NODE], at_s=0, now=0)
    halted = Condition(name="ChainHalted", subject="net", severity=CRITICAL, text="halted")
    board.update([NODE, halted], at_s=1, now=1)

    assert [alert.name for alert in board.active] == ["ChainHalted", "NodeDown"]


def test_alerts_and_the_feed_are_bounded() -> None:
    board = Board({})
    many = [
        Condition(name="NodeDown", subject=f"n{n}", severity=WARNING, text="") for n in range(ALERTS_MAX + 9)
    ]
    board.update(many, at_s=0, now=0)

    assert len(board.active) == ALERTS_MAX
    assert len(board.feed) == FEED_MAX


def happened(chronicle: Chronicle, memory: Memory, *nodes: object, **totals: int) -> list[tuple[str, str]]:
    seen = pictured(observed(*nodes, at_s=next(LOOKS)), memory)  # type: ignore[arg-type]
    return [(event.name, event.text) for event in chronicle.events(seen, Totals(**totals))]


def test_members_that_come_and_go_are_told_once() -> None:
    chronicle, memory = Chronicle(), Memory()
    assert happened(chronicle, memory, *network()) == []
    five = tuple(node(n, consensus(n, count=5, height=900)) for n in range(5))

    assert happened(chronicle, memory, *five) == [
        ("ValidatorSetChanged", "5 validators with a weight of 5 vote from height 900 on; before, 4 with 4"),
        ("ValidatorJoined", "validator-5 votes from height 900 on: 5 validators"),
    ]
    assert happened(chronicle, memory, *five) == []
    # The rest is gone for a moment, and a node that is behind tells an old set.
    assert happened(chronicle, memory, *network()) == []
    four = tuple(node(n, consensus(n, height=950)) for n in range(4))
    assert happened(chronicle, memory, *four) == [
        ("ValidatorSetChanged", "4 validators with a weight of 4 vote from height 950 on; before, 5 with 5"),
        ("ValidatorLeft", "validator-5 votes no longer from height 950 on: 4 validators"),
    ]


def test_the_same_members_with_other_weights_are_another_set() -> None:
    chronicle, memory = Chronicle(), Memory()
    happened(chronicle, memory, *network())
    heavier = tuple(node(n, consensus(n, powers=(3, 1, 1, 1), height=900)) for n in range(4))

    assert happened(chronicle, memory, *heavier) == [
        ("ValidatorSetChanged", "4 validators with a weight of 6 vote from height 900 on; before, 4 with 4")
    ]
    assert happened(chronicle, memory, *heavier) == []


def test_a_node_that_is_started_again_is_told() -> None:
    chronicle, memory = Chronicle(), Memory()
    happened(chronicle, memory, *network())
    again = (*network()[:3], node(3, consensus(3, up_s=2.0)))

    assert happened(chronicle, memory, *again) == [("NodeRestarted", "validator-4 was started again")]
    assert happened(chronicle, memory, *again) == []


def test_a_node_that_runs_with_other_settings_is_told_with_the_old_and_the_new_ones() -> None:
    chronicle, memory = Chronicle(), Memory()
    text = (
        'metanode_build_info{{version="{}",commit="a",python="3.11"}} 1\n'
        'metanode_node_info{{node="validator-1",role="validator",genesis="0xaa"}} 1\nmetanode_p2p_peer_limit {}'
    )

    def told(*pages: str) -> list[tuple[str, str]]:
        by_name = {f"validator-{number}": page(each) for number, each in enumerate(pages, 1)}
        seen = pictured(observed(*network(), pages=by_name, at_s=next(LOOKS)), memory)
        return [(event.name, event.text) for event in chronicle.events(seen, Totals())]

    # The first look is no news, and a page that could not be read, or has less on it, no change.
    assert told(text.format("1", 25), text.format("1", 25)) == []
    assert told(text.format("1", 25)) == []
    assert told("", text.format("1", 25)) == []
    assert told(text.format("2", 10), text.format("1", 25)) == [
        ("ConfigChanged", "validator-1 runs with other settings: version 1 → 2, peer limit 25 → 10")
    ]
    assert told(text.format("2", 10), text.format("1", 25)) == []


def test_milestones_are_told_once_and_not_those_behind_when_the_monitor_began() -> None:
    chronicle, memory = Chronicle(), Memory()
    at = [
        tuple(node(n, consensus(n, head=head, height=head + 1)) for n in range(4))
        for head in (299_990, 300_001, 300_002)
    ]
    assert happened(chronicle, memory, *at[0], transactions=99_999, addresses=9_999) == []
    assert happened(chronicle, memory, *at[1], transactions=100_000, addresses=10_000) == [
        ("Milestone", "net has passed 300,000 blocks"),
        ("Milestone", "net has passed 100,000 transactions"),
        ("Milestone", "net has passed 10,000 addresses"),
    ]
    assert happened(chronicle, memory, *at[2], transactions=100_001, addresses=10_001) == []


def test_transactions_without_an_index_are_those_that_the_nodes_have_counted() -> None:
    chronicle, memory = Chronicle(), Memory()
    text = 'metanode_chain_transactions_total{{status="ok",type="2"}} {}\nmetanode_chain_transactions_total{{status="ok",type="0"}} 1'
    told = []
    for count in (99_990, 99_999):
        pages = {"validator-1": page(text.format(count)), "validator-2": page(text.format(5))}
        seen = pictured(observed(*network(), pages=pages), memory)
        told = [event.text for event in chronicle.events(seen, Totals())]

    assert told == ["net has passed 100,000 transactions"]
