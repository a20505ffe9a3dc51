"""What people send in is checked before anything runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sdk.testnet.services.verification.compilers import split_version
from sdk.testnet.services.verification.submissions import (
    INPUT_BYTES_MAX,
    Rejected,
    read_submission,
    read_text,
    wrap_single_file,
)

INPUT: dict[str, Any] = {
    "language": "Solidity",
    "sources": {"src/A.sol": {"content": "contract A {}"}},
    "settings": {"optimizer": {"enabled": True}, "outputSelection": {"*": {"*": ["*"]}}},
}


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else []


def read(given: Any = None, **changes: Any) -> Any:
    options = {"compiler_version": "v0.8.30+commit.73712a01", "contract": "src/A.sol:A"} | changes
    return read_submission(INPUT if given is None else given, **options)


def test_a_submission_keeps_sources_and_the_settings_that_matter() -> None:
    found = read(INPUT | {"settings": INPUT["settings"] | {"modelChecker": {"engine": "chc"}}})

    assert (found.version, found.commit, found.source_path, found.name) == (
        "0.8.30",
        "73712a01",
        "src/A.sol",
        "A",
    )
    assert json.loads(found.standard_json) == {
        "language": "Solidity",
        "sources": INPUT["sources"],
        "settings": {"optimizer": {"enabled": True}},
    }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "expected an object"),
        (INPUT | {"language": "Yul"}, "language"),
        (INPUT | {"sources": {}}, "sources"),
        (INPUT | {"sources": {"a.sol": {"urls": ["http://169.254.169.254/"]}}}, "not fetched from anywhere"),
        (INPUT | {"sources": {"a.sol": "contract A {}"}}, "its content"),
        (INPUT | {"sources": {f"{n}.sol": {"content": ""} for n in range(2_001)}}, "at most 2000 files"),
        (INPUT | {"sources": {"src/A.sol": {"content": "x" * (INPUT_BYTES_MAX + 1)}}}, "bytes"),
        (INPUT | {"settings": []}, "settings"),
        (INPUT | {"settings": {"libraries": {"a": 2**70}}}, "stdJsonInput: Integer exceeds"),
        (INPUT | {"settings": {"libraries": nested(300)}}, "stdJsonInput: Recursion limit"),
    ],
)
def test_a_wrong_input_is_rejected_with_its_place(given: Any, told: str) -> None:
    with pytest.raises(Rejected, match=told):
        read(given)


@pytest.mark.parametrize(
    "contract", ["", "src/B.sol:A", "src/A.sol:", "src/A.sol:A B", "x" * 1_001, "a\0.sol:A"]
)
def test_a_contract_that_is_not_there_is_rejected(contract: str) -> None:
    given = INPUT | {"sources": INPUT["sources"] | {"a\0.sol": {"content": "contract A {}"}}}

    with pytest.raises(Rejected, match="contractIdentifier"):
        read(given, contract=contract)


def test_a_file_may_be_named_by_the_end_of_its_path() -> None:
    """As forge does with Vyper; of two files with this end none is meant."""
    one = {"language": "Vyper", "sources": {"/home/ada/src/A.vy": {"content": ""}}}
    two = {"language": "Vyper", "sources": one["sources"] | {"/home/eve/src/A.vy": {"content": ""}}}  # type: ignore[operator]

    assert read(one, contract="src/A.vy:A").source_path == "/home/ada/src/A.vy"
    for given, contract in ((two, "src/A.vy:A"), (one, "rc/A.vy:A")):
        with pytest.raises(Rejected, match="no file"):
            read(given, contract=contract)


@pytest.mark.parametrize(
    ("text", "version", "commit"),
    [
        ("v0.8.30+commit.73712a01", "0.8.30", "73712a01"),
        ("0.8.30", "0.8.30", ""),
        ("0.8.37+commit.f401782d.Emscripten.clang", "0.8.37", "f401782d"),
        ("vyper:0.4.3", "0.4.3", ""),
        ("0.4.1rc1", "0.4.1rc1", ""),
    ],
)
def test_versions_are_read_as_tools_write_them(text: str, version: str, commit: str) -> None:
    assert split_version(text) == (version, commit)


@pytest.mark.parametrize("text", ["", "latest", "0.8", "../../soljson", "0.8.30-nightly.2025.1.1+commit.0"])
def test_what_is_no_version_is_rejected(text: str) -> None:
    with pytest.raises(Rejected, match="compilerVersion"):
        read(compiler_version=text)


def test_sources_as_etherscan_gives_them_out_are_taken_back() -> None:
    text = "{" + json.dumps(INPUT) + "}"

    assert read_text(text, compiler_version="0.8.30", contract="A").name == "A"


def test_a_single_file_becomes_a_standard_input() -> None:
    found = wrap_single_file(
        "contract A {}", language="Solidity", compiler_version="0.8.30", contract="A", is_optimized=True, runs=5,
        evm_version="paris", libraries={"L": "0x" + "11" * 20},
    )  # fmt: skip

    assert found.contract_name == "contract.sol:A"
    assert json.loads(found.standard_json)["settings"] == {
        "evmVersion": "paris",
        "optimizer": {"enabled": True, "runs": 5},
        "libraries": {"contract.sol": {"L": "0x" + "11" * 20}},
    }
