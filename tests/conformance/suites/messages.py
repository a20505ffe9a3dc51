"""Typed data (EIP-712), which eth-account hashes and signs for everybody who signs ours."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from tests.conformance.verdicts import Verdict, each, expect_equal, named

from metanode.crypto.hashing import keccak256


def judge(file: Path) -> Iterator[Verdict]:
    """Messages with their digests, some with a signature."""
    return each(named(json.loads(file.read_bytes())), judge_message)


def judge_message(case: Mapping[str, Any]) -> None:
    """One message."""
    signable = encode_typed_data(case["domain"], case["types"], case["data"])
    digest = keccak256(b"\x19\x01" + signable.header + signable.body)
    expect_equal("digest", digest, bytes.fromhex(case["digest"][2:]))
    if "privateKey" in case:
        signed = Account.sign_message(signable, case["privateKey"])
        expect_equal("signature", bytes(signed.signature), bytes.fromhex(case["signature"][2:]))
