"""Reads what a node answers into facts; raises InvalidInput for a shape that is not known here."""

from __future__ import annotations

from typing import Any

from metanode.errors import InvalidInput
from metanode.primitives.hexadecimal import decode_quantity
from sdk.testnet.diagnosis.facts import (
    Accusation,
    ConsensusView,
    ForkView,
    LastMessage,
    RefusedPeer,
    ValidatorView,
)


def read_consensus(document: Any) -> ConsensusView:
    """The result of `ibft_getConsensusState`."""
    try:
        return _consensus(document)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"ibft_getConsensusState: unknown shape: {type(error).__name__} {error}") from None


def read_accusations(document: Any) -> tuple[Accusation, ...]:
    """The result of `ibft_getEvidence`."""
    try:
        return tuple(
            Accusation(
                rule=str(entry["rule"]), height=_number(entry["height"]), validator=str(entry["validator"])
            )
            for entry in document
        )
    except (KeyError, TypeError) as error:
        raise InvalidInput(f"ibft_getEvidence: unknown shape: {type(error).__name__} {error}") from None


def _consensus(found: dict[str, Any]) -> ConsensusView:
    halted = found["halted"]
    return ConsensusView(
        network=str(found["network"]),
        genesis_hash=str(found["genesisHash"]),
        period_s=_number(found["period"]),
        validator=found["validator"],
        signs=bool(found["signs"]),
        silence=found["silence"],
        mode=str(found["mode"]),
        halted=None if halted is None else str(halted["reason"]),
        fork=None if halted is None or halted["fork"] is None else _fork(halted["fork"]),
        head=_number(found["head"]),
        since_decision_s=float(found["secondsSinceDecision"]),
        up_s=float(found["upSeconds"]),
        sync_target=_number(found["syncTarget"]),
        engine_head=_number(found["engine"]["head"]),
        engine_backlog=_number(found["engine"]["backlog"]),
        engine_trouble=found["engine"]["trouble"],
        height=_number(found["height"]),
        round=_number(found["round"]),
        phase=str(found["phase"]),
        proposer=str(found["proposer"]),
        has_proposal=found["acceptedBlock"] is not None,
        is_proposal_valid=bool(found["acceptedValid"]),
        is_block_missing=found["missingBlock"] is not None,
        prepare_weight=_number(found["prepareWeight"]),
        commit_weight=_number(found["commitWeight"]),
        round_change_weight=_number(found["roundChangeWeight"]),
        quorum_weight=_number(found["quorumWeight"]),
        total_weight=_number(found["totalWeight"]),
        slot_ms=found["timersMs"]["slot"],
        round_ms=found["timersMs"]["round"],
        clock_offset_ms=found["clockOffsetMs"],
        validators=tuple(_validator(entry) for entry in found["validators"]),
        strangers=tuple(str(entry["address"]) for entry in found["strangers"]),
        refused=tuple(
            RefusedPeer(
                address=str(entry["address"]),
                reason=str(entry["reason"]),
                genesis_hash=str(entry["genesisHash"]),
                validator=entry["validator"],
                seconds_ago=float(entry["secondsAgo"]),
            )
            for entry in found["refusedPeers"]
        ),
    )


def _validator(found: dict[str, Any]) -> ValidatorView:
    wanted, last = found["roundWanted"], found["lastMessage"]
    return ValidatorView(
        address=str(found["address"]),
        power=_number(found["power"]),
        is_own=bool(found["own"]),
        is_connected=bool(found["connected"]),
        clock_skew_ms=None if found["peer"] is None else int(found["peer"]["clockSkewMs"]),
        round_wanted=None if wanted is None else _number(wanted),
        signed={
            kind: _number(entry["round"]) for kind, entry in found["signed"].items() if entry is not None
        },
        last_message=None
        if last is None
        else LastMessage(
            kind=str(last["type"]),
            height=_number(last["height"]),
            round=_number(last["round"]),
            seconds_ago=float(last["secondsAgo"]),
        ),
        last_active=_number(found["lastActive"]),
        is_skipped=bool(found["skipped"]),
    )


def _fork(found: dict[str, Any]) -> ForkView:
    return ForkView(
        height=_number(found["height"]),
        sealed_both=tuple(str(address) for address in found["sealedBoth"]),
        sealed_both_weight=_number(found["sealedBothWeight"]),
        total_weight=_number(found["totalWeight"]),
    )


def _number(value: Any) -> int:
    if not isinstance(value, str):
        raise TypeError(f"expected a quantity, found {value!r:.40}")
    return decode_quantity(value)
