"""Project Wycheproof's cases of the primitives that handshakes, messages and key files use."""

import contextlib
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tests.conformance.verdicts import Mismatch, NotApplicable, Verdict, each, expect_equal

from metanode.crypto.ecies import AgreementKey, InvalidPoint
from metanode.crypto.secp256k1 import recover_public_key
from metanode.errors import InvalidSignature

ORDER: Final = int("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16)
POINT_PREFIX: Final = bytes.fromhex("3056301006072a8648ce3d020106052b8104000a03420004")
"""The DER of an uncompressed key of secp256k1 up to its coordinates: the only form that has our 64 bytes in it."""


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
    """One agreement."""
    public, number = bytes.fromhex(test["public"]), int(test["private"], 16)
    if not public.startswith(POINT_PREFIX) or len(public) != len(POINT_PREFIX) + 64:
        raise NotApplicable("keys come as the 64 bytes of their coordinates here, never as DER or compressed")
    if not 0 < number < ORDER:
        raise NotApplicable("a private key is 32 bytes below the order of the group here")
    try:
        shared = AgreementKey(number.to_bytes(32, "big")).agree(public[len(POINT_PREFIX) :])
    except InvalidPoint as error:
        if test["result"] == "valid":
            raise Mismatch(f"refused: {error}") from error
        return
    if test["result"] == "invalid":
        raise Mismatch("a secret is agreed on with a key that is invalid")
    expect_equal("secret", shared.hex(), test["shared"])


def judge_signatures(file: Path) -> Iterator[Verdict]:
    """ECDSA over secp256k1: the key is recovered from a valid signature in low-s form, and from no other."""
    return each(tests_of(file), verify)


def verify(test: Mapping[str, Any]) -> None:
    """One signature."""
    numbers = parse_der(bytes.fromhex(test["sig"]))
    if numbers is None or max(numbers).bit_length() > 256:
        raise NotApplicable("signatures come as 65 bytes here, never as DER")
    raw = b"".join(number.to_bytes(32, "big") for number in numbers)
    digest = hashlib.sha256(bytes.fromhex(test["msg"])).digest()
    recovered = set()
    for recovery_id in (b"\0", b"\1"):
        with contextlib.suppress(InvalidSignature):
            recovered.add(recover_public_key(digest, raw + recovery_id))
    expected = test["result"] == "valid" and numbers[1] <= ORDER // 2
    is_found = bytes.fromhex(test["publicKey"]["uncompressed"])[1:] in recovered
    if is_found != expected:
        raise Mismatch(
            f"the key is {'' if is_found else 'not '}recovered from a signature that is {test['result']}"
        )


def parse_der(signature: bytes) -> tuple[int, int] | None:
    """R and s of strict DER, None for anything else."""
    with contextlib.suppress(IndexError):
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


def judge_authentication(file: Path) -> Iterator[Verdict]:
    """HMAC with SHA-256, which ECIES and key derivation take from the standard library."""

    def judge(test: Mapping[str, Any]) -> None:
        key, message = bytes.fromhex(test["key"]), bytes.fromhex(test["msg"])
        tag = hmac.digest(key, message, "sha256")[: test["tagSize"] // 8]
        is_right = hmac.compare_digest(tag, bytes.fromhex(test["tag"]))
        expect_equal("tag is accepted", is_right, test["result"] == "valid")

    return each(tests_of(file), judge)
