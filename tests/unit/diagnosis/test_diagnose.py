"""The diagnosis on tables of facts: which sentence comes of which condition, and that a healthy network gets none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sdk.testnet.diagnosis.diagnose import diagnose
from sdk.testnet.diagnosis.facts import (
    Accusation,
    ConsensusView,
    ForkView,
    LastMessage,
    LocalNetwork,
    NetworkFacts,
    NodeFacts,
    ProcessFacts,
    RefusedPeer,
    Trouble,
    ValidatorView,
)
from sdk.testnet.diagnosis.findings import Severity

if TYPE_CHECKING:
    from sdk.testnet.diagnosis.findings import Diagnosis

KEYS = [f"0x{n}{'0' * 39}" for n in range(1, 5)]
STRANGER = "0x" + "7" * 40
GENESIS, OTHER_GENESIS = "0x" + "aa" * 32, "0x" + "bb" * 32
LOCAL = LocalNetwork(
    path="/net", is_supervised=False, command="metanode {} --directory /net", start="make up"
)

SUPERVISED = replace(LOCAL, is_supervised=True)


def heard(seconds_ago: float | None) -> LastMessage | None:
    return (
        None
        if seconds_ago is None
        else LastMessage(kind="commit", height=811, round=0, seconds_ago=seconds_ago)
    )


def seen(index: int, own: int | None, **changes: Any) -> ValidatorView:
    is_own = index == own
    fields = {
        "address": KEYS[index], "power": 1, "is_own": is_own, "is_connected": True, "clock_skew_ms": None if is_own else 3,
        "round_wanted": None, "signed": {"prepare": 0}, "last_message": None if is_own else heard(1.0), "last_active": 811,
        "is_skipped": False,
    }  # fmt: skip
    return ValidatorView(**{**fields, **changes})


def view(
    own: int | None = 0, *, others: dict[int, dict[str, Any]] | None = None, **changes: Any
) -> ConsensusView:
    fields = {
        "network": "net", "genesis_hash": GENESIS, "period_s": 2, "validator": None if own is None else KEYS[own], "signs": own is not None,
        "silence": None if own is not None else "follower", "mode": "live", "halted": None, "fork": None, "head": 811,
        "since_decision_s": 1.2, "up_s": 600.0, "sync_target": 811, "engine_head": 811, "engine_backlog": 0, "engine_trouble": None,
        "height": 812, "round": 0, "phase": "prepare", "proposer": KEYS[1], "has_proposal": True, "is_proposal_valid": True,
        "is_block_missing": False, "prepare_weight": 1, "commit_weight": 0, "round_change_weight": 0, "quorum_weight": 3,
        "total_weight": 4, "slot_ms": None, "round_ms": 3000, "clock_offset_ms": 0,
        "validators": tuple(seen(index, own, **(others or {}).get(index, {})) for index in range(4)), "strangers": (), "refused": (),
    }  # fmt: skip
    return ConsensusView(**{**fields, **changes})


def node(index: int, consensus: ConsensusView | None = None, **changes: Any) -> NodeFacts:
    name = f"validator-{index + 1}"
    fields = {
        "name": name, "url": f"http://{name}", "role": "validator", "key": KEYS[index], "home": f"/net/nodes/{name}", "consensus": consensus,
        "process": ProcessFacts(pid=100 + index, restarts=0, last_words=None),
    }  # fmt: skip
    return NodeFacts(**{**fields, **changes})


def stopped(index: int, trouble: Trouble = Trouble.NOT_RUNNING, **changes: Any) -> NodeFacts:
    pid = None if trouble is Trouble.NOT_RUNNING else 100 + index
    return node(
        index,
        trouble=trouble,
        process=ProcessFacts(pid=pid, restarts=0, last_words=changes.pop("words", None)),
        **changes,
    )


def loading(index: int, **changes: Any) -> NodeFacts:
    """A local node whose process is there and does not listen yet."""
    process = {"pid": 100 + index, "restarts": 0, "last_words": None, "up_s": 2.5, **changes}
    return node(
        index, trouble=Trouble.UNREACHABLE, detail="connection refused", process=ProcessFacts(**process)
    )


def network(*nodes: NodeFacts, local: LocalNetwork | None = LOCAL) -> NetworkFacts:
    return NetworkFacts(nodes=nodes, local=local)


def only(consensus: ConsensusView, **changes: Any) -> NetworkFacts:
    """One node elsewhere, asked by its URL."""
    return network(
        NodeFacts(name="http://there", url="http://there", consensus=consensus, **changes), local=None
    )


def codes(diagnosis: Diagnosis) -> list[str]:
    return [finding.code for finding in diagnosis.findings]


HEALTHY = network(*(node(index, view(index)) for index in range(4)))
SILENT = {"last_message": heard(41.0), "is_connected": False, "clock_skew_ms": None}
STALLED = {
    "since_decision_s": 41.0,
    "round": 3,
    "phase": "proposal",
    "has_proposal": False,
    "round_change_weight": 2,
    "round_ms": 6200,
}
FORK = ForkView(height=9, sealed_both=(KEYS[2], KEYS[3]), sealed_both_weight=2, total_weight=4)


def test_a_healthy_network_gets_one_sentence_and_nothing_to_do() -> None:
    for facts in (HEALTHY, only(view()), only(view(None))):
        diagnosis = diagnose(facts)
        assert (
            diagnosis.headline == "height 812 moves: block 811 came 1.2 s ago, and all 4 validators take part"
        )
        assert diagnosis.is_healthy
        assert diagnosis.findings == ()


CASES: list[tuple[str, NetworkFacts, str, str, str]] = [
    (
        "a network that is not started",
        network(*(stopped(index) for index in range(4))),
        "network-stopped",
        "the network in /net is stopped: none of its 4 nodes runs",
        "make up",
    ),
    (
        "a validator whose process has ended, with its last words",
        network(
            *(node(index, view(index, others={3: SILENT})) for index in range(3)),
            stopped(3, words="error: engine/ is damaged"),
        ),
        "node-down",
        "moves: block 811 came 1.2 s ago; but validator-4 does not run; its log ends with: error: engine/ is damaged",
        "make up",
    ),
    (
        "a network whose nodes all end again, which `metanode up` would find started",
        network(
            *(stopped(index, words="error: No space left on device") for index in range(4)), local=SUPERVISED
        ),
        "network-stopped",
        "none of the 4 nodes of the network in /net runs, and its supervisor starts them again; the log of validator-1 ends with: error: No space",
        "repair what their logs name, and they go on by themselves: metanode logs --directory /net",
    ),
    (
        "a validator with another genesis file, seen while its process lives",
        network(
            *(node(index, view(index)) for index in range(3)),
            loading(
                3,
                restarts=1,
                last_words="error: /x/node.db: belongs to the network with the genesis hash 0xaa",
            ),
        ),
        "node-down",
        "validator-4 ends soon after each start, and was started again once; its log says: error: /x/node.db: belongs to the network",
        "put the network's genesis file back: cp /net/genesis.json /net/nodes/validator-4/genesis.json",
    ),
    (
        "a validator that ends soon after each start, for a reason that is not known here",
        network(
            *(node(index, view(index)) for index in range(3)),
            loading(3, restarts=1, last_words="error: engine/ is damaged"),
        ),
        "node-down",
        "validator-4 ends soon after each start, and was started again once; its log says: error: engine/ is damaged",
        "metanode logs --directory /net validator-4",
    ),
    (
        "F + 1 validators that end soon after each start",
        network(
            *(node(index, view(index, others={2: SILENT, 3: SILENT}, **STALLED)) for index in range(2)),
            *(
                loading(index, restarts=4, last_words="error: signer.log: belongs to the key")
                for index in (2, 3)
            ),
        ),
        "quorum-missing",
        "missing: validator-3 (it ends soon after each start) and validator-4 (it ends soon after each start)",
        "put this validator's own keystore back, that of the key named first: validator.json and validator.password in /net/nodes/validator-3; put",
    ),
    (
        "a process that has had its time to listen",
        network(*(node(index, view(index)) for index in range(3)), loading(3, up_s=61.0)),
        "node-unreachable",
        "validator-4 does not answer at http://validator-4 although process 103 runs: connection refused",
        "metanode logs --directory /net validator-4",
    ),
    (
        "an address where nobody listens, which is not said twice",
        network(
            NodeFacts(
                name="http://x", url="http://x", trouble=Trouble.UNREACHABLE, detail="connection refused"
            ),
            local=None,
        ),
        "node-unreachable",
        "http://x does not answer: connection refused",
        "see that the node runs",
    ),
    (
        "a suspended validator",
        network(*(node(index, view(index)) for index in range(3)), stopped(3, Trouble.SUSPENDED)),
        "node-suspended",
        "validator-4, process 103, is suspended by a signal",
        "kill -CONT 103",
    ),
    (
        "a port that is closed",
        network(node(0, trouble=Trouble.UNREACHABLE, detail="connection refused"), local=None),
        "node-unreachable",
        "validator-1 does not answer at http://validator-1 although process 100 runs: connection refused",
        "see that the node runs",
    ),
    (
        "one silent validator, seen from one node",
        only(view(others={3: {**SILENT, "is_skipped": True, "last_active": 790}})),
        "validator-silent",
        (
            "moves: block 811 came 1.2 s ago; but 0x4000000000000000000000000000000000000000 is silent: nothing signed by it was heard for 41 s; "
            "it last took part in block 790, and its turns come last"
        ),
        "see that its node runs",
    ),
    (
        "F + 1 silent validators, and one that has come along to the round that waits for them",
        only(
            view(
                others={
                    1: {"last_message": heard(30.0), "signed": {"round_change": 1}},
                    2: SILENT,
                    3: SILENT,
                },
                **{**STALLED, "round": 1, "round_ms": None},
            )
        ),
        "quorum-missing",
        (
            "height 812 has not moved for 41 s: validators with a weight of 2 of 4 take part, and 3 are needed; missing: "
            "0x3000000000000000000000000000000000000000 (nothing signed by it was heard for 41 s) and 0x4000000000000000000000000000000000000000 "
            "(nothing signed by it was heard for 41 s); round 1 ends when a quorum has come to it"
        ),
        "start the nodes that are missing",
    ),
    (
        "F + 1 silent validators, seen from one node",
        only(view(others={2: SILENT, 3: {**SILENT, "last_message": None}}, **STALLED)),
        "quorum-missing",
        (
            "height 812 has not moved for 41 s: validators with a weight of 2 of 4 take part, and 3 are needed; missing: "
            "0x3000000000000000000000000000000000000000 (nothing signed by it was heard for 41 s) and 0x4000000000000000000000000000000000000000 "
            "(nothing signed by it was heard for 10 min); round 3 ends in 6.2 s"
        ),
        "start the nodes that are missing",
    ),
    (
        "F + 1 local validators stopped",
        network(
            *(node(index, view(index, others={2: SILENT, 3: SILENT}, **STALLED)) for index in range(2)),
            stopped(2),
            stopped(3),
        ),
        "quorum-missing",
        "missing: validator-3 (its process does not run) and validator-4 (its process does not run)",
        "make up",
    ),
    (
        "a partition in halves",
        network(
            *(node(index, view(index, others={2: SILENT, 3: SILENT}, **STALLED)) for index in (0, 1)),
            *(
                node(index, view(index, others={0: SILENT, 1: SILENT}, **{**STALLED, "round": 5}))
                for index in (2, 3)
            ),
        ),
        "partition",
        (
            "validators that run do not hear each other: validator-1 and validator-2 (round 3) on one side, validator-3 and validator-4 (round 5) on "
            "the other"
        ),
        "look at firewalls",
    ),
    (
        "a node with another genesis",
        network(
            *(node(index, view(index, others={3: SILENT})) for index in range(3)),
            node(3, view(3, genesis_hash=OTHER_GENESIS, head=0, height=1)),
        ),
        "other-genesis",
        f"validator-4 runs another chain: its genesis is {OTHER_GENESIS}, the others' is {GENESIS}",
        "put the network's genesis.json into /net/nodes/validator-4",
    ),
    (
        "a validator of another genesis, of which one node tells",
        only(
            view(
                others={3: SILENT},
                refused=(
                    RefusedPeer(
                        address="10.0.0.9:30303",
                        reason="genesis",
                        genesis_hash=OTHER_GENESIS,
                        validator=KEYS[3],
                        seconds_ago=2.0,
                    ),
                ),
            )
        ),
        "other-genesis",
        f"0x4000000000000000000000000000000000000000, a validator, comes from 10.0.0.9:30303 with another genesis, {OTHER_GENESIS}",
        "give that node this network's genesis.json",
    ),
    (
        "a validator with another key",
        network(
            *(node(index, view(index, others={3: SILENT}, strangers=(STRANGER,))) for index in range(3)),
            node(
                3,
                view(None, others={3: SILENT}, validator=STRANGER, silence="not in the validator set"),
                key=STRANGER,
            ),
        ),
        "wrong-key",
        (
            "validator-4 holds the key of 0x7777777777777777777777777777777777777777, which is not in the validator set; nobody signs for "
            "0x4000000000000000000000000000000000000000, which is"
        ),
        "put the validator's own keystore back (validator.json and validator.password in /net/nodes/validator-4)",
    ),
    (
        "a stranger's key beside a silent validator, of which one node tells",
        only(view(others={3: SILENT}, strangers=(STRANGER,))),
        "wrong-key",
        "0x4000000000000000000000000000000000000000 is silent, while a node is connected that proves the key of",
        "put its own keystore back",
    ),
    (
        "a clock that is 30 s ahead, seen by its own node and the others",
        network(
            *(node(index, view(index, others={3: {"clock_skew_ms": 30_002}})) for index in range(3)),
            node(
                3,
                view(
                    3,
                    others={index: {"clock_skew_ms": -30_000} for index in range(3)},
                    clock_offset_ms=30_000,
                ),
            ),
        ),
        "clock-off",
        "the clock of validator-4 is 30 s ahead of the other validators'",
        "timedatectl set-ntp true",
    ),
    (
        "a clock that is 30 s behind, seen by its own node alone",
        only(view(others={index: {"clock_skew_ms": 30_000} for index in (1, 2, 3)}, clock_offset_ms=-30_000)),
        "clock-off",
        "the clock of http://there is 30 s behind the other validators'",
        "timedatectl set-ntp true",
    ),
    (
        "two clocks that differ, and nobody knows which is right",
        only(
            view(others={2: {"clock_skew_ms": None}, 3: {"clock_skew_ms": None}, 1: {"clock_skew_ms": 700}})
        ),
        "clock-off",
        "differ by 0.7 s",
        "timedatectl set-ntp true",
    ),
    (
        "an engine that is away",
        network(
            *(node(index, view(index)) for index in range(3)),
            node(
                3,
                view(
                    3,
                    mode="catching up",
                    signs=False,
                    head=800,
                    engine_head=800,
                    engine_backlog=11,
                    engine_trouble="it is syncing",
                ),
            ),
        ),
        "engine-trouble",
        "the execution engine of validator-4 does not take blocks: it is syncing; it is at 800, decided is 811",
        "repair what the reason names",
    ),
    (
        "a node that has halted with an invalid block",
        network(
            *(node(index, view(index)) for index in range(3)),
            node(3, view(3, mode="halted", signs=False, halted="block 9 is invalid")),
        ),
        "halted",
        "validator-4 has halted: block 9 is invalid",
        "metanode node recover",
    ),
    (
        "two decided blocks at one height",
        network(
            *(
                node(index, view(index, mode="halted", signs=False, halted="two blocks", fork=FORK))
                for index in range(4)
            )
        ),
        "conflicting-certificates",
        (
            "two blocks are decided at height 9, and validator-1, validator-2, validator-3 and validator-4 halted: a weight of 2 of 4 has sealed both "
            "(validator-3 and validator-4)"
        ),
        "agree with the other operators",
    ),
    (
        "a validator that signed twice",
        network(
            replace(
                node(0, view(0)), accusations=(Accusation(rule="equivocation", height=7, validator=KEYS[3]),)
            ),
            *(node(index, view(index)) for index in (1, 2, 3)),
        ),
        "evidence",
        "validator-4 has signed two different messages in one place, at height 7: ibft_getEvidence of http://validator-1 has the proof",
        "metanode validators remove 0x4000000000000000000000000000000000000000",
    ),
    (
        "a node that fetches blocks",
        network(
            *(node(index, view(index)) for index in range(3)),
            node(3, view(3, mode="syncing", signs=False, head=400, height=401, sync_target=811)),
        ),
        "behind",
        "validator-4 is syncing: at 400 of 811",
        "it goes on by itself",
    ),
    (
        "a node that waits for peers",
        only(view(mode="syncing", signs=False, head=811)),
        "behind",
        "is syncing at 811: it waits until it knows that nobody is ahead",
        "whom it is connected with",
    ),
    (
        "a lost watermark",
        only(view(signs=False, silence="watermark lost")),
        "watermark-lost",
        "signs nothing: its signer.log was lost",
        "--sign-without-watermark",
    ),
    (
        "a key that another process uses too",
        only(view(signs=False, silence="key in use elsewhere")),
        "key-shared",
        "signs nothing: another process was seen to sign with its key, 0x1000000000000000000000000000000000000000",
        "find the other process and stop it",
    ),
    (
        "a key that waits",
        only(view(signs=False, silence="observing")),
        "observing",
        "signs nothing yet: it waits until nothing that its key may have signed before can matter",
        "",
    ),
    (
        "a proposal that the engine refuses, with a quorum at hand",
        only(view(since_decision_s=20.0, round=2, is_proposal_valid=False)),
        "round-waits",
        (
            "height 812 has not moved for 20 s: round 2 of height 812 has a proposal of 0x2000000000000000000000000000000000000000 that the execution "
            "engine refuses"
        ),
        "",
    ),
    (
        "a block that nobody sends",
        only(view(since_decision_s=20.0, is_block_missing=True)),
        "round-waits",
        "has a block by its hash only",
        "",
    ),
    (
        "commits that do not come, with a quorum at hand",
        only(
            view(
                since_decision_s=20.0,
                round=1,
                phase="commit",
                commit_weight=2,
                others={index: {"signed": {"commit": 1}} for index in (0, 1)},
            )
        ),
        "round-waits",
        (
            "round 1 of height 812 has commits with a weight of 2 of 3; without one: 0x3000000000000000000000000000000000000000 and "
            "0x4000000000000000000000000000000000000000"
        ),
        "",
    ),
    (
        "another client",
        network(
            NodeFacts(name="http://x", url="http://x", trouble=Trouble.OTHER_CLIENT, detail="Geth/v1.14"),
            local=None,
        ),
        "other-client",
        "http://x is no Metanode node, it calls itself 'Geth/v1.14'",
        "give the RPC address of a Metanode node",
    ),
    (
        "no JSON-RPC",
        network(
            NodeFacts(name="http://x", url="http://x", trouble=Trouble.NO_JSON_RPC, detail="answers 404"),
            local=None,
        ),
        "not-json-rpc",
        "http://x does not speak JSON-RPC: answers 404",
        "give the RPC address of a Metanode node",
    ),
    (
        "a listener without the namespace",
        network(
            NodeFacts(name="http://x", url="http://x", trouble=Trouble.NOT_OFFERED, detail="no"), local=None
        ),
        "ibft-not-offered",
        "http://x is a Metanode node and does not offer ibft_getConsensusState here",
        "server.namespaces",
    ),
]


@pytest.mark.parametrize(
    ("desc", "facts", "code", "sentence", "action"), CASES, ids=[case[0] for case in CASES]
)
def test_each_condition_is_said_in_a_sentence_with_what_restores_it(
    desc: str, facts: NetworkFacts, code: str, sentence: str, action: str
) -> None:
    diagnosis = diagnose(facts)
    assert not diagnosis.is_healthy
    found = [finding for finding in diagnosis.findings if finding.code == code]
    assert found, (desc, codes(diagnosis))
    assert sentence in diagnosis.headline or any(sentence in finding.text for finding in found), (
        diagnosis.headline,
        [finding.text for finding in found],
    )
    assert any(action in (finding.action or "") for finding in found)
    assert found[0].severity is not Severity.NOTE


def test_the_gravest_finding_comes_first_and_is_in_the_headline() -> None:
    lying = Accusation(rule="forgotten commit", height=7, validator=KEYS[3])
    facts = network(
        replace(node(0, view(0, others={2: {"clock_skew_ms": 300}})), accusations=(lying,)),
        *(node(index, view(index, others={2: {"clock_skew_ms": 300}})) for index in (1, 3)),
        node(2, view(2, others={index: {"clock_skew_ms": -297} for index in (0, 1, 3)})),
    )
    diagnosis = diagnose(facts)
    assert codes(diagnosis) == ["evidence", "clock-off"]
    assert [finding.severity for finding in diagnosis.findings] == [Severity.ERROR, Severity.WARNING]
    assert "has changed rounds as if it had never committed" in diagnosis.headline
    assert diagnosis.is_moving


def test_a_hiccup_of_one_connection_is_not_called_a_wrong_clock() -> None:
    facts = network(
        node(0, view(0, others={2: {"clock_skew_ms": 900}})),
        *(node(index, view(index)) for index in (1, 2, 3)),
    )
    assert diagnose(facts).is_healthy


def test_a_node_that_has_just_begun_to_listen_accuses_nobody_of_silence() -> None:
    young = {"last_message": None, "is_connected": False, "clock_skew_ms": None}
    diagnosis = diagnose(only(view(up_s=3.0, others=dict.fromkeys((1, 2, 3), young))))
    assert "validator-silent" not in codes(diagnosis)
    assert "quorum-missing" not in codes(diagnosis)


def young(index: int, **changes: Any) -> NodeFacts:
    return node(
        index,
        view(index, **{"signs": False, "silence": "observing", "up_s": 4.0, **changes}),
    )


def test_a_validator_that_has_just_started_is_a_note_and_nothing_to_do() -> None:
    """The last one of a new network observes two heights: nobody has to act."""
    diagnosis = diagnose(network(*(node(index, view(index, up_s=5.0)) for index in range(3)), young(3)))
    assert diagnosis.is_healthy
    assert codes(diagnosis) == ["starting"]
    assert diagnosis.headline == (
        "height 812 moves: block 811 came 1.2 s ago; validator-4 has started 4.0 s ago and will take part in a few seconds: nothing to do"
    )


@pytest.mark.parametrize(
    "state",
    [{}, {"mode": "syncing", "silence": None, "height": 1, "head": 0}, {"mode": "catching up"}],
    ids=["observing", "listening", "catching up"],
)
def test_a_whole_network_that_has_just_started_is_well(state: dict[str, Any]) -> None:
    diagnosis = diagnose(network(*(young(index, **state) for index in range(4))))
    assert diagnosis.is_healthy, diagnosis.findings
    assert codes(diagnosis) == ["starting"]
    assert "validator-1, validator-2, validator-3 and validator-4 have started" in diagnosis.headline


@pytest.mark.parametrize(
    ("desc", "facts", "code"),
    [
        ("it should sign by now", [young(3, up_s=21.0)], "observing"),
        ("it should follow by now", [young(3, up_s=21.0, mode="syncing", silence=None)], "behind"),
        ("it has lost its watermark", [young(3, silence="watermark lost")], "watermark-lost"),
        ("another process has its key", [young(3, silence="key in use elsewhere")], "key-shared"),
        (
            "its supervisor starts it again and again",
            [replace(young(3), process=ProcessFacts(pid=103, restarts=9, last_words=None))],
            "observing",
        ),
        ("it is not enough", [stopped(1), stopped(2), young(3)], "quorum-missing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_start_excuses_nothing_else(desc: str, facts: list[NodeFacts], code: str) -> None:
    others = [node(index, view(index)) for index in range(4 - len(facts))]
    diagnosis = diagnose(network(*others, *facts))
    assert not diagnosis.is_healthy, desc
    assert code in codes(diagnosis), (desc, codes(diagnosis))


def test_a_process_that_does_not_listen_yet_is_a_note_and_nothing_to_do() -> None:
    """Also one that its supervisor has just started again after a `kill -9`."""
    diagnosis = diagnose(network(*(node(index, view(index)) for index in range(3)), loading(3, restarts=1)))
    assert diagnosis.is_healthy
    assert codes(diagnosis) == ["starting"]
    assert diagnosis.headline.endswith(
        "; validator-4: the process has started 2.5 s ago and does not listen yet: nothing to do"
    )


def test_a_quorum_that_comes_back_by_itself_is_not_called_missing() -> None:
    here = [node(index, view(index, others={2: SILENT, 3: SILENT}, **STALLED)) for index in range(2)]
    diagnosis = diagnose(network(*here, loading(2), loading(3)))
    assert not diagnosis.is_healthy, "the height does not move"
    assert "quorum-missing" not in codes(diagnosis)
    assert (
        "has not moved for 41 s: validator-3 and validator-4: the processes have started 2.5 s ago and do not listen yet: nothing to do"
        in diagnosis.headline
    )
    alone = diagnose(network(*here, loading(2), stopped(3)))
    assert "quorum-missing" not in codes(alone), "three of four are enough"
    assert "quorum-missing" in codes(diagnose(network(here[0], stopped(1), loading(2), stopped(3))))


def test_a_height_that_waits_for_a_start_does_not_move() -> None:
    late = {"since_decision_s": 60.0, "round": 2}
    diagnosis = diagnose(
        network(*(node(index, view(index, **late)) for index in range(2)), young(2), stopped(3))
    )
    assert not diagnosis.is_healthy
    assert "quorum-missing" not in codes(diagnosis), "it comes by itself"


def test_validators_without_a_past_that_nobody_can_do_without_are_shown_the_page() -> None:
    lost = [young(index, up_s=100.0) for index in (2, 3)]
    diagnosis = diagnose(
        network(*(node(index, view(index, since_decision_s=90.0)) for index in (0, 1)), *lost)
    )
    finding = diagnosis.findings[0]
    assert finding.code == "quorum-missing"
    assert "missing: validator-3 (observing) and validator-4 (observing)" in finding.text
    assert "validator-3 and validator-4 can't know what they have signed: docs/guide/lost-disks.md" in (
        finding.action or ""
    )


def test_a_candidate_s_key_is_no_fault() -> None:
    candidate = node(
        3, view(None, validator=STRANGER, silence="not in the validator set"), key=STRANGER, role="candidate", name="candidate-1"
    )  # fmt: skip
    facts = network(*(node(index, view(index, strangers=(STRANGER,))) for index in range(4)), candidate)
    assert diagnose(facts).is_healthy


def test_a_round_after_the_first_and_a_far_connection_are_notes_only() -> None:
    diagnosis = diagnose(only(view(round=1, phase="proposal", others={3: {"is_connected": False}})))
    assert set(codes(diagnosis)) == {"round-waits", "not-connected"}
    assert diagnosis.is_healthy


def test_a_stranger_of_another_chain_is_a_note_and_one_of_long_ago_nothing() -> None:
    def refused(seconds_ago: float) -> RefusedPeer:
        return RefusedPeer(
            address="10.0.0.9:1",
            reason="network",
            genesis_hash=OTHER_GENESIS,
            validator=None,
            seconds_ago=seconds_ago,
        )

    diagnosis = diagnose(only(view(refused=(refused(3.0),))))
    assert codes(diagnosis) == ["other-genesis"]
    assert diagnosis.is_healthy
    assert diagnose(only(view(refused=(refused(3000.0),)))).findings == ()


def test_nobody_answers_is_no_traceback() -> None:
    diagnosis = diagnose(network(node(0, trouble=Trouble.MUTE, detail="no answer within 4 s"), local=None))
    assert diagnosis.headline.startswith("validator-1 does not answer")
    assert (diagnosis.height, diagnosis.is_moving, diagnosis.is_healthy) == (None, False, False)


def test_a_busy_machine_that_reads_all_clocks_late_accuses_none() -> None:
    late = {index: {"clock_skew_ms": -300} for index in (1, 2, 3)}
    assert diagnose(only(view(others=late))).is_healthy


def test_in_a_long_round_whoever_has_come_along_is_not_silent() -> None:
    """Nothing new is signed in a round of 32 s but the change to it."""
    here = {"last_message": heard(29.0), "signed": {"roundChange": 6}}
    dead = {
        "last_message": heard(200.0),
        "signed": {"roundChange": 2},
        "is_connected": False,
        "clock_skew_ms": None,
    }
    late = {**STALLED, "round": 6, "since_decision_s": 210.0}
    diagnosis = diagnose(
        only(view(others={1: here, 2: {**here, "signed": {"roundChange": 5}}, 3: dead}, **late))
    )
    silent = [finding.text for finding in diagnosis.findings if finding.code == "validator-silent"]
    assert [text.split(" ")[0] for text in silent] == ["0x4000000000000000000000000000000000000000"]
    assert "quorum-missing" not in codes(diagnosis)
