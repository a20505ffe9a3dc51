"""Bytes become exactly one message, and only whole, canonical, signed bytes do."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.consensus import wire
from metanode.consensus.messages import Decision, Step
from metanode.errors import InvalidInput, InvalidSignature
from metanode.primitives import rlp
from metanode.primitives.types import Hash32

KINDS = (
    "proposal",
    "proposal without body",
    "fresh proposal of round 1",
    "proposal of a prepared block",
    "prepare",
    "commit",
    "round change",
    "round change with certificate",
    "decision",
)


@pytest.fixture
def messages(bench):
    block = bench.block()
    prepared = bench.prepared(block.hash)
    later = bench.block(1)
    return dict(
        zip(
            KINDS,
            (
                bench.proposal(block),
                replace(bench.proposal(block), block=None),
                bench.proposal(later, 1, justification=bench.justification(1)),
                bench.proposal(block, 2, justification=bench.justification(2, {1: prepared})),
                bench.prepare(1, block.hash),
                bench.commit(2, block.hash, 7),
                bench.round_change(3, 9),
                bench.round_change(3, 9, prepared),
                Decision(certificate=bench.certificate(block.hash)),
            ),
            strict=True,
        )
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_decodes_to_itself_and_encodes_to_its_bytes(bench, messages, kind):
    raw = wire.encode(messages[kind])
    assert wire.decode(raw, bench.domain) == messages[kind]
    assert wire.encode(wire.decode(raw, bench.domain)) == raw


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_cut_off_anywhere_is_malformed(bench, messages, kind):
    raw = wire.encode(messages[kind])
    for length in range(len(raw)):
        with pytest.raises(InvalidInput):
            wire.decode(raw[:length], bench.domain)


@pytest.mark.parametrize("kind", KINDS)
def test_trailing_bytes_are_malformed(bench, messages, kind):
    with pytest.raises(InvalidInput):
        wire.decode(wire.encode(messages[kind]) + b"\x80", bench.domain)


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_more_or_less_is_malformed(bench, messages, kind):
    raw = wire.encode(messages[kind])
    items = rlp.decode(raw[1:])
    for changed in (items[:-1], [*items, b""]):
        with pytest.raises(InvalidInput):
            wire.decode(raw[:1] + rlp.encode(changed), bench.domain)


@pytest.mark.parametrize("kind", ["prepare", "commit", "round change", "proposal without body"])
def test_a_changed_bit_changes_the_author_or_is_malformed(bench, messages, kind):
    raw = wire.encode(messages[kind])
    for position in range(1, len(raw)):
        changed = raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]
        try:
            decoded = wire.decode(changed, bench.domain)
        except InvalidInput:
            continue
        assert decoded.author not in bench.state.validators, position


@pytest.mark.parametrize("kind", [0, 6, 7, 127, 128, 255])
def test_an_unknown_kind_is_malformed(bench, messages, kind):
    raw = wire.encode(messages["prepare"])
    with pytest.raises(InvalidInput, match="kind"):
        wire.decode(bytes([kind]) + raw[1:], bench.domain)


def test_the_five_votes_of_a_place_cannot_be_taken_for_each_other(bench, messages):
    raw = wire.encode(messages["prepare"])
    as_commit = wire.decode(b"\x03" + raw[1:], bench.domain)
    assert as_commit.author != messages["prepare"].author


def test_nobody_changes_to_round_0_or_votes_on_height_0(bench):
    block = bench.block()
    with pytest.raises(InvalidInput, match="round 0"):
        wire.decode(wire.encode(bench.round_change(0, 0)), bench.domain)
    with pytest.raises(InvalidInput, match="height 0"):
        wire.decode(wire.encode(bench.prepare(0, block.hash, height=0)), bench.domain)


def test_a_justification_stands_exactly_in_later_rounds(bench):
    block = bench.block()
    with pytest.raises(InvalidInput, match="justification"):
        wire.decode(wire.encode(bench.proposal(block, 1)), bench.domain)
    with pytest.raises(InvalidInput, match="justification"):
        wire.decode(wire.encode(bench.proposal(block, 0, justification=bench.justification(1))), bench.domain)


def test_a_body_of_another_block_is_malformed(bench):
    proposal = replace(bench.proposal(bench.block()), block=bench.block(recipient=2))
    with pytest.raises(InvalidInput):
        wire.decode(wire.encode(proposal), bench.domain)


def test_a_header_of_another_height_is_malformed(bench):
    with pytest.raises(InvalidInput, match="height"):
        wire.decode(wire.encode(bench.proposal(bench.block(), height=2)), bench.domain)


def test_a_block_is_decoded_only_for_an_author_who_may_propose(bench):
    raw = bytearray(wire.encode(bench.proposal(bench.block())))
    raw[-3] ^= 1  # in the body's withdrawals

    def nobody(step: Step, height: int, round_: int, author: bytes) -> bool:
        assert (step, height, round_, author) == (Step.PROPOSAL, 1, 0, bench.keys[0].address)
        return False

    with pytest.raises(wire.Unwelcome):
        wire.decode(bytes(raw), bench.domain, may_author=nobody)
    with pytest.raises(InvalidInput):
        wire.decode(bytes(raw), bench.domain)


def test_small_messages_have_a_small_bound(bench):
    with pytest.raises(InvalidInput, match="at most"):
        wire.decode(b"\x02" + bytes(wire.SMALL_BYTES_MAX), bench.domain)
    with pytest.raises(InvalidInput, match="at most"):
        wire.decode(b"\x01" + bytes(wire.MESSAGE_BYTES_MAX), bench.domain)


@pytest.mark.parametrize("signature", [bytes(65), b"\xff" * 65, b"\x01" * 64 + b"\x02"])
def test_a_signature_out_of_range_is_malformed(bench, signature):
    vote = replace(bench.prepare(0, Hash32(b"\x01" * 32)), signature=signature)
    with pytest.raises(InvalidSignature):
        wire.decode(wire.encode(vote), bench.domain)


@given(raw=st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(make_domain, raw):
    with pytest.raises(InvalidInput):
        wire.decode(raw, make_domain)
