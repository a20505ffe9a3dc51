"""A toll of computing time before a claim: eight small scrypt puzzles, told apart from the claim by a token that only the faucet can make.

The token is all that the faucet has to know of a puzzle, so that handing puzzles out costs it no memory: address, network of who asked,
difficulty, chain and life time are in it, under HMAC-SHA-256. Eight puzzles take less uneven time than one (their spread is 35 % of the mean, that of
one is all of it), and make an honest progress bar. Scrypt with 4 MiB, because a browser's JavaScript is within a factor of two of native code at
it, and hardware pays for the memory. Pure: no clock, no randomness, no input or output.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from metanode.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from metanode.primitives.types import Address

ALGORITHM: Final = "scrypt"
PUZZLES: Final = 8
SCRYPT_N: Final = 4096
SCRYPT_R: Final = 8
SCRYPT_P: Final = 1
"""128 * N * r bytes: 4 MiB."""
HASH_BYTES: Final = 32
BITS_MIN: Final = 1
BITS_MAX: Final = 14
"""With 8 a laptop's browser works for seconds; with 14 for many minutes, which nobody waits who is not a script."""
LIFE_MS: Final = 600_000
"""How long a challenge may be redeemed; a slow telephone has ten minutes."""
SURGE_MAX: Final = 4
GRANTS_A_BIT: Final = 3
"""So many payouts to one network in a day make its puzzles twice as hard."""
DATACENTER_BITS: Final = 3
_VERSION: Final = 1
_LAYOUT: Final = struct.Struct(">B16sQ32s20sQB16s16sQQ")
_MAC_BYTES: Final = 32


class ChallengeInvalid(InvalidInput):
    """A token that this faucet did not make for this chain, or a proof that does not solve it."""


class ChallengeExpired(InvalidInput):
    """A token that was good once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a token says."""

    id: bytes
    """16 random bytes; also the name of the claim that redeems it."""
    chain_id: int
    genesis_hash: bytes
    address: Address
    amount_gwei: int
    bits: int
    """Leading zero bits that each puzzle's hash has to have."""
    narrow: bytes
    wide: bytes
    """The networks of who asked, as keyed hashes."""
    issued_ms: int
    expires_ms: int


def encode(challenge: Challenge, secret: bytes) -> str:
    """Return the token."""
    body = _LAYOUT.pack(
        _VERSION,
        challenge.id,
        challenge.chain_id,
        challenge.genesis_hash,
        challenge.address,
        challenge.amount_gwei,
        challenge.bits,
        challenge.narrow,
        challenge.wide,
        challenge.issued_ms,
        challenge.expires_ms,
    )
    return base64.urlsafe_b64encode(body + _mac(body, secret)).decode().rstrip("=")


def decode(token: str, secret: bytes, *, genesis_hash: bytes, now_ms: int) -> Challenge:
    """Return what a token says.

    Raises:
        ChallengeInvalid: when it is not one of this faucet, or of another chain.
        ChallengeExpired: when its time is over.
    """
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    body, mac = raw[: _LAYOUT.size], raw[_LAYOUT.size :]
    if len(mac) != _MAC_BYTES or not hmac.compare_digest(mac, _mac(body, secret)):
        raise ChallengeInvalid("challenge: this faucet did not make it; ask for a new one")
    version, *fields = _LAYOUT.unpack(body)
    names = (
        "id", "chain_id", "genesis_hash", "address", "amount_gwei", "bits", "narrow", "wide", "issued_ms", "expires_ms",
    )  # fmt: skip
    if version != _VERSION:
        raise ChallengeInvalid("challenge: it is of another version of this faucet; ask for a new one")
    challenge = Challenge(**dict(zip(names, fields, strict=True)))
    if challenge.genesis_hash != genesis_hash:
        raise ChallengeInvalid("challenge: the network was made anew since; ask for a new one")
    if now_ms >= challenge.expires_ms:
        raise ChallengeExpired("challenge: its ten minutes are over; ask for a new one")
    return challenge


def puzzle_hash(challenge_id: bytes, address: bytes, puzzle: int, nonce: int) -> bytes:
    """Return what has to begin with zero bits: puzzles are numbered from 0, a nonce is a number of 64 bits, big-endian."""
    return hashlib.scrypt(
        challenge_id + bytes([puzzle]) + nonce.to_bytes(8, "big"),
        salt=address + bytes([puzzle]),
        n=SCRYPT_N,
        r=SCRYPT_R,
        p=SCRYPT_P,
        dklen=HASH_BYTES,
        maxmem=32 * 2**20,
    )


def is_solved(challenge: Challenge, puzzle: int, nonce: int) -> bool:
    """Whether a nonce solves one puzzle; one hash, eight milliseconds, outside the GIL."""
    return _leading_zeros(puzzle_hash(challenge.id, challenge.address, puzzle, nonce)) >= challenge.bits


def attempts(challenge_id: bytes, address: bytes, puzzle: int, bits: int) -> Iterator[int | None]:
    """Try nonces from 0 on: None for each that does not solve the puzzle, and at last the one that does."""
    nonce = 0
    while _leading_zeros(puzzle_hash(challenge_id, address, puzzle, nonce)) < bits:
        yield None
        nonce += 1
    yield nonce


def difficulty(
    *, base_bits: int, paid_last_hour: int, daily_count: int, grants_of_network: int, is_datacenter: bool
) -> int:
    """Return how many bits a puzzle has now.

    Args:
        base_bits: In quiet times.
        paid_last_hour: Payouts in the last hour: twice the even share of a day's budget is one bit more, four times is two, up to `SURGE_MAX`.
        daily_count: Payouts that a day has.
        grants_of_network: Payouts to the client's wide network in 24 hours.
        is_datacenter: Whether it is in an operator's list of networks that people do not sit in.
    """
    # floor(log2(paid / share)), with whole numbers: share = daily_count / 24.
    ratio = 24 * paid_last_hour // daily_count
    surge = min(SURGE_MAX, max(0, ratio.bit_length() - 1))
    bits = base_bits + surge + grants_of_network // GRANTS_A_BIT + (DATACENTER_BITS if is_datacenter else 0)
    return max(BITS_MIN, min(BITS_MAX, bits))


def expected_hashes(bits: int) -> int:
    """Return how many hashes all puzzles take on average."""
    return PUZZLES << bits


def _leading_zeros(digest: bytes) -> int:
    return 8 * len(digest) - int.from_bytes(digest, "big").bit_length()


def _mac(body: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, body, hashlib.sha256).digest()
