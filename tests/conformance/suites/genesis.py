"""Genesis blocks: what the engine makes of a genesis file."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.conformance.chains import fork_config, opened
from tests.conformance.verdicts import Mismatch, Verdict, each, expect_equal

from metanode import _engine
from metanode.crypto.hashing import keccak256
from metanode.primitives import rlp


def judge(file: Path) -> Iterator[Verdict]:
    """Genesis files with the blocks they give."""

    def judge_block(case: Mapping[str, Any]) -> None:
        genesis = {name: value for name, value in case.items() if name != "result"}
        genesis["config"] = fork_config("Frontier")
        genesis["alloc"] = {address: account_of(given) for address, given in case["alloc"].items()}
        expected = bytes.fromhex(case["result"].removeprefix("0x"))
        try:
            with opened(genesis) as engine:
                payload = engine.payload(0)
                assert payload is not None
                expect_equal("block", payload[0], expected)
        except _engine.InvalidInput as error:
            raise Mismatch(str(error)) from error

    return each(json.loads(file.read_bytes()).items(), judge_block)


def account_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """An account in geth's words: these files say "wei" for the balance, and leave out one of zero."""
    balance = given.get("balance", given.get("wei", "0"))
    return {**{name: value for name, value in given.items() if name != "wei"}, "balance": balance}


def judge_hashes(file: Path) -> Iterator[Verdict]:
    """`genesishashestest.json`: one block of 2015, counted by its three members. Its state is not in the file."""
    content = json.loads(file.read_bytes())

    def judge_member(name: str) -> None:
        block = bytes.fromhex(content["genesis_rlp_hex"])
        header, digest = _header(block)
        if name == "genesis_state_root":
            expect_equal("state root", header[3].hex(), content[name])
        elif name == "genesis_hash":
            expect_equal("hash", digest.hex(), content[name])
        else:
            expect_equal("fields", len(header), 15)

    return each(((name, name) for name in content), judge_member)


def _header(block: bytes) -> tuple[list[bytes], bytes]:
    decoded = rlp.decode(block)
    assert isinstance(decoded, list)
    header = decoded[0]
    assert isinstance(header, list)
    return [field for field in header if isinstance(field, bytes)], keccak256(rlp.encode(header))
