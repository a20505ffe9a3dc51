"""What a node may answer: the real thing, and everything that a liar may say in its place."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metanode.errors import InvalidInput
from sdk.testnet.diagnosis.diagnose import diagnose
from sdk.testnet.diagnosis.facts import NetworkFacts, NodeFacts
from sdk.testnet.diagnosis.reading import printable, read_accusations, read_consensus

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS = "0x" + "1" * 40
STATE: dict[str, Any] = {
    "network": "net", "genesisHash": "0x" + "aa" * 32, "period": "0x2", "validator": ADDRESS, "signs": True, "silence": None,
    "mode": "live",
    "halted": {
        "reason": "two blocks",
        "fork": {"height": "0x9", "sealedBoth": [ADDRESS], "sealedBothWeight": "0x1", "totalWeight": "0x4"},
    },
    "head": "0x8", "secondsSinceDecision": 1.5, "upSeconds": 60.0, "syncTarget": "0x8",
    "engine": {"head": "0x8", "backlog": "0x0", "trouble": "the disk is full"}, "height": "0x9", "round": "0x1", "phase": "prepare",
    "proposer": ADDRESS, "acceptedBlock": None, "acceptedValid": False, "missingBlock": None, "prepareWeight": "0x0",
    "commitWeight": "0x0", "roundChangeWeight": "0x0", "quorumWeight": "0x1", "totalWeight": "0x1",
    "timersMs": {"slot": 100, "round": None, "resend": 1}, "clockOffsetMs": -3,
    "validators": [
        {
            "address": ADDRESS, "power": "0x1", "own": False, "connected": True, "peer": {"clockSkewMs": 4}, "roundWanted": "0x1",
            "signed": {"prepare": {"round": "0x0"}, "commit": None},
            "lastMessage": {"type": "commit", "height": "0x9", "round": "0x0", "secondsAgo": 0.5}, "lastActive": "0x8", "skipped": False,
        }
    ],
    "strangers": [{"address": ADDRESS}],
    "refusedPeers": [
        {"address": "10.0.0.1:1", "reason": "genesis", "genesisHash": "0x00", "validator": None, "secondsAgo": 2.0}
    ],
}  # fmt: skip
EVIDENCE = [{"rule": "equivocation", "height": "0x1", "validator": ADDRESS}]
LIES: list[Any] = [
    None, True, -1, 0, 2**80, 1.5, -0.5, float("nan"), float("inf"), 1e300, "", "0x", "0xg", "0x" + "f" * 64, "x" * 100_000,
    "\x1b[2J\n  to do: rm -rf /", [], {}, [[]], [{}], {"a": 1}, [None] * 10_000,
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in entries:
        yield from places(inner, (*path, key))


def told(document: Any, path: tuple[Any, ...], lie: Any) -> Any:
    """The document with a lie in one place."""
    if not path:
        return lie
    changed = copy.deepcopy(document)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = lie
    return changed


def examine(state: Any, evidence: Any) -> None:
    """Read it, and say what comes of it; a shape that is not known is refused, and whatever is said fits on a line."""
    try:
        facts = NodeFacts(
            name="http://there",
            url="http://there",
            consensus=read_consensus(state),
            accusations=read_accusations(evidence),
        )
    except InvalidInput as error:
        refusal = str(error)
    else:
        refusal = ""
    assert len(refusal) < 500, refusal
    if refusal:
        return
    diagnosis = diagnose(NetworkFacts(nodes=(facts,)))
    for text in (diagnosis.headline, *(finding.text for finding in diagnosis.findings)):
        assert text.isprintable(), text


def test_what_a_node_says_is_read() -> None:
    view = read_consensus(STATE)
    assert (view.height, view.slot_ms, view.engine_trouble) == (9, 100, "the disk is full")
    assert [entry.rule for entry in read_accusations(EVIDENCE)] == ["equivocation"]
    examine(STATE, EVIDENCE)


@pytest.mark.parametrize("path", list(places(STATE)), ids=lambda path: ".".join(map(str, path)) or "all")
def test_a_lie_in_any_place_is_refused_or_said_and_never_an_accident(path: tuple[Any, ...]) -> None:
    for lie in LIES:
        examine(told(STATE, path, lie), EVIDENCE)
        calm = told(STATE, ("halted",), None)
        if path[:1] != ("halted",):
            examine(told(calm, path, lie), EVIDENCE)


@pytest.mark.parametrize("path", list(places(EVIDENCE)), ids=lambda path: ".".join(map(str, path)) or "all")
def test_a_lie_in_a_proof_too(path: tuple[Any, ...]) -> None:
    for lie in LIES:
        examine(STATE, told(EVIDENCE, path, lie))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(state=json_values, evidence=json_values)
def test_anything_else_is_refused(state: Any, evidence: Any) -> None:
    examine(state, evidence)


def test_a_stranger_s_text_can_neither_end_a_line_nor_command_a_terminal() -> None:
    assert printable("a\nb\x1b[31mc\u202ed\x00", 8) == "a b [31m"
    assert json.dumps(printable("\u2028x", 9)) == '" x"'
