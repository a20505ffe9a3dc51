"""Typed data (EIP-712): hashed by eth-account, as users' tools do, and signed by our keys.

What validators sign is EIP-712 too, of four fixed structures whose words `metanode.chain.signing` puts together itself;
`tests/unit/chain/test_signing.py` compares each with what eth-account makes of the same structure. So these cases say that the
judge of that code is right.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from eth_account.messages import encode_typed_data
from tests.conformance.verdicts import Verdict, each, expect_equal, named

from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey


def judge(file: Path) -> Iterator[Verdict]:
    """Messages with their digests, some with a signature."""
    return each(named(json.loads(file.read_bytes())), judge_message)


def judge_message(case: Mapping[str, Any]) -> None:
    """One message."""
    signable = encode_typed_data(case["domain"], case["types"], case["data"])
    digest = keccak256(b"\x19\x01" + signable.header + signable.body)
    expect_equal("digest", digest, bytes.fromhex(case["digest"][2:]))
    if "privateKey" in case:
        signature = PrivateKey(bytes.fromhex(case["privateKey"][2:])).sign(digest)
        written = signature[:64] + bytes((27 + signature[64],))
        expect_equal("signature", written, bytes.fromhex(case["signature"][2:]))
