"""Calls, events and reverts in words; hostile bytes as no meaning at all."""

from __future__ import annotations

import json

import orjson
import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidInput
from sdk.testnet.services.explorer.abi import Interface, common, parse_abi, parse_line, parse_texts
from sdk.testnet.services.explorer.decoding import (
    DECODED_BYTES_MAX,
    decode_call,
    decode_event,
    decode_revert,
    method_name,
)

ALICE = "0x742d35cc6634c0532925a3b8d4c0b7c5c8c8b8b8"
SHOWN_ALICE = "0x742D35CC6634C0532925a3b8d4c0b7c5C8C8b8b8"


def selector(signature: str) -> bytes:
    return keccak256(signature.encode())[:4]


@pytest.mark.parametrize(
    ("line", "signature"),
    [
        ("function transfer(address to, uint256 amount)", "transfer(address,uint256)"),
        ("transfer(address,uint)", "transfer(address,uint256)"),
        ("event E(address indexed a, (uint a, string b)[] c)", "E(address,(uint256,string)[])"),
        ("error Nothing()", "Nothing()"),
        ("f(uint8[2][], bytes32, address payable)", "f(uint8[2][],bytes32,address)"),
        ("f(uint7)", None),
        ("f(uint8", None),
        ("f(uint8,)", None),
        ("f(uint8))", None),
        ("f" + "(" * 40 + ")" * 40, None),
        ("javascript:alert(1)", None),
        ("f(uint8)" * 1000, None),
    ],
)
def test_a_line_is_a_signature_or_refused(line: str, signature: str | None) -> None:
    if signature is None:
        with pytest.raises(InvalidInput):
            parse_line(line)
    else:
        assert parse_line(line).signature == signature


def test_the_bundled_signatures_are_all_readable_and_known_by_their_selectors() -> None:
    assert len(common().entries) > 4_000
    assert common().functions(bytes.fromhex("a9059cbb"))[0].name == "transfer"
    topic = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
    assert {entry.name for entry in common().events(topic)} == {"Transfer"}


def test_no_bundled_line_says_again_what_another_says() -> None:
    said = [
        (entry.kind, entry.signature, tuple(each.indexed for each in entry.inputs))
        for entry in common().entries
    ]
    assert len(said) == len(set(said))


@pytest.mark.parametrize(
    ("signature", "first_names"),
    [
        ("exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))", ["params"]),
        ("handleOps((address,uint256,bytes,bytes,bytes32,uint256,bytes32,bytes,bytes)[],address)", ["ops", "beneficiary"]),
        ("execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)", ["to", "value", "data", "operation"]),
        ("castVoteBySig(uint256,uint8,address,bytes)", ["proposalId", "support", "voter"]),
    ],
)  # fmt: skip
def test_calls_of_well_known_libraries_have_their_names(signature: str, first_names: list[str]) -> None:
    entries = common().functions(selector(signature))
    assert [entry.signature for entry in entries] == [signature]
    assert [each.name for each in entries[0].inputs][: len(first_names)] == first_names


def test_a_call_is_told_with_its_names_and_where_they_are_from() -> None:
    data = selector("transfer(address,uint256)") + encode(["address", "uint256"], [ALICE, 5 * 10**18])
    found = decode_call(data, (common(),))

    assert found is not None
    assert (found.name, found.source) == ("transfer", "guess")
    to, amount = found.values
    assert (to.name, to.address) == ("to", SHOWN_ALICE)
    assert (amount.text, amount.hint) == ("5000000000000000000", "5 × 10¹⁸")  # noqa: RUF001 - the sign of multiplication


def test_a_verified_abi_stands_before_a_guess() -> None:
    abi = json.dumps(
        [{"type": "function", "name": "transfer", "inputs": [
            {"name": "whom", "type": "address"}, {"name": "how_much", "type": "uint256"}]}]
    )  # fmt: skip
    data = selector("transfer(address,uint256)") + encode(["address", "uint256"], [ALICE, 1])
    found = decode_call(data, (parse_abi(abi), common()))

    assert found is not None
    assert found.source == "verified"
    assert [value.name for value in found.values] == ["whom", "how_much"]


def test_members_of_tuples_and_arrays_stand_below_them() -> None:
    abi = json.dumps(
        [{"type": "function", "name": "f", "inputs": [
            {"name": "orders", "type": "tuple[]", "components": [
                {"name": "id", "type": "uint256"}, {"name": "note", "type": "string"}]}]}]
    )  # fmt: skip
    data = selector("f((uint256,string)[])") + encode(["(uint256,string)[]"], [[(1, "a"), (2, "b")]])
    found = decode_call(data, (parse_abi(abi),))

    assert found is not None
    assert [(value.depth, value.name, value.text) for value in found.values] == [
        (0, "orders", ""),
        (1, "[0]", ""), (2, "id", "1"), (2, "note", "a"),
        (1, "[1]", ""), (2, "id", "2"), (2, "note", "b"),
    ]  # fmt: skip


def test_the_two_transfer_events_are_told_apart_by_their_topics() -> None:
    topic = keccak256(b"Transfer(address,address,uint256)")
    party = bytes(12) + bytes.fromhex(ALICE[2:])
    fungible = decode_event((topic, party, party), (7).to_bytes(32, "big"), (common(),))
    numbered = decode_event((topic, party, party, (7).to_bytes(32, "big")), b"", (common(),))

    assert fungible is not None
    assert numbered is not None
    assert [value.name for value in fungible.values] == ["from", "to", "value"]
    assert [value.name for value in numbered.values] == ["from", "to", "tokenId"]


def test_an_indexed_text_is_only_its_hash() -> None:
    interface = Interface(entries=(parse_line("event Said(string indexed what)"),), source="verified")
    digest = keccak256(b"hello")
    found = decode_event((interface.entries[0].topic, digest), b"", (interface,))

    assert found is not None
    assert found.values[0].text == f"hash 0x{digest.hex()}"


def test_a_bare_signature_takes_its_first_values_from_topics() -> None:
    guess = parse_texts(["Moved(address,uint256)"], "event")
    found = decode_event(
        (guess.entries[0].topic, bytes(12) + bytes.fromhex(ALICE[2:])), (9).to_bytes(32, "big"), (guess,)
    )

    assert found is not None
    assert [value.text for value in found.values] == [SHOWN_ALICE, "9"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (None, "Reverted; the reason is not known here"),
        (b"", "Reverted without a reason"),
        (selector("Error(string)") + encode(["string"], ["not enough"]), "Reverted: not enough"),
        (
            selector("Error(string)") + encode(["string"], ["<img src=x>\u202e"]),
            "Reverted: <img src=x>\\u202e",
        ),
        (
            selector("Panic(uint256)") + encode(["uint256"], [0x11]),
            "Panicked: an arithmetic operation went over or under the range of its type (0x11)",
        ),
        (selector("Panic(uint256)") + encode(["uint256"], [0x99]), "Panicked: an unknown panic (0x99)"),
        (selector("EnforcedPause()"), "Reverted: EnforcedPause()"),
        (
            selector("ERC20InsufficientBalance(address,uint256,uint256)")
            + encode(["address", "uint256", "uint256"], [ALICE, 1, 2]),
            f"Reverted: ERC20InsufficientBalance(sender: {SHOWN_ALICE}, balance: 1, needed: 2)",
        ),
        (b"\x01\x02", "Reverted with an error that is not known here: 0x0102"),
        (
            selector("Error(string)") + b"\xff" * 40,
            "Reverted with an error that is not known here: 0x08c379a0",
        ),
    ],
)
def test_a_failure_is_told_in_words(data: bytes | None, sentence: str) -> None:
    assert decode_revert(data, (common(),)).sentence == sentence


@given(st.binary(max_size=300), st.lists(st.binary(min_size=32, max_size=32), max_size=4))
def test_nothing_that_a_chain_holds_raises(data: bytes, topics: list[bytes]) -> None:
    decode_call(data, (common(),))
    decode_event(topics, data, (common(),))
    decode_revert(data, (common(),))


@given(
    st.sampled_from([entry for entry in common().entries if entry.kind == "function"]),
    st.binary(max_size=400),
)
def test_known_calls_with_random_arguments_raise_nothing(entry, arguments: bytes) -> None:
    decode_call(entry.selector + arguments, (common(),))


def test_data_that_nobody_reads_is_left_raw() -> None:
    data = selector("multicall(bytes[])") + bytes(DECODED_BYTES_MAX + 1)

    assert decode_call(data, (common(),)) is None


def test_an_array_that_claims_to_be_endless_costs_nothing() -> None:
    claim = selector("multicall(bytes[])") + encode(["uint256", "uint256"], [32, 2**200])

    assert decode_call(claim, (common(),)) is None


@pytest.mark.parametrize(
    "kind", ["uint256[0]", "uint256[01]", "uint256[][0]", "uint7", "()", "tuple", "bytes33", "fixed128x18"]
)
def test_a_type_that_is_none_takes_only_its_own_function_away(kind: str) -> None:
    fine = {"type": "function", "name": "fine", "inputs": [{"name": "a", "type": "uint256[2]"}]}
    odd = {"type": "function", "name": "odd", "inputs": [{"name": "a", "type": kind}]}
    interface = parse_abi(orjson.dumps([odd, fine]).decode())

    assert [entry.name for entry in interface.entries] == ["fine"]
    found = decode_call(selector("fine(uint256[2])") + encode(["uint256[2]"], [[1, 2]]), (interface,))
    assert found is not None
    assert [value.text for value in found.values] == ["", "1", "2"]


@pytest.mark.parametrize(
    "abi", ["", "{}", "[1, null, {}]", '[{"type": "function", "name": "<b>"}]', "[" * 500]
)
def test_an_abi_that_is_none_says_nothing(abi: str) -> None:
    assert parse_abi(abi).entries == ()


def test_a_list_shows_names_and_selectors() -> None:
    assert method_name(bytes.fromhex("a9059cbb"), (common(),)) == "transfer"
    assert method_name(bytes.fromhex("deadbeef"), (common(),)) == "0xdeadbeef"
    assert method_name(None, ()) == ""
