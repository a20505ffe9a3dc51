"""keccak256 is that of others, for every length around its block."""

import pytest
from Crypto.Hash import keccak

from metanode.crypto.hashing import keccak256


@pytest.mark.parametrize("length", [0, 1, 32, 135, 136, 137, 272, 16_384, 16_385, 100_000])
def test_hashes_are_those_of_another_implementation(length: int) -> None:
    data = bytes(i % 251 for i in range(length))
    assert keccak256(data) == keccak.new(digest_bits=256, data=data).digest()


def test_the_hash_of_nothing_is_the_well_known_one() -> None:
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def test_only_bytes_are_hashed() -> None:
    with pytest.raises(TypeError):
        keccak256("text")  # type: ignore[arg-type]
