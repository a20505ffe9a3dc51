"""Wycheproof's keys and signatures come as DER: how many the harness cannot read is pinned, and what it reads our code judges."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tests.conformance.archive import Archive
from tests.conformance.der import NotDer, numbers_of_signature, point_of_key
from tests.conformance.report import HEAD
from tests.conformance.suites import wycheproof
from tests.conformance.suites.wycheproof import ORDER, agree, keys_of, secret_of, verify
from tests.conformance.verdicts import Mismatch

from metanode.errors import InvalidInput

AGREEMENTS = "vectors/wycheproof/ecdh_secp256k1_test.json"
SIGNATURES = "vectors/wycheproof/ecdsa_secp256k1_sha256_test.json"


def handed_on(archive: Archive, path: str, ask: Callable[[Mapping[str, Any]], object]) -> Counter[str]:
    """How many cases the harness reads, our code refuses, and the harness cannot read."""
    found: Counter[str] = Counter()
    for _, test in wycheproof.tests_of(archive.file(path)):
        try:
            ask(test)
        except NotDer:
            found["not read"] += 1
        except InvalidInput:
            found["refused"] += 1
        else:
            found["answered"] += 1
    return found


def test_how_many_cases_never_reach_our_code_is_pinned_and_told_on_the_page(archive: Archive) -> None:
    agreements = handed_on(archive, AGREEMENTS, secret_of)
    assert agreements == {"answered": 474, "refused": 23, "not read": 255}
    signatures = handed_on(archive, SIGNATURES, keys_of)
    assert signatures == {"answered": 242, "not read": 234}
    assert f"{agreements['not read']} cases of ECDH and {signatures['not read']} of ECDSA" in HEAD


@pytest.mark.parametrize(
    ("path", "judge"), [(AGREEMENTS, agree), (SIGNATURES, verify)], ids=["ECDH", "ECDSA"]
)
def test_a_case_with_the_other_result_fails(
    archive: Archive, path: str, judge: Callable[[Mapping[str, Any]], None]
) -> None:
    other = {"valid": "invalid", "invalid": "valid"}
    missed, flipped = [], 0
    for name, test in wycheproof.tests_of(archive.file(path)):
        if test["result"] not in other or has_high_s(test):
            continue
        flipped += 1
        try:
            judge({**test, "result": other[test["result"]]})
        except Mismatch:
            continue
        missed.append(name)
    assert missed == []
    assert flipped > 350


def has_high_s(test: Mapping[str, Any]) -> bool:
    """Whether a signature is one that our code takes from nobody, valid or not."""
    try:
        return "sig" in test and numbers_of_signature(bytes.fromhex(test["sig"]))[1] > ORDER // 2
    except NotDer:
        return False


def test_a_secret_that_is_another_fails(archive: Archive) -> None:
    valid = next(
        test for _, test in wycheproof.tests_of(archive.file(AGREEMENTS)) if test["result"] == "valid"
    )
    agree(valid)
    with pytest.raises(Mismatch, match="secret"):
        agree({**valid, "shared": "00" * 32})


KEY = bytes.fromhex("3056301006072a8648ce3d020106052b8104000a03420004" + "11" * 64)
SIGNATURE = bytes.fromhex("3007020200ff020101")


def test_a_key_and_a_signature_are_read() -> None:
    assert point_of_key(KEY) == b"\4" + b"\x11" * 64
    assert numbers_of_signature(SIGNATURE) == (255, 1)
    long = b"\x30\x81\x86" + (b"\2\x41\x7f" + bytes(64)) * 2
    assert numbers_of_signature(long) == (127 << 512, 127 << 512)


@pytest.mark.parametrize(
    "wrong",
    [
        "", "30", "3006020200ff0201", "3007020200ff02010100", "3107020200ff020101", "308107020200ff020101", "30820007020200ff020101",
        "3080020200ff0201010000", "3007020200ff030101", "3006020181020101", "300702020001020101", "30050200020101",
        "3008020200ff02010105", "30030201ff",
    ],
)  # fmt: skip
def test_what_is_not_der_is_no_signature(wrong: str) -> None:
    with pytest.raises(NotDer):
        numbers_of_signature(bytes.fromhex(wrong))


def test_a_key_cut_anywhere_or_longer_or_of_another_curve_is_none() -> None:
    for size in range(len(KEY)):
        with pytest.raises(NotDer):
            point_of_key(KEY[:size])
    for other in (KEY + b"\0", KEY.replace(b"\x81\4\0\n", b"\x81\4\0\x0b"), KEY.replace(b"\3B\0", b"\3B\1")):
        assert other != KEY
        with pytest.raises(NotDer):
            point_of_key(other)
