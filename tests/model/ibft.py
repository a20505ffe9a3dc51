"""One height of the protocol as a model small enough to search whole (docs/spec/consensus.md).

Four validators of equal power, two values, rounds 0 to 2; the proposer of round r is validator r. Byzantine validators
sign whatever helps, so their messages are not stored: what they could sign counts as signed. The network is a
set of signed messages that only grows; who reads which of them, and when, is the adversary's choice. That covers loss, delay,
duplication, reordering and partitions.

An honest validator has two halves. What it *remembers* is its round, the value it accepted there and its latest
prepared certificate. What it *signed* is in the network for ever. A crash may take from the first, never from the second.

The model is more liberal than the product, which can only add behaviour: a validator leaves its round at any time and for any
later one, it goes on after deciding, a proposer chooses any quorum of round changes, and messages are read or not at will.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, auto
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

VALIDATORS = 4
ROUNDS = 3
VALUES = (0, 1)
NONE = -1
"""No value; no certificate. A prepared certificate is the number 2 * round + value."""
DONE = ROUNDS
"""The round of a validator that sealed a decision and rests."""
CACHED = 1 << 16
"""Answers kept of each derived question; most states share them."""


class Lost(Flag):
    """What a crash takes from a validator's memory."""

    NOTHING = 0
    ROUND = auto()
    """The round, and with it what was accepted there."""
    CERTIFICATE = auto()
    """The latest prepared certificate."""


@dataclass(frozen=True)
class Rules:
    """What is examined; each default is the product's rule."""

    byzantine: frozenset[int] = frozenset({3})
    crash_loses: Lost = Lost.NOTHING
    quorum: int = 3
    highest_certificate_wins: bool = True
    commit_needs_certificate: bool = True
    seals_after_decision: bool = False
    """A validator that learns a decision still signs its COMMIT for it (docs/spec/consensus.md, A round, 5)."""
    seal_respects_watermark: bool = True
    """But not in a round that it has left."""


class Validator(NamedTuple):
    """An honest validator. What it signed is one mask a round: bit v for value v, for round changes bit 1 + certificate."""

    round: int
    accepted: int
    certificate: int
    prepares: tuple[int, ...]
    commits: tuple[int, ...]
    round_changes: tuple[int, ...]


State = tuple[Validator | None, ...]
"""All validators; None stands for a Byzantine one."""
Masks = tuple[tuple[int, ...] | None, ...]
"""One kind of signature of all validators."""

START = Validator(0, NONE, NONE, (0,) * ROUNDS, (0,) * ROUNDS, (0,) * ROUNDS)


def start(rules: Rules) -> State:
    """Everybody honest in round 0 with nothing signed."""
    return tuple(None if index in rules.byzantine else START for index in range(VALIDATORS))


def successors(state: State, rules: Rules) -> Iterator[State]:
    """Every state that one step of one honest validator leads to."""
    certificates = _certificates(tuple(validator and validator.prepares for validator in state), rules)
    round_changes = tuple(validator and validator.round_changes for validator in state)
    justified = tuple(_justified(round_changes, rules, round_, certificates) for round_ in range(ROUNDS))
    decided = decisions(state, rules) if rules.seals_after_decision else frozenset()
    for index, validator in enumerate(state):
        if validator is None:
            continue
        proposed = tuple(_proposed(state, index, round_, justified[round_]) for round_ in range(ROUNDS))
        for after in _steps(validator, rules, proposed, certificates, decided):
            if after != validator:
                yield (*state[:index], after, *state[index + 1 :])


@lru_cache(maxsize=CACHED)
def _steps(
    validator: Validator,
    rules: Rules,
    proposed: tuple[frozenset[int], ...],
    certificates: frozenset[int],
    decided: frozenset[tuple[int, int]],
) -> tuple[Validator, ...]:
    """What one validator may become."""
    steps = []
    for round_ in range(validator.round, ROUNDS):
        # It accepts a proposal of its round or, by its justification, of a later one; or makes it, as the proposer.
        # Either way its signature counts as a prepare.
        if validator.accepted == NONE or round_ > validator.round:
            steps += [
                validator._replace(
                    round=round_, accepted=value, prepares=_sign(validator.prepares, round_, value)
                )
                for value in proposed[round_]
            ]
        # It leaves for a later round: a timeout, or the jump after F+1.
        if round_ > validator.round:
            round_changes = _sign(validator.round_changes, round_, 1 + validator.certificate)
            steps.append(validator._replace(round=round_, accepted=NONE, round_changes=round_changes))
    if validator.accepted != NONE:
        prepared = 2 * validator.round + validator.accepted
        if prepared in certificates or not rules.commit_needs_certificate:
            steps.append(
                validator._replace(
                    certificate=prepared if prepared in certificates else validator.certificate,
                    commits=_sign(validator.commits, validator.round, validator.accepted),
                )
            )
    steps += [
        validator._replace(round=DONE, accepted=NONE, commits=_sign(validator.commits, round_, value))
        for round_, value in decided
        if round_ >= validator.round or not rules.seal_respects_watermark
    ]
    if Lost.ROUND in rules.crash_loses:
        steps.append(validator._replace(round=0, accepted=NONE))
    if Lost.CERTIFICATE in rules.crash_loses:
        steps.append(validator._replace(certificate=NONE))
    return tuple(steps)


def decisions(state: State, rules: Rules) -> frozenset[tuple[int, int]]:
    """Each (round, value) that a quorum of commits decides."""
    return _decisions(tuple(validator and validator.commits for validator in state), rules)


def has_fork(state: State, rules: Rules) -> bool:
    """Whether two values are decided."""
    return len({value for _, value in decisions(state, rules)}) > 1


@lru_cache(maxsize=CACHED)
def is_convictable(validator: Validator) -> bool:
    """Whether its own signatures would convict it (docs/spec/consensus.md, Accountability)."""
    if any(mask & (mask - 1) for mask in (*validator.prepares, *validator.commits, *validator.round_changes)):
        return True
    return any(
        # Bits below 1 + 2 * committed: no certificate, or one of an earlier round.
        validator.commits[committed] and validator.round_changes[left] & ((1 << (1 + 2 * committed)) - 1)
        for committed in range(ROUNDS)
        for left in range(committed + 1, ROUNDS)
    )


@lru_cache(maxsize=CACHED)
def _decisions(commits: Masks, rules: Rules) -> frozenset[tuple[int, int]]:
    return frozenset(
        (round_, value)
        for round_ in range(ROUNDS)
        for value in VALUES
        if _signers(commits, round_, value) >= rules.quorum
    )


@lru_cache(maxsize=CACHED)
def _certificates(prepares: Masks, rules: Rules) -> frozenset[int]:
    """The certificates that can be made: the proposal and prepares of a quorum in all."""
    return frozenset(
        2 * round_ + value
        for round_ in range(ROUNDS)
        for value in VALUES
        if _signs(prepares[round_], round_, value) and _signers(prepares, round_, value) >= rules.quorum
    )


@lru_cache(maxsize=CACHED)
def _justified(
    round_changes: Masks, rules: Rules, round_: int, certificates: frozenset[int]
) -> frozenset[int]:
    """The values for which some quorum of round changes speaks (docs/spec/consensus.md, Messages)."""
    if round_ == 0:
        return frozenset(VALUES)
    forged = [NONE, *(certificate for certificate in certificates if certificate // 2 < round_)]
    offers = [
        forged if masks is None else [bit - 1 for bit in range(2 * ROUNDS + 1) if masks[round_] >> bit & 1]
        for masks in round_changes
    ]
    values: set[int] = set()
    for chosen in {offer for offered in offers for offer in offered}:
        # NONE // 2 is -1: a quorum without any certificate leaves the choice free.
        beside = sum(
            any(
                offer // 2 <= chosen // 2 or (chosen != NONE and not rules.highest_certificate_wins)
                for offer in offered
            )
            for offered in offers
        )
        if beside >= rules.quorum:
            values |= set(VALUES) if chosen == NONE else {chosen % 2}
    return frozenset(values)


def _proposed(state: State, index: int, round_: int, justified: frozenset[int]) -> frozenset[int]:
    """The values that a validator may accept in a round, or propose where it is the proposer."""
    proposer = state[round_]
    if proposer is None or round_ == index:
        return justified
    return frozenset(value for value in VALUES if proposer.prepares[round_] >> value & 1)


def _signers(masks: Masks, round_: int, value: int) -> int:
    return sum(_signs(mask, round_, value) for mask in masks)


def _signs(masks: tuple[int, ...] | None, round_: int, value: int) -> bool:
    """Whether a validator signed a value; a Byzantine one signs everything."""
    return masks is None or bool(masks[round_] >> value & 1)


def _sign(masks: tuple[int, ...], round_: int, bit: int) -> tuple[int, ...]:
    return (*masks[:round_], masks[round_] | 1 << bit, *masks[round_ + 1 :])
