"""One key, one signer: what shows that another process signs with our key, and what does not."""

import pytest
from tests.unit.consensus.test_machine import of, sent

from metanode.consensus.effects import KeyInUse
from metanode.consensus.inputs import BlockTimeout, RoundTimeout, VerdictGiven
from metanode.consensus.messages import Prepare
from metanode.primitives.types import Height, Round


def begin(bench, index: int, **kwargs: object):
    node = bench.core(index, **kwargs)
    node.give(BlockTimeout(height=Height(1)))
    return node


def vote(node, block) -> list:
    effects = node.hear(node.bench.proposal(block))
    return sent(effects + node.give(VerdictGiven(block_hash=block.hash, is_valid=True)))


def test_a_message_of_our_key_that_we_did_not_make_silences_us(bench):
    node, block = begin(bench, 1), bench.block()
    vote(node, block)
    shown = of(node.hear(bench.commit(1, block.hash)), KeyInUse)
    assert [(effect.height, effect.round) for effect in shown] == [(1, 0)]
    node.give(RoundTimeout(height=Height(1), round=Round(0)))
    later = bench.block(1)
    assert not sent(node.hear(bench.proposal(later, 1)))
    assert not of(node.hear(bench.commit(1, later.hash, 1)), KeyInUse), "it is told once"


def test_our_own_messages_that_come_back_silence_nobody(bench):
    node, block = begin(bench, 1), bench.block()
    (prepare,) = vote(node, block)
    assert isinstance(prepare, Prepare)
    assert not of(node.hear(prepare), KeyInUse)
    assert not of(node.hear(bench.round_change(2, 1)), KeyInUse), "nor does anybody else's"
    assert sent(node.hear(bench.prepare(2, block.hash))), "it goes on to its COMMIT"


@pytest.mark.parametrize(("height", "is_shown"), [(4, False), (5, True), (6, True)])
def test_without_a_watermark_only_a_height_that_began_while_we_listened_shows_it(bench, height, is_shown):
    node = begin(bench, 1, silent_until=Height(6))
    prepare = bench.prepare(1, bench.block().hash, height=height)
    assert bool(of(node.hear(prepare), KeyInUse)) is is_shown
