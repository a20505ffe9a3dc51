"""Project Wycheproof's cases of the primitives that handshakes, messages and key files use.

Its keys and signatures come as DER, ours never do: the harness reads them strictly and hands on what it can read. So what is wrong in the DER alone is
refused here and not by the product; `test_wycheproof.py` counts these, and the page names the numbers.
"""

import contextlib
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from tests.conformance.der import NotDer, numbers_of_signature, point_of_key
from tests.conformance.verdicts import Mismatch, Verdict, each, expect_equal

from metanode.crypto.ecies import AgreementKey, InvalidPoint
from metanode.crypto.secp256k1 import recover_public_key
from metanode.errors import InvalidSignature

ORDER: Final = int("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16)
UNCOMPRESSED: Final = b"\4"
"""The first byte of a point that is written with both coordinates, 64 bytes: ours without it."""


def tests_of(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The cases of a file, with what their groups say."""
    for group in json.loads(file.read_bytes())["testGroups"]:
        shared = {name: value for name, value in group.items() if name != "tests"}
        for test in group["tests"]:
            yield f"{test['tcId']} {test['comment']}".strip(), {**shared, **test}


def judge_agreement(file: Path) -> Iterator[Verdict]:
    """ECDH over secp256k1."""
    return each(tests_of(file), agree)


def agree(test: Mapping[str, Any]) -> None:
    """One agreement: refused, unless it is valid, or the secret, unless it is invalid. What is acceptable may be either."""
    try:
        shared = secret_of(test)
    except (NotDer, InvalidPoint) as error:
        if test["result"] == "valid":
            raise Mismatch(f"refused: {error}") from error
        return
    if test["result"] == "invalid":
        raise Mismatch("a secret is agreed on with a key that is invalid")
    expect_equal("secret", shared.hex(), test["shared"])


def secret_of(test: Mapping[str, Any]) -> bytes:
    """The secret that our code agrees on; raises NotDer when this harness cannot read the key, and InvalidPoint when our code refuses it."""
    public, number = coordinates(point_of_key(bytes.fromhex(test["public"]))), int(test["private"], 16)
    return AgreementKey(number.to_bytes(32, "big")).agree(public)


def coordinates(point: bytes) -> bytes:
    """A point as it comes to our code, which checks whether it is on the curve; one that is compressed has its y found first."""
    if point[:1] == UNCOMPRESSED:
        return point[1:]
    try:
        found = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), point).public_numbers()
    except ValueError as error:
        raise NotDer(f"no point: {error}") from error
    return found.x.to_bytes(32, "big") + found.y.to_bytes(32, "big")


def judge_signatures(file: Path) -> Iterator[Verdict]:
    """ECDSA over secp256k1: the key is recovered from a valid signature in low-s form, and from no other."""
    return each(tests_of(file), verify)


def verify(test: Mapping[str, Any]) -> None:
    """One signature."""
    try:
        numbers, recovered = keys_of(test)
    except NotDer as error:
        if test["result"] != "invalid":
            raise Mismatch(f"refused: {error}") from error
        return
    expected = test["result"] == "valid" and numbers[1] <= ORDER // 2
    is_found = bytes.fromhex(test["publicKey"]["uncompressed"])[1:] in recovered
    if is_found != expected:
        raise Mismatch(
            f"the key is {'' if is_found else 'not '}recovered from a signature that is {test['result']}"
        )


def keys_of(test: Mapping[str, Any]) -> tuple[tuple[int, int], set[bytes]]:
    """R and s of a signature, and the keys that our code recovers from it; raises NotDer when it does not fit into our 65 bytes."""
    numbers = numbers_of_signature(bytes.fromhex(test["sig"]))
    if max(numbers).bit_length() > 256:
        raise NotDer("a number of more than 32 bytes")
    raw = b"".join(number.to_bytes(32, "big") for number in numbers)
    digest = hashlib.sha256(bytes.fromhex(test["msg"])).digest()
    recovered = set()
    for recovery_id in (b"\0", b"\1"):
        with contextlib.suppress(InvalidSignature):
            recovered.add(recover_public_key(digest, raw + recovery_id))
    return numbers, recovered


def judge_authentication(file: Path) -> Iterator[Verdict]:
    """HMAC with SHA-256, which ECIES and key derivation take from the standard library."""

    def judge(test: Mapping[str, Any]) -> None:
        key, message = bytes.fromhex(test["key"]), bytes.fromhex(test["msg"])
        tag = hmac.digest(key, message, "sha256")[: test["tagSize"] // 8]
        is_right = hmac.compare_digest(tag, bytes.fromhex(test["tag"]))
        expect_equal("tag is accepted", is_right, test["result"] == "valid")

    return each(tests_of(file), judge)
