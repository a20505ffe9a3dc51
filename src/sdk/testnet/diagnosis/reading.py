"""Reads what a node answers into facts; raises InvalidInput for a shape that is not known here.

Who answers may be anybody: numbers are finite, lists are bounded, and texts hold nothing that a terminal would obey.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, TypeVar

from metanode.chain.validators import VALIDATORS_MAX
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

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")

WORDS_MAX: Final = 16_384
"""Characters of one text: why a fork halted a node names every validator twice."""
NAME_MAX: Final = 200
"""Characters of a hash, an address, a mode."""
LIST_MAX: Final = 1_024
"""Entries of a list that is not of validators."""
MILLISECONDS_MAX: Final = 2**53
"""Beyond it a JSON number is not exact."""


def printable(text: str, length_max: int) -> str:
    """A stranger's text as it may stand in a terminal: without line ends and control characters, cut at a length."""
    return "".join(character if character.isprintable() else " " for character in text[:length_max])


def read_consensus(document: Any) -> ConsensusView:
    """The result of `ibft_getConsensusState`."""
    try:
        return _consensus(document)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InvalidInput(f"ibft_getConsensusState: unknown shape: {type(error).__name__} {error}") from None


def read_accusations(document: Any) -> tuple[Accusation, ...]:
    """The result of `ibft_getEvidence`."""
    try:
        return tuple(
            Accusation(
                rule=_name(entry["rule"]),
                height=_number(entry["height"]),
                validator=_name(entry["validator"]),
            )
            for entry in _list(document)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"ibft_getEvidence: unknown shape: {type(error).__name__} {error}") from None


def read_wishes(document: Any) -> dict[str, bool]:
    """The result of `ibft_getPendingVotes`: whom to add, and whom not."""
    if not isinstance(document, dict):
        raise InvalidInput(f"ibft_getPendingVotes: expected an object, found {document!r:.40}")
    wishes = list(document.items())[:LIST_MAX]
    return {_name(address).lower(): adding is True for address, adding in wishes}


def _consensus(found: dict[str, Any]) -> ConsensusView:
    halted = found["halted"]
    return ConsensusView(
        network=_name(found["network"]),
        genesis_hash=_name(found["genesisHash"]),
        period_s=_number(found["period"]),
        validator=_perhaps(_name, found["validator"]),
        signs=bool(found["signs"]),
        silence=_perhaps(_name, found["silence"]),
        mode=_name(found["mode"]),
        halted=None if halted is None else _words(halted["reason"]),
        fork=None if halted is None or halted["fork"] is None else _fork(halted["fork"]),
        head=_number(found["head"]),
        since_decision_s=_seconds(found["secondsSinceDecision"]),
        up_s=_seconds(found["upSeconds"]),
        sync_target=_number(found["syncTarget"]),
        engine_head=_number(found["engine"]["head"]),
        engine_backlog=_number(found["engine"]["backlog"]),
        engine_trouble=_perhaps(_words, found["engine"]["trouble"]),
        height=_number(found["height"]),
        round=_number(found["round"]),
        phase=_name(found["phase"]),
        proposer=_name(found["proposer"]),
        has_proposal=found["acceptedBlock"] is not None,
        is_proposal_valid=bool(found["acceptedValid"]),
        is_block_missing=found["missingBlock"] is not None,
        prepare_weight=_number(found["prepareWeight"]),
        commit_weight=_number(found["commitWeight"]),
        round_change_weight=_number(found["roundChangeWeight"]),
        quorum_weight=_number(found["quorumWeight"]),
        total_weight=_number(found["totalWeight"]),
        slot_ms=_perhaps(_milliseconds, found["timersMs"]["slot"]),
        round_ms=_perhaps(_milliseconds, found["timersMs"]["round"]),
        clock_offset_ms=_perhaps(_milliseconds, found["clockOffsetMs"]),
        validators=tuple(_validator(entry) for entry in _list(found["validators"], VALIDATORS_MAX)),
        strangers=tuple(_name(entry["address"]) for entry in _list(found["strangers"])),
        refused=tuple(
            RefusedPeer(
                address=_name(entry["address"]),
                reason=_name(entry["reason"]),
                genesis_hash=_name(entry["genesisHash"]),
                validator=_perhaps(_name, entry["validator"]),
                seconds_ago=_seconds(entry["secondsAgo"]),
            )
            for entry in _list(found["refusedPeers"])
        ),
    )


def _validator(found: dict[str, Any]) -> ValidatorView:
    wanted, last = found["roundWanted"], found["lastMessage"]
    return ValidatorView(
        address=_name(found["address"]),
        power=_number(found["power"]),
        is_own=bool(found["own"]),
        is_connected=bool(found["connected"]),
        clock_skew_ms=None if found["peer"] is None else _milliseconds(found["peer"]["clockSkewMs"]),
        round_wanted=None if wanted is None else _number(wanted),
        signed={
            _name(kind): _number(entry["round"])
            for kind, entry in found["signed"].items()
            if entry is not None
        },
        last_message=None
        if last is None
        else LastMessage(
            kind=_name(last["type"]),
            height=_number(last["height"]),
            round=_number(last["round"]),
            seconds_ago=_seconds(last["secondsAgo"]),
        ),
        last_active=_number(found["lastActive"]),
        is_skipped=bool(found["skipped"]),
    )


def _fork(found: dict[str, Any]) -> ForkView:
    return ForkView(
        height=_number(found["height"]),
        sealed_both=tuple(_name(address) for address in _list(found["sealedBoth"], VALIDATORS_MAX)),
        sealed_both_weight=_number(found["sealedBothWeight"]),
        total_weight=_number(found["totalWeight"]),
    )


def _perhaps(read: Callable[[Any], Value], value: Any) -> Value | None:
    return None if value is None else read(value)


def _list(value: Any, length_max: int = LIST_MAX) -> list[Any]:
    if not isinstance(value, list) or len(value) > length_max:
        raise TypeError(f"expected a list of at most {length_max}, found {value!r:.40}")
    return value


def _words(value: Any, length_max: int = WORDS_MAX) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, found {value!r:.40}")
    return printable(value, length_max)


def _name(value: Any) -> str:
    return _words(value, NAME_MAX)


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise TypeError(f"expected seconds, found {value!r:.40}")
    return float(value)


def _milliseconds(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MILLISECONDS_MAX:
        raise TypeError(f"expected milliseconds, found {value!r:.40}")
    return value


def _number(value: Any) -> int:
    if not isinstance(value, str):
        raise TypeError(f"expected a quantity, found {value!r:.40}")
    return decode_quantity(value)
