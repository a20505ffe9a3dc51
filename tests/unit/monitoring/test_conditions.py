"""Alerts on made-up networks: what fires, how grave, about whom; and that a healthy network has none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.monitoring.networks import (
    KEYS,
    block,
    consensus,
    network,
    node,
    observed,
    page,
    pictured,
)

from sdk.testnet.diagnosis.facts import Accusation, ForkView
from sdk.testnet.monitoring.alerts.catalogue import CRITICAL, INFO, WARNING
from sdk.testnet.monitoring.alerts.conditions import conditions
from sdk.testnet.monitoring.memory import Memory
from sdk.testnet.monitoring.thresholds import Thresholds

LIMITS = Thresholds(block_time_s=2)
FORK = ForkView(height=9, sealed_both=(KEYS[2],), sealed_both_weight=1, total_weight=4)
BUILD = 'metanode_build_info{{version="{}",commit="abc",python="3.11"}} 1'


def found(*nodes: Any, memory: Memory | None = None, **changes: Any) -> set[tuple[str, str, str]]:
    """Name, subject, severity of everything that holds."""
    seen = pictured(observed(*nodes, **changes), memory)
    return {(one.name, one.subject, one.severity.value) for one in conditions(seen, LIMITS)}


def test_a_healthy_network_has_none() -> None:
    for count in (1, 2, 4, 7):
        assert found(*network(count=count)) == set()
    assert found(node(0, consensus(None))) == set()


@pytest.mark.parametrize(
    ("desc", "nodes", "expected"),
    [
        (
            "one of four is down and silent", network(down=(3,)),
            {
                ("NodeDown", "validator-4", "warning"), ("QuorumMarginZero", "net", "warning"),
                ("ValidatorSilent", "0x4000000000000000000000000000000000000000", "critical"),
            },
        ),
        (
            "one of seven is", network(count=7, down=(6,)),
            {("NodeDown", "validator-7", "warning"), ("ValidatorSilent", "0x7000000000000000000000000000000000000000", "warning")},
        ),
        (
            "two of four are down, and blocks are still young", network(down=(2, 3), silent_s=20.0),
            {("NodeDown", "validator-3", "critical"), ("NodeDown", "validator-4", "critical"), ("QuorumLost", "net", "critical")},
        ),
        (
            "the chain stands: what follows from that is not told", network(down=(2, 3), since_decision_s=60.0, round=4),
            {
                ("ChainHalted", "net", "critical"), ("QuorumLost", "net", "critical"), ("HighRound", "net", "critical"),
                ("NodeDown", "validator-3", "critical"), ("NodeDown", "validator-4", "critical"),
            },
        ),
        ("late", network(since_decision_s=12.0), {("ChainLate", "net", "warning")}),
        ("round 2", network(round=2), {("RoundRising", "net", "warning")}),
        (
            "validators in rounds of their own",
            (*network()[:3], node(3, consensus(3, round=2))),
            {("RoundRising", "net", "warning"), ("RoundSkew", "net", "warning")},
        ),
        (
            "a node far behind", (*network()[:3], node(3, consensus(3, head=700, height=701))),
            {("NodeBehind", "validator-4", "critical")},
        ),
        (
            "a node somewhat behind", (*network()[:3], node(3, consensus(3, head=804, height=805))),
            {("NodeBehind", "validator-4", "warning")},
        ),
        ("a clock", (*network()[:3], node(3, consensus(3, clock_offset_ms=-300))), {("ClockSkew", "validator-4", "warning")}),
        ("a bad clock", (*network()[:3], node(3, consensus(3, clock_offset_ms=700))), {("ClockSkew", "validator-4", "critical")}),
        (
            "another chain", (*network(), node(4, consensus(None, genesis_hash="0x" + "bb" * 32), name="follower-1", role="follower")),
            {("GenesisMismatch", "follower-1", "critical")},
        ),
        (
            "a lie of this hour", (node(0, consensus(0), accusations=(Accusation(rule="equivocation", height=800, validator=KEYS[2]),)),),
            {("Equivocation", "0x3000000000000000000000000000000000000000", "critical")},
        ),
        (
            "a lie of last week", (node(0, consensus(0, head=99_000, height=99_001), accusations=(Accusation(rule="equivocation", height=800, validator=KEYS[2]),)),),
            set(),
        ),
        (
            "fewer connections than the others", (*network()[:3], node(3, consensus(3, members={0: {"is_connected": False}}))),
            {("PeersLow", "validator-4", "warning")},
        ),
        (
            "no connection",
            (*network()[:3], node(3, consensus(3, members={n: {"is_connected": False} for n in range(3)}))),
            {("NoPeers", "validator-4", "critical")},
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(desc: str, nodes: tuple[Any, ...], expected: set[Any]) -> None:
    assert found(*nodes) == expected, desc


def test_a_halted_node_is_named_with_its_reason() -> None:
    seen = pictured(observed(*network()[:3], node(3, consensus(3, halted="block 9 is invalid here"))))

    (halted,) = [one for one in conditions(seen, LIMITS) if one.name == "NodeHalted"]
    assert (halted.subject, halted.severity) == ("validator-4", CRITICAL)
    assert halted.text == "validator-4 has halted: block 9 is invalid here"


def test_a_fork_and_different_blocks_are_conflicting_heads() -> None:
    forked = (*network()[:3], node(3, consensus(3, halted="two blocks", fork=FORK)))
    hashes = {"validator-1": "0x" + "1" * 64, "validator-2": "0x" + "2" * 64}

    assert ("ConflictingHeads", "net", "critical") in found(*forked)
    assert ("ConflictingHeads", "net", "critical") in found(*network(), hashes=hashes, hashes_at=800)


def test_too_many_late_rounds_and_intervals_are_told() -> None:
    late = tuple(block(700 + n, 10_000 + 7 * n, round=n % 2) for n in range(60))

    assert found(*network(), blocks=late) == {
        ("BlockIntervalSlow", "net", "critical"),
        ("FrequentRoundChanges", "net", "warning"),
    }
    assert ("BlockIntervalSlow", "net", "warning") in found(
        *network(), blocks=tuple(block(700 + n, 10_000 + 4 * n) for n in range(60))
    )


def test_a_validator_without_seals_that_speaks_is_no_more_than_a_note() -> None:
    """Of four validators three seal: the fourth is late, and well."""
    blocks = tuple(block(700 + n, 10_000 + 2 * n, sealed_by=KEYS[:3]) for n in range(50))

    assert found(*network(), blocks=blocks) == {("ValidatorSealsZero", "validator-4", INFO.value)}
    assert found(*network(), blocks=blocks[:49]) == set()


PAGES = [
    ("disk", 'metanode_disk_free_bytes{volume="data"} 4e9', {("DiskLow", "validator-1", "warning")}),
    ("disk", 'metanode_disk_free_bytes{volume="data"} 5e8', {("DiskLow", "validator-1", "critical")}),
    ("memory", "process_resident_memory_bytes 3.8e9", set()),
    (
        "little memory left",
        "process_resident_memory_bytes 3.9e9",
        {("NodeOverloaded", "validator-1", "warning")},
    ),
    ("stuck", "metanode_txpool_oldest_pending_age_seconds 61", {("TxStuck", "validator-1", "warning")}),
    (
        "fine",
        'metanode_txpool_oldest_pending_age_seconds 59\nmetanode_disk_free_bytes{volume="data"} 9e9',
        set(),
    ),
]


@pytest.mark.parametrize(("desc", "text", "expected"), PAGES)
def test_pages_tell_of_disks_and_pools(desc: str, text: str, expected: set[Any]) -> None:
    assert found(*network(), pages={"validator-1": page(text)}) == expected, desc


def test_different_builds_are_an_info() -> None:
    pages = {"validator-1": page(BUILD.format("1.0")), "validator-2": page(BUILD.format("1.1"))}

    assert found(*network(), pages=pages) == {("VersionMix", "net", "info")}


def test_counters_are_told_by_their_increase() -> None:
    """Missed turns of one validator, as two nodes count them; a full pool; from marks every ten seconds."""
    memory = Memory()
    text = (
        'metanode_consensus_proposals_missed_total{{validator="{0}"}} {1}\n'
        'metanode_consensus_proposals_total{{validator="{0}"}} {2}\n'
        'metanode_txpool_rejected_total{{reason="pool_full"}} {3}\n'
    )
    for step, (missed, proposed, full) in enumerate([(5, 100, 7), (5, 101, 7), (8, 103, 9)]):
        pages = {
            "validator-1": page(text.format(KEYS[1], missed, proposed, full)),
            "validator-2": page(text.format(KEYS[1], missed, proposed, 0)),
        }
        told = found(*network(head=811 + step), memory=memory, at_s=1000.0 + 10 * step, pages=pages)
        if step < 2:
            assert told == set()

    assert told == {
        ("ProposalsMissed", "validator-2", "warning"),
        ("TxPoolFull", "validator-1", "warning"),
    }


LAG = "metanode_event_loop_lag_seconds"
WORK = "metanode_block_processing_duration_seconds"
CALLS = "metanode_rpc_request_duration_seconds"


def spread(name: str, labels: str, **bounds: str) -> str:
    """A histogram's lines; a bound is written in milliseconds, its count by the number of the look."""
    return "".join(
        f'{name}_bucket{{{labels}le="{"+Inf" if bound == "inf" else int(bound[1:]) / 1000}"}} {count}\n'
        for bound, count in bounds.items()
    )


GROWING = [
    ("a node at work", "process_cpu_seconds_total {n}0", set()),
    ("a node that takes all its cores", "process_cpu_seconds_total {n}00", {("NodeOverloaded", "warning")}),
    ("a loop in time", spread(LAG, "", _500="{n}00", inf="{n}00"), set()),
    ("a loop that is late", spread(LAG, "", _500="{n}0", _1000="{n}00", inf="{n}00"), {("EventLoopStalled", "warning")}),
    ("a loop that stands", spread(LAG, "", _2000="{n}0", _4000="{n}00", inf="{n}00"), {("EventLoopStalled", "critical")}),
    (
        "slow blocks",
        spread(WORK, 'phase="execute",', _500="0", _1000="{n}00", inf="{n}00") + spread(WORK, 'phase="state_root",', _250="{n}00", inf="{n}00"),
        {("BlockExecutionSlow", "warning")},
    ),
    ("slow blocks of its own", spread(WORK, 'phase="build",', _500="0", _2000="{n}00", inf="{n}00"), set()),
    ("quick calls", spread(CALLS, 'method="eth_chainId",', _1000="{n}00", inf="{n}00"), set()),
    ("slow calls", spread(CALLS, 'method="eth_chainId",', _1000="0", _2000="{n}00", inf="{n}00"), {("RpcSlow", "warning")}),
    ("calls that may be slow", spread(CALLS, 'method="debug_traceCall",', _1000="0", _2000="{n}00", inf="{n}00"), set()),
    ("calls that fail", 'metanode_rpc_requests_total {n}000\nmetanode_rpc_errors_total{code="-32603"} {n}0', set()),
    ("many calls that fail", 'metanode_rpc_requests_total {n}000\nmetanode_rpc_errors_total{code="-32603"} {n}30', {("RpcErrors", "warning")}),
    ("most calls fail", 'metanode_rpc_requests_total {n}00\nmetanode_rpc_errors_total{code="-32603"} {n}00', {("RpcErrors", "critical")}),
    ("callers' own faults", 'metanode_rpc_requests_total {n}000\nmetanode_rpc_errors_total{code="-32602"} {n}00', set()),
    ("few calls", 'metanode_rpc_requests_total {n}0\nmetanode_rpc_errors_total{code="-32603"} {n}', set()),
    ("forged messages", 'metanode_consensus_messages_rejected_total{type="commit",reason="bad_signature"} {n}', {("BadSeal", "warning")}),
    ("old messages", 'metanode_consensus_messages_rejected_total{type="commit",reason="old"} {n}', set()),
    ("a vote", 'metanode_consensus_pending_votes{action="add"} 1\nmetanode_consensus_pending_votes{action="drop"} 0', {("VotePending", "info")}),
    ("no vote", 'metanode_consensus_pending_votes{action="add"} 0', set()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("desc", "wishes", "expected"),
    [
        ("none", {}, set()),
        ("a stranger is wanted", {KEYS[6]: True}, {"validator-1 has open votes on members: 1 to add"}),
        ("a member is not wanted", {KEYS[3]: False}, {"validator-1 has open votes on members: 1 to drop"}),
        ("who was wanted has joined", {KEYS[3]: True}, set()),
        ("who was not wanted has left", {KEYS[6]: False}, set()),
        ("one of two has joined", {KEYS[3]: True, KEYS[6]: True}, {"validator-1 has open votes on members: 1 to add"}),
        ("not said", None, {"validator-1 has open votes on members: 1 to add"}),
    ],
)  # fmt: skip
def test_a_vote_is_open_until_the_set_is_as_it_wants(
    desc: str, wishes: dict[str, bool] | None, expected: set[str]
) -> None:
    """The node's page counts one, whatever has become of it: it is gone by where nodes do not say whom they vote on."""
    first, *others = network()
    pages = {"validator-1": page('metanode_consensus_pending_votes{action="add"} 1')}
    seen = pictured(observed(replace(first, wishes=wishes), *others, pages=pages))
    assert {one.text for one in conditions(seen, LIMITS) if one.name == "VotePending"} == expected, desc


@pytest.mark.parametrize(("desc", "text", "expected"), GROWING)
def test_what_pages_count_is_told_of_their_node(desc: str, text: str, expected: set[tuple[str, str]]) -> None:
    """Looks ten seconds apart, {n} of them; another node whose page stands still is told nothing of."""
    memory = Memory()
    for number in range(1, 5):
        pages = {
            "validator-1": page(text.replace("{n}", str(number))),
            "validator-2": page(text.replace("{n}", "0").replace("} 1", "} 0")),
        }
        told = found(*network(head=811 + number), memory=memory, at_s=1000.0 + 10 * number, pages=pages)

    assert told == {(name, "validator-1", severity) for name, severity in expected}, desc


def test_three_turns_missed_in_a_row_are_told_before_they_are_a_fifth() -> None:
    """Of two hundred turns three are little, unless they are the last ones."""
    memory = Memory()
    text = (
        f'metanode_consensus_proposals_missed_total{{{{validator="{KEYS[1]}"}}}} {{0}}\n'
        f'metanode_consensus_proposals_total{{{{validator="{KEYS[1]}"}}}} {{1}}\n'
    )
    looks = [(0, 0.0, 100), (0, 200.0, 300), (2, 520.0, 300), (3, 530.0, 300), (3, 540.0, 301)]
    told = []
    for number, (missed, at_s, proposed) in enumerate(looks):
        pages = {"validator-1": page(text.format(missed, proposed))}
        told.append(found(*network(head=811 + number), memory=memory, at_s=1000.0 + at_s, pages=pages))

    assert told == [set(), set(), set(), {("ProposalsMissed", "validator-2", "warning")}, set()]


def test_three_starts_in_ten_minutes_are_a_crash_loop() -> None:
    memory = Memory()
    for step, up_s in enumerate([600.0, 2.0, 4.0, 1.0, 3.0, 1.0]):
        nodes = (*network()[:3], node(3, consensus(3, up_s=up_s)))
        told = found(*nodes, memory=memory, at_s=1000.0 + 2 * step)

    assert ("CrashLoop", "validator-4", "critical") in told
    assert ("CrashLoop", "validator-4", "critical") not in found(*network(), memory=memory, at_s=1700.0)


def test_no_text_has_the_address_of_a_node() -> None:
    nodes = (*network()[:3], node(3, None, detail="http://user:secret@v4:8545 answers 500"))

    for one in conditions(pictured(observed(*nodes)), LIMITS):
        assert "secret" not in one.text
        assert one.severity in (CRITICAL, WARNING, INFO)
