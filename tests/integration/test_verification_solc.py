"""Verification with the real solc of npm, in its sandbox: what only a real compiler's code has."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.acceptance.programs import installed

from sdk.testnet.services.verification.compilers import find_compilers
from sdk.testnet.services.verification.compiling import CompilerFailed, run_compiler
from sdk.testnet.services.verification.judging import ChainCode, NoMatch, Verdict, judge
from sdk.testnet.services.verification.submissions import read_submission

if TYPE_CHECKING:
    from sdk.testnet.services.verification.compilers import Compiler

VERSION = "0.8.37+commit.f401782d"
LIBRARY = "0x" + "5a" * 20
SOURCE = """// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

library Sums {
    function sum(uint256 a, uint256 b) public pure returns (uint256) { return a + b; }
}

contract Child {
    address public immutable parent = msg.sender;
}

contract Factory {
    uint256 public immutable factor;
    Child public child;

    constructor(uint256 given) { factor = Sums.sum(given, 1); }

    function make() external { child = new Child(); }
}
"""
ARGUMENTS = (41).to_bytes(32, "big")
FACTOR = (42).to_bytes(32, "big")


@pytest.fixture(scope="module")
def solc() -> Compiler:
    found = find_compilers([installed("foundry")]).get("Solidity", "0.8.37")
    assert found is not None
    return found


def given(source: str = SOURCE) -> dict[str, Any]:
    return {
        "language": "Solidity",
        "sources": {"src/Factory.sol": {"content": source}},
        "settings": {"optimizer": {"enabled": True, "runs": 200}},
    }


@pytest.fixture(scope="module")
def deployed(solc: Compiler) -> ChainCode:
    """The factory as a chain has it: linked to its library, with its immutable written, and its argument behind the creation code."""
    wanted = given()
    wanted["settings"]["libraries"] = {"src/Factory.sol": {"Sums": LIBRARY}}
    wanted["settings"]["outputSelection"] = {"*": {"Factory": ["evm"]}}
    made = asyncio.run(run_compiler(solc, wanted))["contracts"]["src/Factory.sol"]["Factory"]["evm"]
    runtime = bytearray.fromhex(made["deployedBytecode"]["object"])
    for places in made["deployedBytecode"]["immutableReferences"].values():
        for place in places:
            runtime[place["start"] : place["start"] + 32] = FACTOR
    return ChainCode(runtime=bytes(runtime), creation=bytes.fromhex(made["bytecode"]["object"]) + ARGUMENTS)


def judged(solc: Compiler, chain: ChainCode, wanted: dict[str, Any], version: str = VERSION) -> Verdict:
    submission = read_submission(wanted, compiler_version=version, contract="src/Factory.sol:Factory")
    return asyncio.run(judge(submission, chain, partial(run_compiler, solc)))


def test_an_unlinked_source_matches_exactly_and_tells_what_was_filled_in(
    solc: Compiler, deployed: ChainCode
) -> None:
    """Without a word of libraries: their addresses are read from the chain. Metadata has none of them then, which is a match and not an exact one."""
    found = judged(solc, deployed, given())

    assert found.match == "match"
    assert found.arguments == ARGUMENTS
    assert list(found.details["runtime"]["immutable"].values()) == ["0x" + FACTOR.hex()]
    assert found.details["creation"]["library"] == {"src/Factory.sol:Sums": LIBRARY}


def test_settings_as_they_were_match_exactly(solc: Compiler, deployed: ChainCode) -> None:
    wanted = given()
    wanted["settings"]["libraries"] = {"src/Factory.sol": {"Sums": LIBRARY}}

    found = judged(solc, deployed, wanted)

    assert (found.runtime_match, found.creation_match) == ("exact_match", "exact_match")
    assert found.compiler_version == VERSION


def test_another_comment_is_a_match_though_a_contract_stands_inside(
    solc: Compiler, deployed: ChainCode
) -> None:
    """The hash of the child's metadata is in the middle of the factory's code."""
    wanted = given(SOURCE + "// another comment\n")
    wanted["settings"]["libraries"] = {"src/Factory.sol": {"Sums": LIBRARY}}

    found = judged(solc, deployed, wanted)

    assert (found.runtime_match, found.creation_match) == ("match", "match")
    assert len(found.details["runtime"]["cborAuxdata"]) == 2


def test_another_constant_in_the_contract_inside_is_no_match(solc: Compiler, deployed: ChainCode) -> None:
    with pytest.raises(NoMatch, match=r"differs from byte|bytes of code"):
        judged(solc, deployed, given(SOURCE.replace("given, 1", "given, 2").replace("parent =", "parent2 =")))


def test_another_commit_than_the_compilers_is_refused(solc: Compiler, deployed: ChainCode) -> None:
    with pytest.raises(CompilerFailed, match=r"The compiler here is 0\.8\.37") as refused:
        judged(solc, deployed, given(), version="0.8.37+commit.00000000")

    assert refused.value.code == "unsupported_compiler_version"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ('import "/etc/passwd"; contract Factory {}', "not found"),
        ('import "https://example.org/A.sol"; contract Factory {}', "not found"),
        ("contract Factory { uint x = ; }", "Expected primary expression"),
        ("interface Factory {}", "no code"),
        ("contract Another {}", "no contract"),
    ],
)
def test_bad_sources_are_refused_in_the_compilers_words(
    solc: Compiler, deployed: ChainCode, source: str, told: str
) -> None:
    with pytest.raises(CompilerFailed, match=told):
        judged(solc, deployed, given(source))
