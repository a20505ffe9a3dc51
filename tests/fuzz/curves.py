"""Points on the curves of the precompiles, in plain arithmetic: only as fast as drawing inputs needs.

Source of the constants: EIP-196 and EIP-197 (alt_bn128), EIP-2537 (BLS12-381), EIP-7951 (P-256).
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

Element: TypeAlias = tuple[int, ...]
"""An element of the field of p elements as (a,), or of its extension by i with i^2 = -1 as (a, b)."""
Point: TypeAlias = tuple[Element, Element] | None
"""None is the point at infinity."""


@dataclass(frozen=True, slots=True)
class Curve:
    """y^2 = x^3 + a x + b, of prime field or its extension of degree two."""

    prime: int
    order: int
    """Of the subgroup that the generator makes."""
    a: Element
    b: Element
    generator: tuple[Element, Element]

    def add(self, left: Point, right: Point) -> Point:
        """The sum of two points."""
        if left is None or right is None:
            return right if left is None else left
        (x1, y1), (x2, y2) = left, right
        if x1 == x2:
            if y1 != y2 or not any(y1):
                return None
            three_squares = _scaled(3, self._times(x1, x1))
            slope = self._times(self._plus(three_squares, self.a), self._inverse(self._plus(y1, y1)))
        else:
            slope = self._times(self._minus(y2, y1), self._inverse(self._minus(x2, x1)))
        x = self._minus(self._minus(self._times(slope, slope), x1), x2)
        return x, self._minus(self._times(slope, self._minus(x1, x)), y1)

    def multiply(self, point: Point, factor: int) -> Point:
        """The point added to itself `factor` times."""
        result: Point = None
        while factor:
            if factor & 1:
                result = self.add(result, point)
            point = self.add(point, point)
            factor >>= 1
        return result

    def negate(self, point: Point) -> Point:
        """The point on the other side."""
        return None if point is None else (point[0], self._minus((0,) * len(point[1]), point[1]))

    def lift(self, x: int) -> Point:
        """A point of the curve over the prime field with this x, or with the next that has one: rarely in the subgroup."""
        assert self.prime % 4 == 3
        while True:
            square = (x**3 + self.a[0] * x + self.b[0]) % self.prime
            y = pow(square, (self.prime + 1) // 4, self.prime)
            if y * y % self.prime == square:
                return (x,), (y,)
            x = (x + 1) % self.prime

    def _plus(self, left: Element, right: Element) -> Element:
        return tuple((one + other) % self.prime for one, other in zip(left, right, strict=True))

    def _minus(self, left: Element, right: Element) -> Element:
        return tuple((one - other) % self.prime for one, other in zip(left, right, strict=True))

    def _times(self, left: Element, right: Element) -> Element:
        if len(left) == 1:
            return (left[0] * right[0] % self.prime,)
        (a, b), (c, d) = left, right
        return (a * c - b * d) % self.prime, (a * d + b * c) % self.prime

    def _inverse(self, value: Element) -> Element:
        if len(value) == 1:
            return (pow(value[0], -1, self.prime),)
        a, b = value
        norm = pow(a * a + b * b, -1, self.prime)
        return a * norm % self.prime, -b * norm % self.prime


def _scaled(factor: int, value: Element) -> Element:
    return tuple(factor * part for part in value)


_BN_PRIME: Final = 0x30644E72E131A029B85045B68181585D97816A916871CA8D3C208C16D87CFD47
_BN_ORDER: Final = 0x30644E72E131A029B85045B68181585D2833E84879B9709143E1F593F0000001
BN_G1: Final = Curve(_BN_PRIME, _BN_ORDER, (0,), (3,), ((1,), (2,)))
BN_G2: Final = Curve(
    _BN_PRIME,
    _BN_ORDER,
    (0, 0),
    (
        0x2B149D40CEB8AAAE81BE18991BE06AC3B5B4C5E559DBEFA33267E6DC24A138E5,
        0x009713B03AF0FED4CD2CAFADEED8FDF4A74FA084E52D1852E4A2BD0685C315D2,
    ),
    (
        (
            0x1800DEEF121F1E76426A00665E5C4479674322D4F75EDADD46DEBD5CD992F6ED,
            0x198E9393920D483A7260BFB731FB5D25F1AA493335A9E71297E485B7AEF312C2,
        ),
        (
            0x12C85EA5DB8C6DEB4AAB71808DCB408FE3D1E7690C43D37B4CE6CC0166FA7DAA,
            0x090689D0585FF075EC9E99AD690C3395BC4B313370B38EF355ACDADCD122975B,
        ),
    ),
)

_BLS_PRIME: Final = (
    0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
)
_BLS_ORDER: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
BLS_G1: Final = Curve(
    _BLS_PRIME,
    _BLS_ORDER,
    (0,),
    (4,),
    (
        (0x17F1D3A73197D7942695638C4FA9AC0FC3688C4F9774B905A14E3A3F171BAC586C55E83FF97A1AEFFB3AF00ADB22C6BB,),
        (0x08B3F481E3AAA0F1A09E30ED741D8AE4FCF5E095D5D00AF600DB18CB2C04B3EDD03CC744A2888AE40CAA232946C5E7E1,),
    ),
)
BLS_G2: Final = Curve(
    _BLS_PRIME,
    _BLS_ORDER,
    (0, 0),
    (4, 4),
    (
        (
            0x024AA2B2F08F0A91260805272DC51051C6E47AD4FA403B02B4510B647AE3D1770BAC0326A805BBEFD48056C8C121BDB8,
            0x13E02B6052719F607DACD3A088274F65596BD0D09920B61AB5DA61BBDC7F5049334CF11213945D57E5AC7D055D042B7E,
        ),
        (
            0x0CE5D527727D6E118CC9CDC6DA2E351AADFD9BAA8CBDD3A76D429A695160D12C923AC9CC3BACA289E193548608B82801,
            0x0606C4A02EA734CC32ACD2B02BC28B99CB3E287E85A763AF267492AB572E99AB3F370D275CEC1DA1AAA9075FF05F79BE,
        ),
    ),
)

P256: Final = Curve(
    0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF,
    0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    (-3,),
    (0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,),
    (
        (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,),
        (0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,),
    ),
)


def sign_p256(secret: int, digest: bytes, nonce: int) -> tuple[int, int, tuple[int, int]]:
    """An ECDSA signature r, s by P-256 and the public key (x, y)."""
    point = P256.multiply(P256.generator, nonce)
    public = P256.multiply(P256.generator, secret)
    assert point is not None
    assert public is not None
    r = point[0][0] % P256.order
    s = pow(nonce, -1, P256.order) * (int.from_bytes(digest, "big") + r * secret) % P256.order
    return r, s, (public[0][0], public[1][0])
