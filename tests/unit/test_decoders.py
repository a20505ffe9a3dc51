"""Every decoder of the catalogue: whole, changed, cut at every length, with more behind, and fuzzed.

The rule: whatever the bytes, a decoder gives an object or raises what it may raise, and where an object has one encoding nothing else
decodes to it. What a node does about bytes that are refused is in `tests/unit/consensus/test_bad_messages.py`.
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.decoders import DECODERS, Decoder

CHANGES = (0x01, 0x80, 0xFF)
"""Bits that are turned over in each byte of each sample."""
TRIES_SLOW = 64
"""Positions, of those with asymmetric cryptography."""


def decoder_id(decoder: Decoder) -> str:
    return decoder.name.replace(" ", "-")


every_decoder = pytest.mark.parametrize("decoder", DECODERS, ids=decoder_id)


def give(decoder: Decoder, data: bytes) -> bool:
    """Decode; tell whether there was an object. Any exception that is not announced fails the test."""
    try:
        found = decoder.decode(data)
    except decoder.refuses:
        return False
    if decoder.encode is not None:
        assert decoder.encode(found) == data, f"decoded, and encoded otherwise: {data.hex()}"
    return True


def positions(decoder: Decoder, sample: bytes) -> list[int]:
    """Return every position of a sample, or evenly chosen ones where a try is slow."""
    step = max(1, len(sample) // TRIES_SLOW) if decoder.is_slow else 1
    return list(range(0, len(sample), step))


@every_decoder
def test_each_sample_is_decoded_to_what_encodes_to_it(decoder: Decoder) -> None:
    assert decoder.samples
    for sample in decoder.samples:
        assert give(decoder, sample), sample.hex()


@every_decoder
def test_a_sample_that_is_cut_at_any_length_is_refused(decoder: Decoder) -> None:
    whole = set(decoder.samples)
    for sample in decoder.samples:
        for length in positions(decoder, sample):
            taken = give(decoder, sample[:length])
            assert not taken or decoder.takes_cut or sample[:length] in whole, length


@every_decoder
def test_a_sample_with_more_behind_it_is_refused(decoder: Decoder) -> None:
    for sample in decoder.samples:
        for more in (b"\x00", b"\x80", b"\xc0", sample):
            if more:
                assert not give(decoder, sample + more) or decoder.takes_more, more.hex()


@every_decoder
def test_a_changed_byte_gives_something_else_or_is_refused(decoder: Decoder) -> None:
    for sample in decoder.samples:
        for position in positions(decoder, sample):
            for change in CHANGES[: 1 if decoder.is_slow else None]:
                changed = bytearray(sample)
                changed[position] ^= change
                give(decoder, bytes(changed))


@every_decoder
def test_a_byte_too_few_or_too_many_inside_is_no_surprise(decoder: Decoder) -> None:
    for sample in decoder.samples:
        for position in positions(decoder, sample)[:: 4 if decoder.is_slow else 1]:
            give(decoder, sample[:position] + sample[position + 1 :])
            give(decoder, sample[:position] + b"\x80" + sample[position:])


@pytest.mark.parametrize("decoder", [d for d in DECODERS if not d.is_slow], ids=decoder_id)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(data=st.data())
def test_fuzzed_bytes_are_no_surprise(decoder: Decoder, data: st.DataObject) -> None:
    """Random bytes, and samples with pieces cut out, doubled, moved from other samples, or replaced."""
    if data.draw(st.integers(0, 4)) == 0:
        give(decoder, data.draw(st.binary(max_size=300)))
        return
    mixed = bytearray(data.draw(st.sampled_from(decoder.samples)))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(mixed)))
        end = data.draw(st.integers(start, min(len(mixed), start + 70)))
        other = data.draw(st.sampled_from(decoder.samples))
        at = data.draw(st.integers(0, len(other)))
        mixed[start:end] = data.draw(
            st.one_of(
                st.binary(max_size=8),
                st.just(bytes(mixed[start:end]) * 2),
                st.integers(0, 70).map(lambda size: other[at : at + size]),  # noqa: B023 - used in this turn only
            )
        )
    give(decoder, bytes(mixed))
