"""Lies that a height brings to light: each is handed out once, as a proof that anybody can check."""

from typing import Final

from metanode.chain.certificate import Certificate
from metanode.consensus.effects import SaveEvidence
from metanode.consensus.evidence import Equivocation, SignedContent, content_of, equivocation
from metanode.consensus.height import HeightState
from metanode.consensus.messages import Commit, PreparedCertificate, SignedMessage, Step, step_of
from metanode.primitives.types import Address, Height, Round

EVIDENCE_MAX: Final = 64
"""Proofs handed out in one height."""


def prove(first: SignedMessage, second: SignedMessage, current: HeightState) -> SaveEvidence | None:
    """Return the proof that one author signed two things in one place, once for each place."""
    if not _is_new(first.height, first.author, step_of(first), first.round, current):
        return None
    return SaveEvidence(evidence=equivocation(first.height, first.round, first.author, first, second))


def compare_proposal(prepared: PreparedCertificate, current: HeightState) -> SaveEvidence | None:
    """Return the proof that a proposer told others something else in this round than us."""
    seen = current.seen.get(prepared.round)
    if seen is None or prepared.block_hash == seen.block_hash:
        return None
    if not _is_new(seen.height, seen.author, Step.PROPOSAL, seen.round, current):
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


def compare_seal(commit: Commit, seal: bytes, tip: Certificate, current: HeightState) -> SaveEvidence | None:
    """Return the proof that somebody whose seal on the tip we hold committed to another block in the same round."""
    if (commit.height, commit.round) != (tip.height, tip.round) or commit.block_hash == tip.block_hash:
        return None
    if not _is_new(commit.height, commit.author, Step.COMMIT, commit.round, current):
        return None
    sealed = SignedContent(
        step=Step.COMMIT, block_hash=tip.block_hash, prepared_round=Round(0), signature=seal
    )
    return SaveEvidence(
        evidence=Equivocation(
            height=commit.height,
            round=commit.round,
            author=commit.author,
            first=sealed,
            second=content_of(commit),
        )
    )


def _is_new(height: Height, author: Address, step: Step, round_: Round, current: HeightState) -> bool:
    key = (height, author, step, round_)
    if key in current.proven or len(current.proven) >= EVIDENCE_MAX:
        return False
    current.proven.add(key)
    return True
