"""Forged justifications and certificates (docs/evidence: catalogue 19, bad inputs 33): each is refused, by name, and the sender's other traffic is not."""

from dataclasses import replace

import pytest

from metanode.consensus import wire
from metanode.consensus.effects import BlockRefused, Broadcast
from metanode.consensus.inputs import BlockTimeout, VerdictGiven
from metanode.consensus.justification import (
    InvalidJustification,
    make_justification,
    verify_justification,
    verify_prepared,
)
from metanode.consensus.messages import Justification, Prepare, RoundChangeClaim, Seal
from metanode.primitives.types import Height, Round


def test_what_honest_validators_make_is_accepted(bench):
    block, later = bench.block(), bench.block(3)
    verify_justification(bench.proposal(block), bench.electorate)
    verify_justification(bench.proposal(later, 3, justification=bench.justification(3)), bench.electorate)
    prepared = bench.prepared(block.hash)
    justification = bench.justification(3, {1: prepared})
    verify_justification(bench.proposal(block, 3, justification=justification), bench.electorate)


def test_the_highest_certificate_wins(bench):
    low, high = bench.block(), bench.block(2, recipient=2)
    claims = {0: bench.prepared(low.hash), 1: bench.prepared(high.hash, 2)}
    justification = bench.justification(3, claims)
    verify_justification(bench.proposal(high, 3, justification=justification), bench.electorate)
    with pytest.raises(InvalidJustification, match="not the block"):
        verify_justification(bench.proposal(low, 3, justification=justification), bench.electorate)
    lower = Justification(claims=justification.claims, prepared=claims[0])
    with pytest.raises(InvalidJustification, match="claim of round 2"):
        verify_justification(bench.proposal(low, 3, justification=lower), bench.electorate)


def claim_of(bench, key, round_, prepared=None, *, height=1):
    digest = bench.domain.round_change(height=Height(height), round=Round(round_), prepared=prepared)
    return RoundChangeClaim(prepared=prepared, author=key.address, signature=key.sign(digest))


def fresh(bench, claims):
    return bench.block(3), Justification(claims=tuple(claims), prepared=None)


def again(bench, certificate, *, claimed=True):
    block = bench.block()
    prepared = (certificate.round, certificate.block_hash) if claimed else None
    claims = [claim_of(bench, bench.keys[i], 3, prepared if i == 0 else None) for i in range(3)]
    return block, Justification(claims=tuple(claims), prepared=certificate)


FORGERIES = {
    "no round changes": (lambda b: fresh(b, []), "less than a quorum"),
    "one less than a quorum": (
        lambda b: fresh(b, [claim_of(b, key, 3) for key in b.keys[:2]]),
        "less than a quorum",
    ),
    "a signer twice": (
        lambda b: fresh(b, [claim_of(b, b.keys[i], 3) for i in (0, 1, 1)]),
        "twice",
    ),
    "an outsider": (
        lambda b: fresh(b, [claim_of(b, key, 3) for key in (*b.keys[:2], b.stranger)]),
        "no validator",
    ),
    "a claim of this round": (
        lambda b: fresh(
            b,
            [claim_of(b, key, 3, (Round(3), b.block().hash) if key is b.keys[0] else None) for key in b.keys],
        ),
        "from 3 on",
    ),
    "an old block without a certificate": (
        lambda b: (b.block(), Justification(claims=tuple(claim_of(b, k, 3) for k in b.keys), prepared=None)),
        "proposal_round",
    ),
    "the certificate dropped": (
        lambda b: (
            b.block(3),
            Justification(claims=again(b, b.prepared(b.block().hash))[1].claims, prepared=None),
        ),
        "claim of round 0",
    ),
    "a certificate that nobody claims": (
        lambda b: again(b, b.prepared(b.block().hash), claimed=False),
        "nobody claims",
    ),
    "a certificate of another block": (
        lambda b: (b.block(recipient=2), again(b, b.prepared(b.block().hash))[1]),
        "not the block",
    ),
    "a certificate of a wrong proposer": (
        lambda b: again(b, b.prepared(b.block().hash, proposer=2, by=(1, 3))),
        "round 0 is",
    ),
    "a certificate below a quorum": (
        lambda b: again(b, b.prepared(b.block().hash, by=(1,))),
        "less than a quorum",
    ),
    "a preparer twice": (lambda b: again(b, b.prepared(b.block().hash, by=(1, 1))), "twice"),
    "the proposer among the preparers": (
        lambda b: again(b, b.prepared(b.block().hash, by=(0, 1))),
        "found another",
    ),
    "an outsider among the preparers": (
        lambda b: again(
            b,
            replace(
                b.prepared(b.block().hash, by=(1,)),
                prepares=(Seal(author=b.stranger.address, signature=bytes(65)),) * 1
                + b.prepared(b.block().hash, by=(1,)).prepares,
            ),
        ),
        "no validator",
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_justification_is_refused_and_costs_its_round_nothing_else(bench, forgery):
    make, reason = FORGERIES[forgery]
    block, justification = make(bench)
    proposal = bench.proposal(block, 3, justification=justification)
    with pytest.raises(InvalidJustification, match=reason):
        verify_justification(proposal, bench.electorate)
    node = bench.core(1)
    node.give(BlockTimeout(height=Height(1)))
    effects = node.hear(proposal)
    assert [type(effect) for effect in effects] == [BlockRefused]
    assert node.core.round == 0
    good = bench.block(3)
    node.hear(bench.proposal(good, 3, justification=bench.justification(3)))
    effects = node.give(VerdictGiven(block_hash=good.hash, is_valid=True))
    sent = [effect.message for effect in effects if isinstance(effect, Broadcast)]
    assert [type(message) for message in sent] == [Prepare], "the same sender's good proposal is taken"


def test_signatures_of_another_height_or_round_have_another_author(bench):
    for height, round_ in ((2, 3), (1, 2)):
        claims = tuple(claim_of(bench, key, round_, height=height) for key in bench.keys)
        justification = Justification(claims=claims, prepared=None)
        raw = wire.encode(bench.proposal(bench.block(3), 3, justification=justification))
        decoded = wire.decode(raw, bench.domain)
        with pytest.raises(InvalidJustification, match="no validator"):
            verify_justification(decoded, bench.electorate)


@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_certificate_of_a_round_that_had_not_ended_proves_nothing(bench, before):
    certificate = bench.prepared(bench.block(2).hash, 2)
    with pytest.raises(InvalidJustification, match="expected less than"):
        verify_prepared(certificate, bench.electorate, before=Round(before))
    verify_prepared(certificate, bench.electorate, before=Round(3))


def test_round_changes_give_the_certificate_of_the_highest_round(bench):
    changes = [
        bench.round_change(0, 4, bench.prepared(bench.block().hash, 0)),
        bench.round_change(1, 4, bench.prepared(bench.block(2).hash, 2)),
        bench.round_change(2, 4),
    ]
    made = make_justification(changes)
    assert made.prepared == changes[1].prepared
    assert make_justification(changes[2:]).prepared is None
