"""Networks as a monitor sees them, made up: facts, pages and blocks."""

from __future__ import annotations

from typing import Any

from sdk.testnet.diagnosis.facts import (
    ConsensusView,
    LastMessage,
    NetworkFacts,
    NodeFacts,
    Trouble,
    ValidatorView,
)
from sdk.testnet.monitoring.memory import Memory
from sdk.testnet.monitoring.observation import Block, Observation
from sdk.testnet.monitoring.page import MetricsPage, read_page
from sdk.testnet.monitoring.view import Picture, picture

KEYS = tuple(f"0x{n}{'0' * 39}" for n in range(1, 8))
GENESIS = "0x" + "aa" * 32


def heard(seconds_ago: float) -> LastMessage:
    return LastMessage(kind="commit", height=811, round=0, seconds_ago=seconds_ago)


def consensus(
    own: int | None = 0,
    *,
    count: int = 4,
    silent: tuple[int, ...] = (),
    silent_s: float = 41.0,
    powers: tuple[int, ...] = (),
    members: dict[int, dict[str, Any]] | None = None,
    **changes: Any,
) -> ConsensusView:
    """What a node of a network of so many validators says, some of which are silent."""
    powers = powers or (1,) * count
    validators = []
    for index in range(count):
        fields: dict[str, Any] = {
            "address": KEYS[index], "power": powers[index], "is_own": index == own, "is_connected": index not in silent,
            "clock_skew_ms": None if index == own else 3, "round_wanted": None, "signed": {"prepare": 0},
            "last_message": None if index == own else heard(silent_s if index in silent else 1.0),
            "last_active": 811, "is_skipped": False,
        }  # fmt: skip
        validators.append(ValidatorView(**{**fields, **(members or {}).get(index, {})}))
    fields = {
        "network": "net", "genesis_hash": GENESIS, "period_s": 2, "validator": None if own is None else KEYS[own],
        "signs": own is not None, "silence": None if own is not None else "follower", "mode": "live", "halted": None, "fork": None,
        "head": 811, "since_decision_s": 1.2, "up_s": 600.0, "sync_target": 811, "engine_head": 811, "engine_backlog": 0,
        "engine_trouble": None, "height": 812, "round": 0, "phase": "prepare", "proposer": KEYS[1], "has_proposal": True,
        "is_proposal_valid": True, "is_block_missing": False, "prepare_weight": 1, "commit_weight": 0, "round_change_weight": 0,
        "quorum_weight": -(-2 * sum(powers) // 3), "total_weight": sum(powers), "slot_ms": None, "round_ms": 3000,
        "clock_offset_ms": 0, "validators": tuple(validators), "strangers": (), "refused": (),
    }  # fmt: skip
    return ConsensusView(**{**fields, **changes})


def node(index: int, view: ConsensusView | None, **changes: Any) -> NodeFacts:
    fields: dict[str, Any] = {
        "name": f"validator-{index + 1}", "url": f"http://user:secret@v{index + 1}:8545", "role": "validator", "consensus": view,
    }  # fmt: skip
    if view is None:
        fields["trouble"] = Trouble.UNREACHABLE
    return NodeFacts(**{**fields, **changes})


def network(*, count: int = 4, down: tuple[int, ...] = (), **changes: Any) -> tuple[NodeFacts, ...]:
    """All nodes; those that are down are not heard either."""
    return tuple(
        node(index, None if index in down else consensus(index, count=count, silent=down, **changes))
        for index in range(count)
    )


def page(text: str) -> MetricsPage:
    return read_page(text)


def block(number: int, timestamp: int, **changes: Any) -> Block:
    fields: dict[str, Any] = {
        "number": number, "hash": f"0x{number:064x}", "timestamp": timestamp, "transactions": 0, "gas_used": 0,
        "gas_limit": 60_000_000, "fee_recipient": KEYS[0], "round": 0, "sealed_by": KEYS[:4],
        "proposer": KEYS[number % 4],
    }  # fmt: skip
    return Block(**{**fields, **changes})


def observed(*nodes: NodeFacts, at_s: float = 1000.0, **changes: Any) -> Observation:
    return Observation(at_s=at_s, facts=NetworkFacts(nodes=nodes), **changes)


def pictured(observation: Observation, memory: Memory | None = None) -> Picture:
    found = picture(observation, Memory() if memory is None else memory)
    assert found is not None
    return found
