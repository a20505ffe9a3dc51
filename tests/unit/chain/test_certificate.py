"""A certificate proves its height or is refused."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.chain.certificate import Certificate, verify_certificate
from metanode.chain.quorum import QuorumRule
from metanode.chain.signing import SigningDomain
from metanode.chain.validators import Validator, ValidatorSet
from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import ORDER, PrivateKey
from metanode.errors import InvalidCertificate, InvalidEncoding, InvalidInput
from metanode.primitives import rlp
from metanode.primitives.types import Hash32, Height, Round


@pytest.fixture
def decided(chain: Any) -> Any:
    """A chain whose tip is height 2, with its certificate."""
    chain.grow(2)
    return chain


def verify(
    chain: Any, certificate: Certificate, validators: ValidatorSet | None = None, **changes: Any
) -> None:
    wanted: dict[str, Any] = {"height": chain.parent.height, "block_hash": chain.parent.hash}
    verify_certificate(
        certificate,
        **(wanted | changes),
        validators=validators or chain.state.last_validators,
        rule=chain.rules.quorum_rule,
        domain=chain.rules.domain,
    )


def test_every_quorum_is_enough_and_less_is_not(decided: Any) -> None:
    verify(decided, decided.certificate)
    seals = dict(zip(decided.validators, decided.certificate.seals, strict=True))
    for missing in decided.validators:
        three = {address: seal for address, seal in seals.items() if address != missing}
        common = {"height": Height(2), "round": Round(0), "block_hash": decided.parent.hash}
        verify(decided, Certificate.of(**common, seals=three, validators=decided.state.validators))
        three.popitem()
        with pytest.raises(InvalidCertificate, match="weight of 2 of 4 is below the quorum of 3"):
            verify(decided, Certificate.of(**common, seals=three, validators=decided.state.validators))


def test_another_height_or_hash_is_refused(decided: Any) -> None:
    with pytest.raises(InvalidCertificate, match="height: expected 3, found 2"):
        verify(decided, decided.certificate, height=Height(3))
    with pytest.raises(InvalidCertificate, match="block_hash: expected"):
        verify(decided, decided.certificate, block_hash=Hash32(b"\1" * 32))


def test_seals_of_another_round_are_refused(decided: Any) -> None:
    with pytest.raises(InvalidCertificate, match="is of 0x"):
        verify(decided, replace(decided.certificate, round=Round(1)))


def test_a_bit_beyond_the_set_is_refused(decided: Any) -> None:
    certificate = decided.certificate
    with pytest.raises(InvalidCertificate, match="has 4 validators"):
        verify(decided, replace(certificate, signers=b"\x17"))
    with pytest.raises(InvalidCertificate, match="has 4 validators"):
        verify(decided, replace(certificate, signers=certificate.signers + b"\0"))


def test_one_signer_cannot_stand_at_two_places(decided: Any) -> None:
    first = decided.certificate.seals[0]
    with pytest.raises(InvalidCertificate, match="is of 0x"):
        verify(decided, replace(decided.certificate, seals=(first,) * 4))


def test_one_bad_seal_among_a_good_quorum_is_refused(decided: Any) -> None:
    seals = list(decided.certificate.seals)
    high_s = (
        seals[3][:32]
        + (ORDER - int.from_bytes(seals[3][32:64], "big")).to_bytes(32, "big")
        + bytes([seals[3][64] ^ 1])
    )
    for bad in (bytes(65), high_s, PrivateKey(b"\x55" * 32).sign(keccak256(b""))):
        with pytest.raises(InvalidCertificate, match="seal of 0x"):
            verify(decided, replace(decided.certificate, seals=(*seals[:3], bad)))


def test_the_set_of_another_height_is_refused(decided: Any) -> None:
    stranger = decided.strangers[0]
    other = decided.state.validators.adding(stranger).dropping(decided.validators[0])
    with pytest.raises(InvalidCertificate, match="is of 0x"):
        verify(decided, decided.certificate, validators=other)
    with pytest.raises(InvalidCertificate, match="below the quorum"):
        verify(
            decided,
            decided.certificate,
            validators=other.adding(decided.validators[0])
            .adding(decided.strangers[1])
            .adding(decided.strangers[2]),
        )


def test_the_domain_of_another_network_is_refused(decided: Any, new_chain: Callable[..., Any]) -> None:
    other = new_chain(period_s=3)
    with pytest.raises(InvalidCertificate, match="is of 0x"):
        verify_certificate(
            decided.certificate,
            height=decided.parent.height,
            block_hash=decided.parent.hash,
            validators=decided.state.last_validators,
            rule=QuorumRule.AUTHORITY,
            domain=other.rules.domain,
        )


def test_weights_decide_not_heads() -> None:
    keys = [PrivateKey(bytes([9, n]) * 16) for n in range(4)]
    powers = [1, 1, 1, 97]
    validators = ValidatorSet.of(
        Validator(address=k.address, power=p) for k, p in zip(keys, powers, strict=True)
    )
    domain = SigningDomain(chain_id=1, genesis_hash=keccak256(b"g"))
    block_hash = keccak256(b"b")
    digest = domain.commit(height=Height(1), round=Round(0), block_hash=block_hash)

    def check(signers: list[PrivateKey]) -> None:
        certificate = Certificate.of(
            height=Height(1),
            round=Round(0),
            block_hash=block_hash,
            seals={key.address: key.sign(digest) for key in signers},
            validators=validators,
        )
        verify_certificate(
            certificate,
            height=Height(1),
            block_hash=block_hash,
            validators=validators,
            rule=QuorumRule.STAKE,
            domain=domain,
        )

    check([keys[3]])
    with pytest.raises(InvalidCertificate, match="weight of 3 of 100 is below the quorum of 67"):
        check(keys[:3])


def test_encodings_are_canonical(decided: Any) -> None:
    data = decided.certificate.encode()
    assert Certificate.decode(data) == decided.certificate
    for length in range(len(data)):
        with pytest.raises(InvalidInput):
            Certificate.decode(data[:length])
    with pytest.raises(InvalidEncoding):
        Certificate.decode(data + b"\0")


@given(bits=st.integers(1, 2**24 - 1), height=st.integers(0, 2**64 - 1), round=st.integers(0, 2**64 - 1))
def test_any_bitmap_round_trips(bits: int, height: int, round: int) -> None:
    certificate = Certificate(
        height=Height(height),
        round=Round(round),
        block_hash=keccak256(b""),
        signers=bits.to_bytes(3, "little"),
        seals=tuple(bytes([n]) * 65 for n in range(bits.bit_count())),
    )
    assert Certificate.decode(certificate.encode()) == certificate
    assert sum(1 << position for position in certificate.positions()) == bits


@pytest.mark.parametrize(
    ("signers", "seals", "message"),
    [
        (b"", b"", "1 to 125 bytes"),
        (bytes(126), b"", "at most 125"),
        (b"\3", b"x" * 65, "one for each of 2 signers, found 1"),
        (b"\1", b"x" * 130, "one for each of 1 signers, found 2"),
        (b"\1", b"x" * 64, "multiple of 65"),
    ],
)
def test_malformed_certificates_do_not_exist(signers: bytes, seals: bytes, message: str) -> None:
    with pytest.raises(InvalidEncoding, match=message):
        Certificate.decode(rlp.encode([b"\1", b"", bytes(32), signers, seals]))
