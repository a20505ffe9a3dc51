"""Arguments as people type them."""

from __future__ import annotations

import pytest
from eth_abi.abi import decode

from metanode.errors import InvalidInput
from sdk.testnet.services.explorer.abi import parse_line
from sdk.testnet.services.explorer.abi_values import split_types
from sdk.testnet.services.explorer.calling import encode_call, standard_interface
from sdk.testnet.services.store import TokenKind

ALICE = "0x742d35cc6634c0532925a3b8d4c0b7c5c8c8b8b8"


@pytest.mark.parametrize(
    ("kind", "typed", "value"),
    [
        ("uint256", "12", 12), ("uint256", "0xff", 255), ("uint256", "1_000,000", 1_000_000), ("int8", "-5", -5),
        ("bool", "TRUE", True), ("bool", "0", False), ("string", "a,b", "a,b"), ("bytes", "0x0102", b"\x01\x02"),
        ("bytes4", "0x01020304", b"\x01\x02\x03\x04"), ("address", ALICE, ALICE), ("uint256[]", "[1, 2]", (1, 2)),
        ("uint256[]", '["0x10"]', (16,)), ("(uint256,string)", '[7, "x"]', (7, "x")),
        ("(uint256,(bool,address)[])", f'[7, [[true, "{ALICE}"]]]', (7, ((True, ALICE),))),
        ("uint256[][]", "[[1], []]", ((1,), ())), ("uint256[]", f"[{2**128}, {2**256 - 1}]", (2**128, 2**256 - 1)),
    ],
)  # fmt: skip
def test_what_is_typed_is_what_is_called(kind: str, typed: str, value: object) -> None:
    data = encode_call(parse_line(f"f({kind})"), [typed])

    assert decode([kind], data[4:]) == (value,)


@pytest.mark.parametrize(
    ("kind", "typed"),
    [
        ("uint8", "256"), ("uint256", "-1"), ("uint256", "1.5"), ("uint256", ""), ("uint256", "9" * 79), ("bool", "yes"),
        ("address", "0x12"), ("bytes4", "0x0102030405"), ("bytes", "xyz"), ("uint256[]", "1"), ("uint256[2]", "[1]"),
        ("uint256[]", "[true]"), ("uint256[]", "[1e3]"), ("uint256[]", "[NaN]"), ("uint256[]", "[" + "9" * 5_000 + "]"), ("(uint256,string)", "[7]"), ("string", "x" * 9_000), ("uint256[]", "[" * 5_000),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_the_parameter_s_name(kind: str, typed: str) -> None:
    with pytest.raises(InvalidInput):
        encode_call(parse_line(f"f({kind} what)"), [typed])


def test_the_number_of_arguments_is_the_function_s() -> None:
    with pytest.raises(InvalidInput, match="arguments: expected 2 for f"):
        encode_call(parse_line("f(uint256,uint256)"), ["1"])


def test_types_of_tuples_are_parted_at_their_own_commas() -> None:
    assert split_types("uint256,(address,bool)[],bytes") == ["uint256", "(address,bool)[]", "bytes"]
    assert split_types("") == []


@pytest.mark.parametrize("kind", list(TokenKind))
def test_every_standard_has_functions_to_read(kind: TokenKind) -> None:
    found = standard_interface(kind)

    assert all(entry.is_reading and entry.outputs for entry in found.entries)
    assert any(entry.name == "balanceOf" for entry in found.entries)
