"""What `ibft_getConsensusState` shows: where the open height stands on this node, and what it has heard of each validator.

What is said of others comes from messages that they have signed; heights and clocks that they merely claim are in `peer`. It costs a look at each
validator and peer, and reads memory only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metanode.chain.proposers import find_skipped
from metanode.consensus.messages import Step
from metanode.node.clock_offset import clock_offset_s
from metanode.primitives.hexadecimal import encode_data, encode_quantity
from metanode.primitives.types import Address, Round

if TYPE_CHECKING:
    from collections.abc import Mapping

    from metanode.chain.genesis import Genesis
    from metanode.node.driver import Driver
    from metanode.node.statistics import LastMessage
    from metanode.p2p.network import Network
    from metanode.p2p.ports import PeerInfo

_KINDS = {
    Step.PROPOSAL: "proposal",
    Step.PREPARE: "prepare",
    Step.COMMIT: "commit",
    Step.ROUND_CHANGE: "roundChange",
}


def describe_consensus(
    *, genesis: Genesis, driver: Driver, network: Network, own: Address | None, now_s: float
) -> Mapping[str, Any]:
    """The document, ready for JSON; `now_s` is the event loop's time."""
    snapshot = driver.snapshot
    peers = network.peers()
    offset_s = clock_offset_s(peers)
    silence = driver.silence
    return {
        "network": genesis.network_name,
        "chainId": encode_quantity(genesis.chain_id),
        "genesisHash": encode_data(genesis.hash),
        "chainTag": encode_data(driver.tip.header.chain_tag),
        "validator": None if own is None else encode_data(own),
        "head": encode_quantity(driver.final_height),
        "headTimestamp": encode_quantity(driver.tip.header.timestamp),
        "secondsSinceDecision": _ago(driver.statistics.decided_at_s, now_s),
        "period": encode_quantity(genesis.parameters.period_s),
        "upSeconds": _ago(driver.statistics.began_at_s or now_s, now_s),
        "height": encode_quantity(snapshot.height),
        "round": encode_quantity(snapshot.round),
        "phase": snapshot.phase.name.lower(),
        "mode": driver.mode.value,
        "signs": snapshot.signs and silence is None,
        "silence": None if silence is None else silence.value,
        "halted": None if driver.halted is None else driver.halted.to_json(),
        "syncTarget": encode_quantity(max(driver.target, driver.final_height)),
        "engine": {
            "head": encode_quantity(driver.engine.head),
            "backlog": encode_quantity(driver.engine.backlog),
            "trouble": driver.engine.trouble,
        },
        "proposer": encode_data(snapshot.proposer),
        "acceptedBlock": None if snapshot.accepted is None else encode_data(snapshot.accepted),
        "acceptedValid": snapshot.is_accepted_valid,
        "missingBlock": None if snapshot.missing_body is None else encode_data(snapshot.missing_body),
        "preparedRound": None
        if snapshot.prepared_round is None
        else encode_quantity(snapshot.prepared_round),
        "prepareWeight": encode_quantity(snapshot.prepare_weight),
        "commitWeight": encode_quantity(snapshot.commit_weight),
        "roundChangeWeight": encode_quantity(snapshot.round_change_weight),
        "quorumWeight": encode_quantity(snapshot.quorum_weight),
        "totalWeight": encode_quantity(snapshot.total_power),
        "timersMs": dict(driver.timers_ms),
        "timerArmed": driver.is_timer_armed,
        "messagesKept": encode_quantity(snapshot.kept),
        "clockOffsetMs": None if offset_s is None else round(offset_s * 1000),
        "validators": _validators(driver, peers, own, now_s),
        "strangers": [
            {"address": encode_data(peer.proven), "peer": _peer(peer)}
            for peer in peers
            if peer.proven is not None and not peer.is_validator
        ],
        "refusedPeers": [
            {
                "address": refusal.address,
                "client": refusal.client[:200],
                "reason": refusal.reason,
                "genesisHash": encode_data(refusal.genesis_hash),
                "chainId": encode_quantity(refusal.chain_id),
                "validator": None if refusal.validator is None else encode_data(refusal.validator),
                "times": encode_quantity(refusal.times),
                "secondsAgo": _ago(refusal.at_s, now_s),
            }
            for refusal in network.refusals()
        ],
    }


def _validators(
    driver: Driver, peers: list[PeerInfo], own: Address | None, now_s: float
) -> list[dict[str, Any]]:
    snapshot, statistics, state = driver.snapshot, driver.statistics, driver.tip.state
    active = {
        validator.address: standing.last_active
        for validator, standing in zip(state.validators, state.standings, strict=True)
    }
    skipped = find_skipped(state.validators, active, snapshot.height)
    connected = {peer.proven: peer for peer in peers if peer.proven is not None}
    signed: dict[tuple[Address, str], Round] = {}
    for author, statement in driver.statements:
        key = (author, _KINDS[statement.step])
        signed[key] = max(signed.get(key, Round(0)), statement.round)
    found = []
    for validator in state.validators:
        address = validator.address
        peer = connected.get(address)
        wanted = snapshot.round_change_rounds.get(address)
        seal = statistics.last_seals.get(address)
        found.append(
            {
                "address": encode_data(address),
                "power": encode_quantity(validator.power),
                "own": address == own,
                "connected": peer is not None or address == own,
                "peer": None if peer is None else _peer(peer),
                "roundWanted": None if wanted is None else encode_quantity(wanted),
                "signed": {
                    kind: {
                        "round": encode_quantity(signed[address, kind]),
                        "secondsAgo": _heard_ago(driver, address, kind, now_s),
                    }
                    if (address, kind) in signed
                    else None
                    for kind in _KINDS.values()
                },
                "lastMessage": _last_message(statistics.last_messages.get(address), now_s),
                "lastSeal": None if seal is None else encode_quantity(seal),
                "lastActive": encode_quantity(active[address]),
                "skipped": address in skipped,
            }
        )
    return found


def _peer(peer: PeerInfo) -> dict[str, Any]:
    return {
        "address": peer.address,
        "height": encode_quantity(peer.height),
        "clockSkewMs": peer.clock_skew_ms,
        "roundTripMs": peer.round_trip_ms,
        "connectedSeconds": round(peer.connected_s, 1),
    }


def _last_message(heard: LastMessage | None, now_s: float) -> dict[str, Any] | None:
    if heard is None:
        return None
    return {
        "type": heard.kind,
        "height": encode_quantity(heard.height),
        "round": encode_quantity(heard.round),
        "secondsAgo": _ago(heard.at_s, now_s),
    }


def _heard_ago(driver: Driver, address: Address, kind: str, now_s: float) -> float | None:
    """When such a message of the open height came last from its author; None of what was only seen inside other messages."""
    name = "round_change" if kind == "roundChange" else kind
    heard = driver.statistics.last_by_kind.get((address, name))
    return None if heard is None or heard.height != driver.snapshot.height else _ago(heard.at_s, now_s)


def _ago(at_s: float, now_s: float) -> float:
    return round(max(0.0, now_s - at_s), 1)
