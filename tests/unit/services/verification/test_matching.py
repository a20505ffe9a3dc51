"""Code of a compiler against code of the chain."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.errors import InvalidInput
from sdk.testnet.services.verification.matching import (
    LIBRARY_PROTECTION,
    Code,
    Hole,
    compare,
    compare_without_hashes,
    read_code,
)

BODY = bytes(range(64))


def metadata(seed: int, version: bytes = b"\x00\x08\x25") -> bytes:
    """The CBOR behind Solidity's code: a hash of metadata and the compiler's version."""
    content = b"\xa2\x64ipfs\x58\x22\x12\x20" + bytes([seed]) * 32 + b"\x64solc\x43" + version
    return content + len(content).to_bytes(2, "big")


def code(bytecode: bytes, *holes: Hole) -> Code:
    return replace(read_code({"object": bytecode.hex()}, is_runtime=True), holes=holes)


def test_equal_code_with_equal_metadata_is_an_exact_match() -> None:
    found = compare(BODY + metadata(1), code(BODY + metadata(1)), takes_arguments=False)

    assert found is not None
    assert found.match == "exact_match"


def test_equal_code_that_says_nothing_of_its_sources_is_a_match() -> None:
    found = compare(BODY, code(BODY), takes_arguments=False)

    assert found is not None
    assert found.match == "match"


@pytest.mark.parametrize("theirs", [metadata(2), b"", metadata(2, b"\x00\x08\x24") + b""])
def test_other_metadata_behind_the_code_is_a_match(theirs: bytes) -> None:
    found = compare(BODY + theirs, code(BODY + metadata(1)), takes_arguments=False)

    assert found is not None
    assert found.match == "match"


def test_metadata_of_a_contract_inside_is_found_by_compiling_changed_sources() -> None:
    def whole(seed: int) -> bytes:
        return BODY + metadata(seed) + BODY + metadata(seed + 1)

    assert compare(whole(3), code(whole(1)), takes_arguments=False) is None
    found = compare_without_hashes(whole(3), code(whole(1)), code(whole(5)), takes_arguments=False)
    assert found is not None
    assert found.match == "match"


def test_what_only_looks_like_metadata_must_be_equal() -> None:
    """A hash that changed sources do not change is the contract's own data."""
    ours, changed, theirs = (
        BODY + metadata(data) + BODY + metadata(seed) for data, seed in ((1, 1), (1, 2), (9, 1))
    )

    assert compare_without_hashes(theirs, code(ours), code(changed), takes_arguments=False) is None


def test_immutables_may_have_any_value_and_one_each() -> None:
    compiled = code(bytes(96) + metadata(1), Hole(0, 32, "immutable", "7"), Hole(64, 32, "immutable", "7"))
    value, other = b"\x11" * 32, b"\x22" * 32

    found = compare(value + bytes(32) + value + metadata(1), compiled, takes_arguments=False)

    assert found is not None
    assert found.match == "exact_match"
    assert found.values == {"immutable": {"7": "0x" + value.hex()}}
    assert compare(value + bytes(32) + other + metadata(1), compiled, takes_arguments=False) is None


def test_libraries_are_read_where_the_linker_writes_them() -> None:
    text = BODY.hex() + "__$" + "ab" * 17 + "$__" + BODY.hex()
    compiled = read_code(
        {"object": text, "linkReferences": {"lib.sol": {"Sums": [{"start": 64, "length": 20}]}}},
        is_runtime=True,
    )

    found = compare(BODY + b"\x55" * 20 + BODY, compiled, takes_arguments=False)

    assert found is not None
    assert found.values == {"library": {"lib.sol:Sums": "0x" + "55" * 20}}


def test_a_library_may_have_its_own_address_in_its_code() -> None:
    compiled = read_code({"object": (LIBRARY_PROTECTION + BODY).hex()}, is_runtime=True)

    chain = b"\x73" + b"\x99" * 20 + b"\x30\x14" + BODY
    found = compare(chain, compiled, takes_arguments=False)

    assert found is not None
    assert found.values == {"callProtection": {"": "0x" + "99" * 20}}


def test_arguments_stand_behind_creation_code() -> None:
    found = compare(BODY + metadata(1) + b"\x01" * 32, code(BODY + metadata(1)), takes_arguments=True)

    assert found is not None
    assert found.match == "exact_match"
    assert found.arguments == b"\x01" * 32
    assert compare(BODY + metadata(1) + b"\x01" * 32, code(BODY + metadata(1)), takes_arguments=False) is None


def test_vypers_immutables_stand_behind_runtime_code() -> None:
    compiled = Code(bytecode=BODY, appended_bytes=32)

    found = compare(BODY + b"\x07" * 32, compiled, takes_arguments=False)

    assert found is not None
    assert found.values == {"immutable": {"data": "0x" + "07" * 32}}
    assert compare(BODY, compiled, takes_arguments=False) is None


@pytest.mark.parametrize("document", [{"object": ""}, {"object": "zz"}, None, {}])
def test_what_is_no_code_is_refused(document: object) -> None:
    with pytest.raises(InvalidInput):
        read_code(document, is_runtime=True)


@given(st.binary(min_size=1, max_size=300), st.integers(0, 299), st.integers(1, 255), st.booleans())
def test_no_changed_byte_of_code_is_overlooked(body: bytes, place: int, change: int, arguments: bool) -> None:
    """Whatever the code looks like: one changed byte before the metadata is never a match."""
    body = b"\x60" + body + b"\x00"
    place %= len(body)
    chain = bytearray(body + metadata(1))
    chain[place] ^= change

    assert compare(bytes(chain), code(body + metadata(1)), takes_arguments=arguments) is None


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_are_compared_without_a_fault(chain: bytes, ours: bytes) -> None:
    found = compare(chain, Code(bytecode=ours), takes_arguments=False)

    if found is not None and chain != ours:
        assert found.match == "match"
