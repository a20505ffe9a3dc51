import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.p2p import snappy
from metanode.p2p.errors import PeerFault


@given(st.binary(max_size=5000))
def test_what_was_compressed_is_unpacked(data: bytes) -> None:
    assert snappy.decompress(snappy.compress(data), len(data)) == data


@pytest.mark.parametrize("size", [1001, 2**24, 2**32 - 1])
def test_row_22_a_length_over_the_bound_is_refused_before_unpacking(size: int) -> None:
    header = bytearray()
    while size >= 0x80:
        header.append(size & 0x7F | 0x80)
        size >>= 7
    header.append(size)
    with pytest.raises(PeerFault, match="expected at most 1000"):
        snappy.decompress(bytes(header) + b"\x00a", 1000)


@given(st.binary(max_size=200))
def test_any_bytes_are_unpacked_or_refused(data: bytes) -> None:
    with contextlib.suppress(PeerFault):
        assert len(snappy.decompress(data, 1000)) <= 1000


@given(st.binary(min_size=1, max_size=300))
def test_no_shorter_block_is_accepted(data: bytes) -> None:
    compressed = snappy.compress(data)
    for length in range(len(compressed)):
        with pytest.raises(PeerFault):
            snappy.decompress(compressed[:length], 1000)


def test_a_length_that_does_not_end_is_refused() -> None:
    for data in (b"", b"\x80", b"\xff" * 5, b"\xff" * 100):
        with pytest.raises(PeerFault, match="cut off or too long"):
            snappy.decompress(data, 1000)
