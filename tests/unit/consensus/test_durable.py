"""The watermark and the record: what the disk holds, and what a key may sign."""

import itertools
from dataclasses import replace

import pytest

from metanode.consensus.messages import Step
from metanode.consensus.record import ConsensusRecord
from metanode.consensus.watermark import SignedStep, permits
from metanode.errors import InvalidInput
from metanode.primitives.types import Hash32, Height, Round

X, Y = Hash32(b"\x01" * 32), Hash32(b"\x02" * 32)


def mark(height: int, round_: int, step: Step, digest: Hash32 = X) -> SignedStep:
    return SignedStep(
        height=Height(height), round=Round(round_), step=step, digest=digest, signature=bytes(65)
    )


PLACES = [(h, r, s) for h in (1, 2) for r in (0, 1) for s in Step]


@pytest.mark.parametrize(("before", "after"), list(itertools.product(PLACES, PLACES)))
def test_a_key_signs_upwards_and_the_same_again(before, after):
    height, round_, step = after
    asked = {"height": Height(height), "round": Round(round_), "step": step}
    assert permits(mark(*before), **asked, digest=X) == (after >= before)
    assert permits(mark(*before), **asked, digest=Y) == (after > before)


def test_a_key_that_has_signed_nothing_may_sign_anything():
    assert permits(None, height=Height(1), round=Round(0), step=Step.ROUND_CHANGE, digest=X)


def test_a_signed_step_decodes_to_itself_and_from_nothing_shorter():
    step = mark(7, 3, Step.COMMIT)
    data = step.encode()
    assert SignedStep.decode(data) == step
    for length in range(len(data)):
        with pytest.raises(InvalidInput):
            SignedStep.decode(data[:length])


def test_a_record_decodes_to_itself_without_the_bodies(bench):
    block = bench.block()
    own = (
        bench.round_change(0, 4, bench.prepared(block.hash)),
        replace(bench.proposal(block, 4, justification=bench.justification(4)), block=None),
        bench.prepare(0, block.hash),
        bench.commit(0, block.hash),
    )
    record = ConsensusRecord(
        height=Height(1), round=Round(4), prepared=bench.prepared(block.hash), messages=own
    )
    data = record.encode()
    assert ConsensusRecord.decode(data, bench.domain) == record
    for length in range(len(data)):
        with pytest.raises(InvalidInput):
            ConsensusRecord.decode(data[:length], bench.domain)
