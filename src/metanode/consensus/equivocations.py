"""Lies that a height brings to light: each is handed out once, as a proof that anybody can check."""

from typing import Final

from metanode.consensus.effects import SaveEvidence
from metanode.consensus.evidence import Equivocation, SignedContent, content_of, equivocation
from metanode.consensus.height import HeightState
from metanode.consensus.messages import PreparedCertificate, SignedMessage, Step, step_of
from metanode.primitives.types import Address, Round

EVIDENCE_MAX: Final = 64
"""Proofs handed out in one height."""


def prove(first: SignedMessage, second: SignedMessage, current: HeightState) -> SaveEvidence | None:
    """Return the proof that one author signed two things in one place, once for each place."""
    if not _is_new(first.author, step_of(first), first.round, current):
        return None
    return SaveEvidence(evidence=equivocation(first.height, first.round, first.author, first, second))


def compare_proposal(prepared: PreparedCertificate, current: HeightState) -> SaveEvidence | None:
    """Return the proof that a proposer told others something else in this round than us."""
    seen = current.seen.get(prepared.round)
    if seen is None or prepared.block_hash == seen.block_hash:
        return None
    if not _is_new(seen.author, Step.PROPOSAL, seen.round, current):
        return None
    told = SignedContent(
        step=Step.PROPOSAL,
        block_hash=prepared.block_hash,
        prepared_round=Round(0),
        signature=prepared.proposal.signature,
    )
    return SaveEvidence(
        evidence=Equivocation(
            height=seen.height, round=seen.round, author=seen.author, first=content_of(seen), second=told
        )
    )


def _is_new(author: Address, step: Step, round_: Round, current: HeightState) -> bool:
    key = (author, step, round_)
    if key in current.proven or len(current.proven) >= EVIDENCE_MAX:
        return False
    current.proven.add(key)
    return True
