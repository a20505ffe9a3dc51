"""Signatures have one form, are deterministic, and name their signer."""

import contextlib
import hashlib
import json
import pickle
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.crypto.addresses import format_address, is_checksum_wrong, parse_address
from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import HALF_ORDER, ORDER, PrivateKey, recover_address, recover_public_key
from metanode.errors import InvalidEncoding, InvalidSignature

KEY = PrivateKey(bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"))
DIGEST = keccak256(b"digest")


def test_keccak_is_the_one_of_ethereum() -> None:
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def test_the_address_of_a_well_known_key() -> None:
    assert format_address(KEY.address) == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


@given(st.integers(min_value=1, max_value=ORDER - 1), st.binary(min_size=32, max_size=32))
def test_a_signature_recovers_to_its_signer_and_is_deterministic(secret: int, digest: bytes) -> None:
    key = PrivateKey(secret.to_bytes(32, "big"))
    signature = key.sign(digest)
    assert recover_address(digest, signature) == key.address
    assert recover_public_key(digest, signature) == key.public_key
    assert key.sign(digest) == signature


def test_the_high_s_twin_of_a_signature_is_refused() -> None:
    signature = KEY.sign(DIGEST)
    s = int.from_bytes(signature[32:64], "big")
    assert s <= HALF_ORDER
    twin = signature[:32] + (ORDER - s).to_bytes(32, "big") + bytes((signature[64] ^ 1,))
    with pytest.raises(InvalidSignature, match="half the order"):
        recover_address(DIGEST, twin)


@pytest.mark.parametrize("value", [0, ORDER, ORDER + 1, 2**256 - 1])
def test_r_and_s_out_of_range_are_refused(value: int) -> None:
    signature, wrong = KEY.sign(DIGEST), value.to_bytes(32, "big")
    with pytest.raises(InvalidSignature, match="r of a signature"):
        recover_address(DIGEST, wrong + signature[32:])
    with pytest.raises(InvalidSignature, match="s of a signature"):
        recover_address(DIGEST, signature[:32] + wrong + signature[64:])


@pytest.mark.parametrize("recovery_id", [2, 3, 27, 28, 255])
def test_recovery_ids_other_than_0_and_1_are_refused(recovery_id: int) -> None:
    with pytest.raises(InvalidSignature, match="recovery id"):
        recover_address(DIGEST, KEY.sign(DIGEST)[:64] + bytes((recovery_id,)))


@given(st.binary(max_size=70))
def test_noise_never_raises_anything_else(signature: bytes) -> None:
    with contextlib.suppress(InvalidSignature):
        recover_address(DIGEST, signature)


@pytest.mark.parametrize("secret", [b"", bytes(32), bytes(31), ORDER.to_bytes(32, "big"), b"\xff" * 32])
def test_impossible_keys_are_refused(secret: bytes) -> None:
    with pytest.raises(InvalidSignature):
        PrivateKey(secret)


def test_a_key_never_shows_itself() -> None:
    assert repr(KEY) == str(KEY) == "PrivateKey(***)"
    assert KEY.secret.hex() not in f"{KEY!r}{KEY}"
    with pytest.raises(TypeError):
        pickle.dumps(KEY)


# The four mixed-case examples of EIP-55.
@pytest.mark.parametrize(
    "text",
    [
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ],
)
def test_checksums_are_those_of_eip_55(text: str) -> None:
    assert format_address(parse_address(text)) == text
    assert not is_checksum_wrong(text)
    assert not is_checksum_wrong(text.lower())
    assert is_checksum_wrong(text[:2] + text[2:].swapcase())


def test_a_malformed_address_names_the_field() -> None:
    with pytest.raises(InvalidEncoding, match=r"validators\[1\]"):
        parse_address("0x8ba1f109551bD432803012645Hac136c30d3b8b8", field="validators[1]")


def parse_der(signature: bytes) -> tuple[int, int] | None:
    """Return r and s of strict DER, None for anything else."""
    with contextlib.suppress(IndexError, ValueError):
        if signature[0] != 0x30 or signature[1] != len(signature) - 2:
            return None
        numbers, rest = [], signature[2:]
        while rest:
            if rest[0] != 2 or len(rest) < 2 + rest[1] or not rest[1]:
                return None
            content, rest = rest[2 : 2 + rest[1]], rest[2 + rest[1] :]
            if content[0] & 0x80 or (len(content) > 1 and content[0] == 0 and not content[1] & 0x80):
                return None
            numbers.append(int.from_bytes(content, "big"))
        return (numbers[0], numbers[1]) if len(numbers) == 2 else None
    return None


def test_wycheproofs_signatures_recover_to_their_key_exactly_when_they_are_valid(
    vector: Callable[[str], bytes],
) -> None:
    """A valid signature in low-s form recovers to the key under one of the two ids; an invalid one under none."""
    judged = Counter[str]()
    for group in json.loads(vector("vectors/wycheproof/ecdsa_secp256k1_sha256_test.json"))["testGroups"]:
        expected = bytes.fromhex(group["publicKey"]["uncompressed"])[1:]
        for case in group["tests"]:
            numbers = parse_der(bytes.fromhex(case["sig"]))
            if numbers is None or max(numbers).bit_length() > 256:
                continue
            digest = hashlib.sha256(bytes.fromhex(case["msg"])).digest()
            raw = b"".join(number.to_bytes(32, "big") for number in numbers)
            found = set()
            for recovery_id in (0, 1):
                with contextlib.suppress(InvalidSignature):
                    found.add(recover_public_key(digest, raw + bytes((recovery_id,))))
            is_low = numbers[1] <= HALF_ORDER
            # r may also be the x of a point beyond the order: that takes ids 2 and 3, which nobody's signature has.
            if case["result"] == "valid" and is_low and "r too large" not in case["comment"]:
                assert expected in found, case["tcId"]
            elif case["result"] == "invalid" or not is_low:
                assert expected not in found, case["tcId"]
            judged[case["result"]] += 1
    assert judged["valid"] > 50
    assert judged["invalid"] > 20
