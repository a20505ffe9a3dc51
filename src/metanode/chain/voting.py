"""Votes on membership, in the way of Besu's IBFT 2.0 (docs/spec/chain.md, The state after a block).

A block carries at most one vote, its recorded proposer's. A subject joins or leaves when more than half of the current validators hold
the same open vote on it: floor(N / 2) + 1. The change counts from the next height. When it happens all votes on that subject are dropped,
and on a removal also the votes by the removed one. The first block of an epoch carries no vote and clears all that are open.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from metanode.chain.validators import VALIDATORS_MAX, ValidatorSet
from metanode.errors import InvalidBlock
from metanode.primitives import rlp
from metanode.primitives.types import ZERO_ADDRESS, Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """A wish to add or to drop one validator."""

    subject: Address
    add: bool
    """True to add, False to drop."""

    def to_item(self) -> rlp.Item:
        """Return the vote as RLP."""
        return [self.subject, rlp.integer(int(self.add))]

    @classmethod
    def from_item(cls, item: "list[rlp.Decoded]") -> "Vote | None":
        """Return the vote of decoded RLP, None for the empty list."""
        if not item:
            return None
        fields = rlp.Reader(item, "vote")
        vote = cls(subject=fields.address("subject"), add=bool(fields.integer("add", bits=1)))
        fields.end()
        return vote


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class OpenVote:
    """A vote that has been cast and not yet counted out."""

    subject: Address
    voter: Address
    add: bool


def validate_vote(
    vote: Vote,
    *,
    voter: Address,
    validators: ValidatorSet,
    open_votes: Iterable[OpenVote],
    epoch_block: bool,
    validators_max: int = VALIDATORS_MAX,
) -> None:
    """Raise InvalidBlock for a vote that changes nothing or must not be: a member or one too many added, a stranger or the last one dropped."""
    subject = vote.subject
    if epoch_block:
        raise InvalidBlock("vote: the first block of an epoch carries no vote")
    if subject == ZERO_ADDRESS:
        raise InvalidBlock("vote.subject: expected an address other than zero")
    if vote.add and subject in validators:
        raise InvalidBlock(f"vote: 0x{subject.hex()} is a validator already")
    if vote.add and len(validators) >= validators_max:
        raise InvalidBlock(
            f"vote: there are {len(validators)} validators already, of {validators_max} that there may be"
        )
    if not vote.add and subject not in validators:
        raise InvalidBlock(f"vote: 0x{subject.hex()} is no validator")
    if not vote.add and len(validators) == 1:
        raise InvalidBlock("vote: the last validator cannot be dropped")
    if OpenVote(subject=subject, voter=voter, add=vote.add) in open_votes:
        raise InvalidBlock(f"vote: 0x{voter.hex()} has cast this vote on 0x{subject.hex()} already")


def tally(
    vote: Vote | None,
    *,
    voter: Address,
    validators: ValidatorSet,
    open_votes: tuple[OpenVote, ...],
    epoch_block: bool,
) -> tuple[ValidatorSet, tuple[OpenVote, ...]]:
    """Return the next height's set and the votes still open after a valid vote, or none, of the block's proposer."""
    if epoch_block:
        return validators, ()
    if vote is None:
        return validators, open_votes
    subject = vote.subject
    kept = [held for held in open_votes if (held.subject, held.voter) != (subject, voter)]
    kept.append(OpenVote(subject=subject, voter=voter, add=vote.add))
    agreeing = sum(
        held.subject == subject and held.add == vote.add and held.voter in validators for held in kept
    )
    if agreeing <= len(validators) // 2:
        return validators, tuple(sorted(kept))
    changed = validators.adding(subject) if vote.add else validators.dropping(subject)
    return changed, prune_votes((held for held in kept if held.subject != subject), changed)


def prune_votes(open_votes: Iterable[OpenVote], validators: ValidatorSet) -> tuple[OpenVote, ...]:
    """Return the votes that still mean something under a new set: by members, and for a change."""
    return tuple(
        sorted(
            held
            for held in open_votes
            if held.voter in validators and held.add != (held.subject in validators)
        )
    )


def choose_vote(
    wishes: Mapping[Address, bool],
    *,
    voter: Address,
    validators: ValidatorSet,
    open_votes: tuple[OpenVote, ...],
    epoch_block: bool,
    validators_max: int = VALIDATORS_MAX,
) -> Vote | None:
    """Return the first of a proposer's wishes, by address, that would change something; a vote that is cast makes room for the next."""
    for subject in sorted(wishes):
        vote = Vote(subject=subject, add=wishes[subject])
        try:
            validate_vote(
                vote,
                voter=voter,
                validators=validators,
                open_votes=open_votes,
                epoch_block=epoch_block,
                validators_max=validators_max,
            )
        except InvalidBlock:
            continue
        return vote
    return None
