"""Challenges that only the faucet can make, puzzles that only work solves, and how hard they are when."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metanode.primitives.types import Address
from sdk.testnet.faucet.proof_of_work import (
    BITS_MAX,
    BITS_MIN,
    LIFE_MS,
    PUZZLES,
    Challenge,
    ChallengeExpired,
    ChallengeInvalid,
    attempts,
    decode,
    difficulty,
    encode,
    expected_hashes,
    is_solved,
    puzzle_hash,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = b"s" * 32
GENESIS = b"\x11" * 32
NOW_MS = 1_800_000_000_000
CHALLENGE = Challenge(
    id=bytes(range(16)),
    chain_id=1337,
    genesis_hash=GENESIS,
    address=Address(b"\xaa" * 20),
    amount_gwei=100_000_000_000,
    bits=8,
    narrow=b"n" * 16,
    wide=b"w" * 16,
    issued_ms=NOW_MS,
    expires_ms=NOW_MS + LIFE_MS,
)


def read(token: str, *, secret: bytes = SECRET, genesis: bytes = GENESIS, now_ms: int = NOW_MS) -> Challenge:
    return decode(token, secret, genesis_hash=genesis, now_ms=now_ms)


@given(
    id_=st.binary(min_size=16, max_size=16),
    chain_id=st.integers(1, 2**63 - 1),
    address=st.binary(min_size=20, max_size=20),
    amount=st.integers(1, 2**63 - 1),
    bits=st.integers(BITS_MIN, BITS_MAX),
)
def test_a_token_says_what_was_put_in(
    id_: bytes, chain_id: int, address: bytes, amount: int, bits: int
) -> None:
    challenge = replace(
        CHALLENGE, id=id_, chain_id=chain_id, address=Address(address), amount_gwei=amount, bits=bits
    )

    assert read(encode(challenge, SECRET)) == challenge


def test_no_bit_of_a_token_can_be_changed() -> None:
    raw = bytearray(base64.urlsafe_b64decode(encode(CHALLENGE, SECRET) + "=="))
    for place in range(8 * len(raw)):
        raw[place // 8] ^= 1 << place % 8
        with pytest.raises(ChallengeInvalid, match="this faucet did not make it"):
            read(base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("="))
        raw[place // 8] ^= 1 << place % 8


@given(text=st.text(max_size=300))
def test_no_other_text_is_a_token(text: str) -> None:
    with pytest.raises(ChallengeInvalid):
        read(text)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda token: read(token, secret=b"t" * 32), ChallengeInvalid),
        (lambda token: read(token, genesis=b"\x12" * 32), ChallengeInvalid),
        (lambda token: read(token, now_ms=NOW_MS + LIFE_MS), ChallengeExpired),
        (lambda token: read(token[:-4]), ChallengeInvalid),
        (lambda token: read(token + "AAAA"), ChallengeInvalid),
    ],
    ids=["another faucet's", "another chain's", "too old", "cut", "longer"],
)
def test_a_token_is_of_one_faucet_one_chain_and_ten_minutes(
    change: Callable[[str], Challenge], error: type[Exception]
) -> None:
    token = encode(CHALLENGE, SECRET)
    assert read(token, now_ms=NOW_MS + LIFE_MS - 1) == CHALLENGE

    with pytest.raises(error):
        change(token)


def test_the_hash_is_the_one_that_is_documented() -> None:
    password = CHALLENGE.id + b"\x03" + (2**40 + 5).to_bytes(8, "big")
    expected = hashlib.scrypt(
        password, salt=CHALLENGE.address + b"\x03", n=4096, r=8, p=1, dklen=32, maxmem=2**26
    )

    assert puzzle_hash(CHALLENGE.id, CHALLENGE.address, 3, 2**40 + 5) == expected


def test_what_solves_a_puzzle_solves_no_other_one() -> None:
    easy = replace(CHALLENGE, bits=6)
    nonce = next(found for found in attempts(easy.id, easy.address, 0, easy.bits) if found is not None)

    assert is_solved(easy, 0, nonce)
    others = [
        is_solved(easy, 1, nonce),
        is_solved(replace(easy, address=Address(b"\xab" * 20)), 0, nonce),
        is_solved(replace(easy, id=bytes(16)), 0, nonce),
        is_solved(easy, 0, nonce + 2**32),
    ]
    # Each is right by chance once in 64: all four of this fixed case are not.
    assert others == [False] * 4


@pytest.mark.parametrize(
    ("paid_last_hour", "grants", "is_datacenter", "bits"),
    [
        (0, 0, False, 8),
        (41, 0, False, 8),  # an even share of 1,000 a day
        (84, 0, False, 9),
        (167, 0, False, 10),
        (1_000, 0, False, 12),
        (100_000, 0, False, 12),
        (0, 2, False, 8),
        (0, 3, False, 9),
        (0, 7, False, 10),
        (0, 0, True, 11),
        (1_000, 30, True, 14),
    ],
)
def test_puzzles_get_harder_with_demand_for_busy_networks_and_in_data_centres(
    paid_last_hour: int, grants: int, is_datacenter: bool, bits: int
) -> None:
    assert (
        difficulty(
            base_bits=8,
            paid_last_hour=paid_last_hour,
            daily_count=1_000,
            grants_of_network=grants,
            is_datacenter=is_datacenter,
        )
        == bits
    )


@settings(max_examples=200)
@given(
    base=st.integers(BITS_MIN, BITS_MAX),
    paid=st.integers(0, 10**6),
    daily=st.integers(1, 10**6),
    grants=st.integers(0, 10**4),
    is_datacenter=st.booleans(),
)
def test_a_puzzle_is_never_out_of_reach_and_more_demand_never_makes_it_easier(
    base: int, paid: int, daily: int, grants: int, is_datacenter: bool
) -> None:
    def bits(paid: int, grants: int) -> int:
        return difficulty(
            base_bits=base,
            paid_last_hour=paid,
            daily_count=daily,
            grants_of_network=grants,
            is_datacenter=is_datacenter,
        )

    assert BITS_MIN <= bits(paid, grants) <= BITS_MAX
    assert bits(paid, grants) <= bits(2 * paid, grants) <= bits(2 * paid, grants + 1)
    assert expected_hashes(8) == PUZZLES * 256
