"""The verdict on made-up networks: which word comes of which condition, and which word comes first."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.monitoring.networks import KEYS, block, consensus, network, node, observed, pictured

from metanode.errors import InvalidInput
from sdk.testnet.diagnosis.facts import ForkView
from sdk.testnet.monitoring.memory import Memory
from sdk.testnet.monitoring.thresholds import Thresholds
from sdk.testnet.monitoring.verdict import Judgement, NetworkView, Verdict, judge, spare_validators

LIMITS = Thresholds(block_time_s=2)
FORK = ForkView(height=9, sealed_both=(KEYS[2],), sealed_both_weight=1, total_weight=4)


def judged(*nodes: Any, memory: Memory | None = None, age_s: float = 0.0, **changes: Any) -> Judgement:
    seen = pictured(observed(*nodes, **changes), memory)
    return judge(seen.view, data_age_s=age_s, stale_after_s=8.0, limits=LIMITS)


@pytest.mark.parametrize(
    ("desc", "nodes", "expected", "words"),
    [
        ("all is well", network(), Verdict.HEALTHY, "4 of 4 validators take part, can lose 1"),
        ("one of four is silent", network(down=(3,)), Verdict.DEGRADED, "none of them can be spared"),
        ("one of seven is silent", network(count=7, down=(3,)), Verdict.HEALTHY, "6 of 7 validators take part, can lose 1"),
        ("two of four are silent", network(down=(2, 3)), Verdict.NO_QUORUM, "a weight of 2 of 4 takes part, and 3 is needed"),
        (
            "no block for 31 s, whoever is there", network(since_decision_s=31.0), Verdict.HALTED,
            "block 811 came 31 s ago, and none since; 4 of 4 validators take part",
        ),
        (
            "no block and no quorum: the graver one is told, and who is missing",
            network(down=(2, 3), since_decision_s=40.0), Verdict.HALTED, "missing: ",
        ),
        ("round 1 is everyday", network(round=1), Verdict.HEALTHY, "block 811 came"),
        ("round 2 is not", network(round=2), Verdict.DEGRADED, "height 812 is in round 2"),
        ("a fork", network(halted="two blocks", fork=FORK), Verdict.NO_QUORUM, "takes part"),
        ("one validator of one, which can never be spared", (node(0, consensus(0, count=1)),), Verdict.HEALTHY, "can lose none"),
        ("a network that has just begun", network(down=(1, 2, 3), up_s=4.0, head=0), Verdict.STARTING, "have just been started"),
        (
            "a network that goes on beginning", network(down=(1, 2, 3), up_s=4.0, since_decision_s=35.0), Verdict.HALTED,
            "none since",
        ),
        (
            "weights count, not heads: the one that is missing has half",
            (node(0, consensus(0, powers=(1, 1, 1, 3), silent=(3,))),), Verdict.NO_QUORUM, "a weight of 3 of 6 takes part, and 4 is needed",
        ),
    ],
)  # fmt: skip
def test_a_verdict_is_the_first_that_holds(
    desc: str, nodes: tuple[Any, ...], expected: Verdict, words: str
) -> None:
    found = judged(*nodes)

    assert found.verdict is expected, desc
    assert words in found.sentence


def test_one_node_with_a_fork_makes_it_degraded() -> None:
    nodes = network()
    forked = node(3, consensus(3, halted="two blocks", fork=FORK))

    found = judged(*nodes[:3], forked)

    assert found.verdict is Verdict.DEGRADED
    assert "two blocks are decided at one height, as validator-4 has seen" in found.sentence


def test_nodes_that_hold_different_blocks_are_named() -> None:
    hashes = {"validator-1": "0x" + "1" * 64, "validator-2": "0x" + "2" * 64, "validator-3": "0x" + "1" * 64}

    found = judged(*network(), hashes=hashes, hashes_at=800)

    assert found.verdict is Verdict.DEGRADED
    assert found.sentence == (
        "block 800 is not the same on all nodes: 0x11111111 on validator-1 and validator-3; 0x22222222 on validator-2"
    )


def test_a_node_of_another_chain_makes_it_degraded() -> None:
    found = judged(*network()[:3], node(3, consensus(3, genesis_hash="0x" + "bb" * 32)))

    assert found.verdict is Verdict.DEGRADED
    assert found.sentence == "validator-4 runs another chain"


@pytest.mark.parametrize(
    ("late", "expected"), [(0, Verdict.HEALTHY), (3, Verdict.HEALTHY), (8, Verdict.SLOW)]
)
def test_slow_is_told_from_over_five_of_a_hundred_intervals(late: int, expected: Verdict) -> None:
    timestamp = 1_000_000
    blocks = []
    for number in range(700, 812):
        timestamp += 6 if number < 700 + late else 2
        blocks.append(block(number, timestamp))

    assert judged(*network(), blocks=tuple(blocks)).verdict is expected


def test_blocks_that_were_not_seen_are_no_interval() -> None:
    memory = Memory()
    pictured(
        observed(*network(head=100), blocks=tuple(block(n, 1_000 + 2 * n) for n in range(60, 101))), memory
    )

    found = judged(*network(), memory=memory, blocks=tuple(block(n, 1_000 + 2 * n) for n in range(790, 812)))

    assert found.verdict is Verdict.HEALTHY


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [(0.0, Verdict.HEALTHY), (7.9, Verdict.HEALTHY), (8.1, Verdict.UNKNOWN), (3600.0, Verdict.UNKNOWN)],
)
def test_what_is_old_is_unknown_and_never_green(age_s: float, expected: Verdict) -> None:
    assert judged(*network(), age_s=age_s).verdict is expected


def test_nothing_seen_is_unknown() -> None:
    found = judge(None, data_age_s=0.0, stale_after_s=8.0, limits=LIMITS)

    assert (found.verdict, found.sentence) == (Verdict.UNKNOWN, "no node has answered yet")


def test_a_head_ages_between_looks() -> None:
    assert judged(*network(since_decision_s=25.0), age_s=4.0).verdict is Verdict.HEALTHY
    assert judged(*network(since_decision_s=25.0), age_s=6.0).verdict is Verdict.HALTED


def test_nodes_that_are_started_again_do_not_make_a_halt_young() -> None:
    memory = Memory()
    pictured(observed(*network(since_decision_s=40.0), at_s=1000.0), memory)

    restarted = network(since_decision_s=1.0, up_s=30.0)

    assert judged(*restarted, memory=memory, at_s=1031.0).verdict is Verdict.HALTED


def test_the_limits_stretch_with_the_time_between_blocks() -> None:
    twelve = Thresholds(block_time_s=12)

    assert (twelve.halted_s, twelve.late_s, twelve.slow_s) == (120, 60, 18)
    assert (LIMITS.halted_s, LIMITS.late_s, LIMITS.slow_s) == (30, 10, 3)
    for wrong in (0, -1, 3601, float("nan")):
        with pytest.raises(InvalidInput, match="block_time_s"):
            Thresholds(block_time_s=wrong)


def test_strangers_are_told_who_is_missing_and_operators_why_too() -> None:
    found = judged(*network(down=(2, 3)))

    assert found.sentence.count("(") == 2
    assert found.public_sentence.endswith(f"missing: 0x3{'0' * 39} and 0x4{'0' * 39}")
    assert found.sentence.startswith(found.public_sentence.partition("missing: ")[0])
    assert judged(*network()).public_sentence == judged(*network()).sentence


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=20), st.data())
def test_whoever_is_lost_of_the_spare_ones_a_quorum_stays(powers: list[int], data: st.DataObject) -> None:
    quorum = -(-2 * sum(powers) // 3)
    spare = spare_validators(powers, quorum)
    lost = data.draw(st.permutations(powers)).copy()[:spare]

    assert sum(powers) - sum(lost) >= quorum
    assert sum(powers) - sum(sorted(powers, reverse=True)[: spare + 1]) < quorum


@given(
    st.builds(
        NetworkView,
        height=st.integers(0, 10**9), head_age_s=st.floats(0, 1e6), round=st.integers(0, 40), weight=st.integers(0, 10),
        quorum_weight=st.integers(1, 10), total_weight=st.just(10), spare=st.integers(0, 3), online=st.integers(0, 10),
        validators=st.just(10), missing=st.sampled_from([(), ("v",)]), is_starting=st.booleans(),
        disagreement=st.sampled_from([None, "x"]), interval_p95_s=st.one_of(st.none(), st.floats(0, 100)),
    ),
    st.floats(0, 100),
)  # fmt: skip
def test_healthy_means_fresh_young_and_with_a_quorum(view: NetworkView, age_s: float) -> None:
    if judge(view, data_age_s=age_s, stale_after_s=8, limits=LIMITS).verdict is Verdict.HEALTHY:
        assert age_s <= 8
        assert view.head_age_s + age_s <= 30
        assert view.weight >= view.quorum_weight
        assert view.round < 2
        assert view.disagreement is None
