"""Inputs for the precompiles: most of them right, many of them nearly right, some of any bytes."""

import hashlib
from collections.abc import Callable
from random import Random
from typing import Final

from tests.fuzz.curves import BLS_G1, BLS_G2, BN_G1, BN_G2, P256, Curve, Point, sign_p256
from tests.fuzz.transactions import key_of

from metanode.crypto.hashing import keccak256

MODEXP_BYTES_MAX: Final = 1_024
"""Of base, exponent and modulus from Osaka on (EIP-7823)."""
NAMES: Final = {
    0x01: "ecrecover", 0x02: "sha256", 0x03: "ripemd160", 0x04: "identity", 0x05: "modexp", 0x06: "bn_add", 0x07: "bn_multiply",
    0x08: "bn_pairing", 0x09: "blake2f", 0x0A: "kzg_point", 0x0B: "bls_g1_add", 0x0C: "bls_g1_msm", 0x0D: "bls_g2_add",
    0x0E: "bls_g2_msm", 0x0F: "bls_pairing", 0x10: "bls_map_g1", 0x11: "bls_map_g2", 0x100: "p256_verify",
}  # fmt: skip
"""The precompiles of Osaka by address."""
_SLOW: Final = frozenset({0x08, 0x0F})
"""Pairings take the specification a second; they are drawn less often."""


def draw_precompile(random: Random) -> int:
    """The number of a precompile."""
    number = random.choice(list(NAMES))
    return random.choice(list(NAMES)) if number in _SLOW and random.randrange(8) else number


def draw_input(random: Random, number: int) -> bytes:
    """An input for the precompile with this number, perhaps damaged."""
    data = _MAKERS[number](random)
    match random.randrange(12):
        case 0 if data:
            position = random.randrange(len(data))
            return (
                data[:position] + bytes([data[position] ^ (1 << random.randrange(8))]) + data[position + 1 :]
            )
        case 1:
            return data[: random.randrange(len(data) + 1)]
        case 2:
            return data + random.randbytes(random.choice((1, 31, 32)))
        case _:
            return data


def _ecrecover(random: Random) -> bytes:
    digest = random.randbytes(32)
    signature = key_of(keccak256(random.randbytes(4))).sign(digest)
    v = random.choice((27, 28, 27 + signature[64], 27 + signature[64], 29, 0, 2**255))
    return digest + v.to_bytes(32, "big") + signature[:64]


def _any_bytes(random: Random) -> bytes:
    return random.randbytes(random.choice((0, 1, 31, 32, 33, 64, 65, 200)))


def _modexp(random: Random) -> bytes:
    lengths = [random.choice((0, 1, 2, 8, 31, 32, 33, 64)) for _ in range(3)]
    body = b"".join(
        random.choice((bytes(length), b"\xff" * length, random.randbytes(length))) for length in lengths
    )
    if random.randrange(10) == 0:
        lengths[random.randrange(3)] = random.choice(
            (MODEXP_BYTES_MAX, MODEXP_BYTES_MAX + 1, 2**32, 2**64, 2**256 - 1)
        )
    return b"".join(length.to_bytes(32, "big") for length in lengths) + body


def _blake2f(random: Random) -> bytes:
    rounds = random.choice((0, 1, 12, 100)).to_bytes(4, "big")
    return rounds + random.randbytes(64 + 128 + 16) + bytes([random.choice((0, 1, 1, 2))])


def _kzg(random: Random) -> bytes:
    # Of the polynomial zero everything is known without the ceremony's secret: commitment and proof are infinity, the value is zero.
    infinity = b"\xc0" + bytes(47)
    versioned = b"\x01" + hashlib.sha256(infinity).digest()[1:]
    z = random.randrange(BLS_G1.order) if random.randrange(8) else BLS_G1.order
    y = 0 if random.randrange(8) else 1
    return versioned + z.to_bytes(32, "big") + y.to_bytes(32, "big") + infinity + infinity


def _p256(random: Random) -> bytes:
    digest = random.randbytes(32)
    secret, nonce = (random.randrange(1, P256.order) for _ in range(2))
    r, s, (x, y) = sign_p256(secret, digest, nonce)
    match random.randrange(8):
        case 0:
            s = P256.order - s  # as good as the other one: EIP-7951 does not forbid it
        case 1:
            r = random.choice((0, P256.order, r + 1))
        case 2:
            x, y = random.choice(((0, 0), (x, P256.prime - y), (x, (y + 1) % P256.prime), (P256.prime, y)))
        case _:
            pass
    return digest + b"".join(number.to_bytes(32, "big") for number in (r, s, x, y))


def _point(random: Random, curve: Curve, *, subgroup: bool = True) -> Point:
    if random.randrange(10) == 0:
        return None
    if not subgroup and len(curve.b) == 1 and random.randrange(6) == 0:
        return curve.lift(random.randrange(curve.prime))
    return curve.multiply(curve.generator, random.choice((1, 2, 3, random.randrange(curve.order))))


def _bn(point: Point, size: int) -> bytes:
    if point is None:
        return bytes(64 * size)
    # The imaginary part stands first (EIP-197).
    return b"".join(part.to_bytes(32, "big") for element in point for part in reversed(element))


def _bls(point: Point, size: int) -> bytes:
    if point is None:
        return bytes(128 * size)
    return b"".join(part.to_bytes(64, "big") for element in point for part in element)


def _scalar(random: Random, order: int) -> bytes:
    return random.choice(
        (0, 1, order - 1, order, 2**256 - 1, random.getrandbits(256), random.getrandbits(16))
    ).to_bytes(32, "big")


def _bn_add(random: Random) -> bytes:
    left = _point(random, BN_G1)
    right = random.choice((left, BN_G1.negate(left), _point(random, BN_G1)))
    return _bn(left, 1) + _bn(right, 1)


def _bn_multiply(random: Random) -> bytes:
    return _bn(_point(random, BN_G1), 1) + _scalar(random, BN_G1.order)


def _pairs(random: Random, first: Curve, second: Curve) -> list[tuple[Point, Point]]:
    """Pairs whose product is one: aP with Q, and P with -aQ. Or is not, by one of them missing."""
    factor = random.choice((1, 2, 5))
    pairs = [
        (first.multiply(first.generator, factor), second.generator),
        (first.generator, second.negate(second.multiply(second.generator, factor))),
    ]
    match random.randrange(6):
        case 0:
            return []
        case 1:
            return pairs[:1]
        case 2:
            return [(None, second.generator), (first.generator, None)]
        case _:
            return pairs


def _bn_pairing(random: Random) -> bytes:
    return b"".join(_bn(one, 1) + _bn(other, 2) for one, other in _pairs(random, BN_G1, BN_G2))


def _bls_pairing(random: Random) -> bytes:
    pairs = [(one, other) for one, other in _pairs(random, BLS_G1, BLS_G2)]
    if random.randrange(8) == 0:
        pairs.append((_point(random, BLS_G1, subgroup=False), None))
    return b"".join(_bls(one, 1) + _bls(other, 2) for one, other in pairs)


def _bls_add(curve: Curve, size: int) -> Callable[[Random], bytes]:
    def make(random: Random) -> bytes:
        left = _point(random, curve, subgroup=False)
        right = random.choice((left, curve.negate(left), _point(random, curve, subgroup=False)))
        return _bls(left, size) + _bls(right, size)

    return make


def _bls_msm(curve: Curve, size: int) -> Callable[[Random], bytes]:
    def make(random: Random) -> bytes:
        terms = [
            _bls(_point(random, curve, subgroup=random.randrange(4) > 0), size) + _scalar(random, curve.order)
            for _ in range(random.choice((0, 1, 1, 2, 3)))
        ]
        return b"".join(terms)

    return make


def _bls_map(size: int) -> Callable[[Random], bytes]:
    def make(random: Random) -> bytes:
        return b"".join(
            random.choice(
                (0, 1, BLS_G1.prime - 1, BLS_G1.prime, *(random.randrange(BLS_G1.prime),) * 4)
            ).to_bytes(64, "big")
            for _ in range(size)
        )

    return make


_MAKERS: Final[dict[int, Callable[[Random], bytes]]] = {
    0x01: _ecrecover,
    0x02: _any_bytes,
    0x03: _any_bytes,
    0x04: _any_bytes,
    0x05: _modexp,
    0x06: _bn_add,
    0x07: _bn_multiply,
    0x08: _bn_pairing,
    0x09: _blake2f,
    0x0A: _kzg,
    0x0B: _bls_add(BLS_G1, 1),
    0x0C: _bls_msm(BLS_G1, 1),
    0x0D: _bls_add(BLS_G2, 2),
    0x0E: _bls_msm(BLS_G2, 2),
    0x0F: _bls_pairing,
    0x10: _bls_map(1),
    0x11: _bls_map(2),
    0x100: _p256,
}
