"""Why a later round's proposal is safe: its block is the highest one that could have been decided before, or none could have been.

The safety argument (docs/spec/consensus.md): whoever decided a block in an earlier round did so after a quorum prepared it; every quorum of round
changes shares an honest validator with that quorum, whose claim names the block, and the highest claim wins. A node does not compare with
its own prepared certificate: the quorum's word is enough.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from metanode.chain.quorum import QuorumRule
from metanode.chain.state import ConsensusState
from metanode.chain.validators import ValidatorSet
from metanode.consensus.messages import Justification, PreparedCertificate, Proposal, RoundChange
from metanode.errors import InvalidInput
from metanode.primitives.types import Address, Height, Round


class InvalidJustification(InvalidInput):
    """A prepared certificate or a justification does not prove what it claims."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Electorate:
    """Who votes on one height, and in which order they propose. Fixed for all its rounds."""

    height: Height
    validators: ValidatorSet
    rule: QuorumRule
    order: tuple[Address, ...]
    """Proposers of rounds 0 to N - 1."""
    total_power: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "total_power", self.validators.total_power)

    @classmethod
    def after(cls, state: ConsensusState, rule: QuorumRule) -> "Electorate":
        """Return the electorate of the height after a state's."""
        return cls(
            height=Height(state.height + 1),
            validators=state.validators,
            rule=rule,
            order=state.proposer_order(rule),
        )

    def proposer(self, round_: Round) -> Address:
        """Return who proposes in a round."""
        return self.order[round_ % len(self.order)]

    def is_quorum(self, signers: Iterable[Address]) -> bool:
        """Tell whether these signers decide."""
        return self.validators.is_quorum(signers, self.rule)

    def has_honest(self, signers: Iterable[Address]) -> bool:
        """Tell whether one of these signers must be honest."""
        return self.validators.has_honest(signers, self.rule)


def verify_prepared(prepared: PreparedCertificate, electorate: Electorate, *, before: Round) -> None:
    """Raise InvalidJustification unless a quorum prepared this block, proposed by the right one, in a round before `before`."""
    if prepared.round >= before:
        raise InvalidJustification(f"prepared.round: expected less than {before}, found {prepared.round}")
    proposer = electorate.proposer(prepared.round)
    if prepared.proposal.author != proposer:
        raise InvalidJustification(
            f"prepared.proposal: round {prepared.round} is 0x{proposer.hex()}'s, found 0x{prepared.proposal.author.hex()}"
        )
    authors = [seal.author for seal in prepared.prepares]
    _distinct_members("prepared.prepares", authors, electorate)
    if proposer in authors:
        raise InvalidJustification("prepared.prepares: the proposer's proposal is its prepare, found another")
    if not electorate.is_quorum([proposer, *authors]):
        raise InvalidJustification(
            f"prepared.prepares: {len(authors)} and the proposal are less than a quorum"
        )


def verify_justification(proposal: Proposal, electorate: Electorate) -> None:
    """Raise InvalidJustification unless this block may be proposed in this round."""
    header, round_ = proposal.header, proposal.round
    justification = proposal.justification
    if justification is None:
        if round_ != 0 or header.proposal_round != 0:
            raise InvalidJustification(
                f"justification: missing in round {round_} for a block of round {header.proposal_round}"
            )
        return
    authors = [claim.author for claim in justification.claims]
    _distinct_members("justification.claims", authors, electorate)
    if not electorate.is_quorum(authors):
        raise InvalidJustification(f"justification.claims: {len(authors)} are less than a quorum")
    claimed = [claim.prepared for claim in justification.claims if claim.prepared is not None]
    if any(prepared_round >= round_ for prepared_round, _ in claimed):
        raise InvalidJustification(f"justification.claims: one claims a round from {round_} on")
    prepared = justification.prepared
    if not claimed:
        if prepared is not None:
            raise InvalidJustification("justification.prepared: nobody claims it")
        if header.proposal_round != round_:
            raise InvalidJustification(
                f"header.proposal_round: expected {round_} in a fresh block, found {header.proposal_round}"
            )
        return
    highest = max(prepared_round for prepared_round, _ in claimed)
    if prepared is None or (prepared.round, prepared.block_hash) not in claimed or prepared.round != highest:
        raise InvalidJustification(
            f"justification.prepared: expected the certificate of the claim of round {highest}"
        )
    verify_prepared(prepared, electorate, before=round_)
    if prepared.block_hash != proposal.block_hash:
        raise InvalidJustification("message.header: not the block that was prepared")


def make_justification(round_changes: Sequence[RoundChange]) -> Justification:
    """Return the justification that a quorum of verified round changes to one round gives."""
    prepared = [change.prepared for change in round_changes if change.prepared is not None]
    return Justification(
        claims=tuple(change.claim for change in round_changes),
        prepared=max(prepared, key=lambda certificate: certificate.round, default=None),
    )


def _distinct_members(name: str, authors: Sequence[Address], electorate: Electorate) -> None:
    if len(set(authors)) != len(authors):
        raise InvalidJustification(f"{name}: a signer stands there twice")
    for author in authors:
        if author not in electorate.validators:
            raise InvalidJustification(
                f"{name}: 0x{author.hex()} is no validator of height {electorate.height}"
            )
