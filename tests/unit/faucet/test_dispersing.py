"""The contract that pays many is the one whose source is committed, and is called as its ABI says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from eth_abi import encode as encode_abi
from hypothesis import given
from hypothesis import strategies as st

from metanode.crypto.hashing import keccak256
from metanode.primitives.hexadecimal import encode_data
from sdk.testnet.faucet import dispersing
from sdk.testnet.faucet.dispersing import (
    RECIPIENTS_MAX,
    deployment_calldata,
    disperse_calldata,
    gas_of,
    load_contract,
    refused_of,
)

FOLDER = Path(dispersing.__file__).parent / "contracts"


def test_the_committed_bytes_are_what_the_compiler_makes_of_the_committed_source() -> None:
    compiler = Path(sys.executable).parent / "vyper"
    compiled = subprocess.run(
        [compiler, "-f", "bytecode,bytecode_runtime", FOLDER / "Disperse.vy"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    committed = json.loads((FOLDER / "Disperse.json").read_text())

    assert compiled == [committed["initcode"], committed["runtime"]]


def test_its_address_follows_from_its_code_and_is_the_same_everywhere() -> None:
    contract = load_contract()

    assert (
        encode_data(contract.address)
        == "0x"
        + keccak256(b"\xff" + dispersing.FACTORY + bytes(32) + keccak256(contract.initcode))[12:].hex()
    )
    assert deployment_calldata() == bytes(32) + contract.initcode


@given(
    pairs=st.lists(
        st.tuples(st.binary(min_size=20, max_size=20), st.integers(0, 2**256 - 1)), max_size=RECIPIENTS_MAX
    )
)
def test_its_calls_are_encoded_as_the_abi_says(pairs: list[tuple[bytes, int]]) -> None:
    recipients, amounts = [to for to, _ in pairs], [amount for _, amount in pairs]
    expected = encode_abi(["address[]", "uint256[]"], [["0x" + to.hex() for to in recipients], amounts])

    assert disperse_calldata(recipients, amounts)[4:] == expected
    assert disperse_calldata(recipients, amounts)[:4] == bytes.fromhex("2f3cb35b")


def test_only_its_own_events_name_who_refused() -> None:
    own = encode_data(load_contract().address)
    topic = encode_data(keccak256(b"Refused(uint256)"))
    other = encode_data(keccak256(b"Other(uint256)"))

    def log(address: str, topics: list[str], index: int) -> dict[str, object]:
        return {"address": address, "topics": topics, "data": "0x" + index.to_bytes(32, "big").hex()}

    logs = [
        log(own, [topic], 3),
        log(own, [topic], 99),
        log("0x" + "11" * 20, [topic], 4),
        log(own, [other], 5),
    ]
    # Anybody may have the contract write them: whether a place is of a batch of ours is the ledger's to judge.
    assert refused_of(logs) == {3, 99}
    assert refused_of([]) == set()


@pytest.mark.parametrize(("recipients", "gas"), [(5, 495_000), (100, 7_620_000)])
def test_its_gas_stays_below_what_one_transaction_may_have(recipients: int, gas: int) -> None:
    assert gas_of(recipients) == gas
    assert gas_of(RECIPIENTS_MAX) < 2**24  # EIP-7825
