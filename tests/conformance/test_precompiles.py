"""Files of precompiles by every name that go-ethereum gives them, each under the rules whose gas it counts."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from tests.conformance.suites.calls import judge_precompiles

from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey


def word(number: int) -> str:
    return f"{number:064x}"


def verdicts(path: Path, *cases: dict[str, Any]) -> list[tuple[str, str]]:
    """The status and reason of each case of a file with these."""
    path.write_text(json.dumps([{"Name": "one", **case} for case in cases]))
    return [(verdict.status.value, verdict.reason) for verdict in judge_precompiles(path)]


def recovery() -> tuple[str, str]:
    key, digest = PrivateKey(b"\1" * 32), keccak256(b"message")
    signature = key.sign(digest)
    data = digest + (27 + signature[64]).to_bytes(32, "big") + signature[:64]
    return data.hex(), (bytes(12) + key.address).hex()


def p256() -> str:
    key, message = ec.derive_private_key(7, ec.SECP256R1()), b"message"
    numbers = (*decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256()))), *_point(key))
    return hashlib.sha256(message).hexdigest() + "".join(map(word, numbers))


def _point(key: ec.EllipticCurvePrivateKey) -> tuple[int, int]:
    point = key.public_key().public_numbers()
    return point.x, point.y


EMPTY_COMMITMENT = b"\xc0" + bytes(47)
"""The point at infinity: that of a blob of zeros, and the proof of any of its points."""
DOUBLED = (
    word(0x030644E72E131A029B85045B68181585D97816A916871CA8D3C208C16D87CFD3)
    + word(0x15ED738C0E0A7C92E7845F96B2AE9C0A68A6A449E3538FC7FF3EBF7A5A18A2C4)
)  # fmt: skip
"""Twice the generator (1, 2) of alt_bn128."""
SQUARE = word(1) + word(1) + word(1) + "030205"
"""3 to the power of 2, modulo 5, for modexp."""


@pytest.mark.parametrize(
    ("name", "data", "expected", "gas"),
    [
        ("ecRecover", *recovery(), 3_000),
        ("bn256Add", (word(1) + word(2)) * 2, DOUBLED, 150),
        ("bn256ScalarMul", word(1) + word(2) + word(2), DOUBLED, 6_000),
        ("bn256Pairing", "", word(1), 45_000),
        ("modexp_eip2565", SQUARE, "04", 200),
        ("modexp_eip7883", SQUARE, "04", 500),
        ("modexp", SQUARE, "04", 0),
        ("blsPairing", "00" * 384, word(1), 70_300),
        (
            "pointEvaluation",
            (b"\1" + hashlib.sha256(EMPTY_COMMITMENT).digest()[1:] + bytes(64) + EMPTY_COMMITMENT * 2).hex(),
            word(4_096) + "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001",
            50_000,
        ),
        ("p256Verify", p256(), word(1), 6_900),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() and len(value) < 20 else "",
)
def test_a_precompile_is_known_by_the_name_of_its_file(
    tmp_path: Path, name: str, data: str, expected: str, gas: int
) -> None:
    right = {"Input": data, "Expected": expected, "Gas": gas}
    cheaper = {**right, "Gas": gas - 1}
    other = {**right, "Expected": expected[:-1] + ("0" if expected[-1] != "0" else "1")}
    found = verdicts(tmp_path / f"{name}.json", right, cheaper, other)
    assert found[0] == ("passed", "")
    assert found[1] == ("failed", f"gas: found {gas}, expected {gas - 1}")
    assert found[2][1].startswith("output: found ")


def test_a_file_of_failures_is_known_by_the_same_name_with_small_letters_too(tmp_path: Path) -> None:
    wrong = {"Input": "00", "ExpectedError": "invalid input length"}
    assert verdicts(tmp_path / "fail-blsPairing.json", wrong) == [("passed", "")]
    assert verdicts(tmp_path / "fail-blake2f.json", wrong) == [("passed", "")]
    assert verdicts(tmp_path / "fail-blake2F.json", wrong) == [("passed", "")]
    assert verdicts(tmp_path / "fail-ecRecover.json", wrong) == [
        ("failed", "success: found True, expected False")
    ]


def test_a_file_of_a_precompile_that_nobody_knows_fails_by_its_name(tmp_path: Path) -> None:
    ((status, reason),) = verdicts(tmp_path / "new.json", {"Input": "", "Expected": "", "Gas": 0})
    assert status == "failed"
    assert reason.startswith("new.json: expected the name of a precompile, one of ecrecover, ")
