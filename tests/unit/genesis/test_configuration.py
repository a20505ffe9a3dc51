"""`genesis.json`: what is written is read back the same, and what a stranger wrote is refused in sentences."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.errors import InvalidGenesis, InvalidInput
from sdk.testnet.genesis import (
    AccountConfig,
    ConsensusConfig,
    GenesisConfig,
    NetworkConfig,
    ValidatorConfig,
)
from sdk.testnet.genesis.reading import FILE_BYTES_MAX, PROBLEMS_MAX

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = st.text(max_size=40)
NUMBERS = st.integers(-(2**256), 2**256)
CONFIGURATIONS = st.builds(
    GenesisConfig,
    chain_id=NUMBERS,
    network_name=TEXTS,
    genesis_time=TEXTS,
    consensus=st.builds(ConsensusConfig, type=TEXTS, epoch_length=NUMBERS, slot_duration=NUMBERS, min_stake=NUMBERS),
    network=st.builds(
        NetworkConfig,
        chain_id=NUMBERS,
        network_name=TEXTS,
        p2p_port=NUMBERS,
        bootstrap_nodes=st.lists(TEXTS, max_size=3),
    ),
    initial_validators=st.lists(
        st.builds(ValidatorConfig, address=TEXTS, stake=NUMBERS, public_key=TEXTS, name=st.none() | TEXTS), max_size=3
    ),
    initial_accounts=st.lists(st.builds(AccountConfig, address=TEXTS, balance=NUMBERS, nonce=NUMBERS), max_size=3),
    total_supply=NUMBERS,
    decimals=NUMBERS,
    gas_limit=NUMBERS,
    block_reward_gwei=NUMBERS,
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


def content(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "chain_id": 9999,
        "network_name": "my-net",
        "genesis_time": "2026-01-05T00:00:00Z",
        "consensus": {},
        "network": {},
    }
    return fields | changes


@given(CONFIGURATIONS)
def test_whatever_stands_in_a_form_is_read_back_from_its_json(config: GenesisConfig) -> None:
    assert GenesisConfig.from_dict(config.to_dict()) == config
    assert GenesisConfig.from_json(config.to_json()) == config
    assert GenesisConfig.from_json(config.to_json(indent=None)).to_dict() == config.to_dict()


def test_a_saved_file_is_loaded_the_same(tmp_path: Path) -> None:
    config = GenesisConfig.from_dict(content(initial_accounts=[{"address": "ünïcode", "balance": 1}]))

    config.save(tmp_path / "folder" / "genesis.json")
    config.save(str(tmp_path / "folder" / "genesis.json"))

    assert GenesisConfig.load(str(tmp_path / "folder" / "genesis.json")) == config
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["genesis.json"]


def test_the_network_section_says_only_what_stands_not_above_it() -> None:
    config = GenesisConfig.from_dict(content())
    assert config.network == NetworkConfig(9999, "my-net")
    assert config.to_dict()["network"] == {"p2p_port": 30303, "rpc_port": 8545, "max_peers": 50}

    config.network.chain_id = 1

    assert config.to_dict()["network"]["chain_id"] == 1
    assert GenesisConfig.from_dict(config.to_dict()).network.chain_id == 1


def test_forms_share_no_lists() -> None:
    one, two = GenesisConfig.from_dict(content()), GenesisConfig.from_dict(content())

    one.initial_validators.append(ValidatorConfig("0x", 1, "0x"))
    one.network.bootstrap_nodes.append("enode://")

    assert (two.initial_validators, two.network.bootstrap_nodes) == ([], [])


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, "genesis: expected an object, found nothing"),
        ([], "genesis: expected an object, found []"),
        ({}, "chain_id: missing; expected a whole number"),
        (content(chain_id="9999"), "chain_id: expected a whole number, found '9999'"),
        (content(chain_id=True), "chain_id: expected a whole number, found True"),
        (content(chain_id=1.0), "chain_id: expected a whole number, found 1.0"),
        (content(network_name=None), "network_name: expected a text, found nothing"),
        (content(consensus=[]), "consensus: expected an object, found []"),
        (content(consensus={"slot_durations": 2}), "consensus.slot_durations: unknown field, did you mean 'slot_duration'?"),
        (content(network={"rpc_port": "8545"}), "network.rpc_port: expected a whole number, found '8545'"),
        (content(network={"bootstrap_nodes": [1]}), "network.bootstrap_nodes[0]: expected a text, found 1"),
        (content(network={"bootstrap_nodes": [""] * 101}), "network.bootstrap_nodes: expected at most 100 entries, found 101"),
        (content(initial_validators={}), "initial_validators: expected a list, found {}"),
        (content(initial_validators=[None]), "initial_validators[0]: expected an object, found nothing"),
        (content(initial_validators=[{"address": "0x"}]), "initial_validators[0].stake: missing; expected a whole number"),
        (content(initial_validators=[{}] * 1001), "initial_validators: expected at most 1000 entries, found 1001"),
        (content(initial_accounts=[{"address": "0x", "balance": 1e18}]), "initial_accounts[0].balance: expected a whole number, found 1e+18"),
        (content(**{"chain_id\n": 1}), "chain_id\\n: unknown field, did you mean 'chain_id'?"),
        (content(**{"x" * 1000: 1}), "x" * 79 + ".."),
    ],
)  # fmt: skip
def test_what_has_another_shape_is_refused_by_the_field_s_name(value: object, sentence: str) -> None:
    with pytest.raises(InvalidGenesis) as caught:
        GenesisConfig.from_dict(value)

    assert sentence in str(caught.value)
    assert all(len(line) < 300 for line in str(caught.value).splitlines())


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(InvalidGenesis) as caught:
        GenesisConfig.from_dict({"chain_id": "1", "consensus": {"type": 1}, "network": {"p2p": 1}, "x": 1})

    fields = {line.split(":")[0] for line in str(caught.value).splitlines()}
    assert fields == {"chain_id", "x", "network_name", "genesis_time", "consensus.type", "network.p2p"}


@given(JSON)
def test_any_json_is_read_or_refused(value: object) -> None:
    for data in (value, content(consensus=value), content(network=value), content(initial_validators=value)):
        try:
            config = GenesisConfig.from_dict(data)
        except InvalidInput:
            continue
        assert GenesisConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "expected JSON"),
        (b"\xff\xfe\x00", "expected JSON"),
        (b"[" * 1_000_000, "nested deeper than 16"),
        (b'{"a": ' * 100_000, "nested deeper than 16"),
        (b'{"chain_id": "' + b"[" * 100 + b'"}', "chain_id: expected a whole number"),
        (b'"' + b"\\" * 1_000_001, "expected JSON"),
        (b'{"chain_id": ' + b"9" * 5_000 + b"}", "expected JSON"),
        (b'{"chain_id": NaN}', "NaN is no number"),
        (b'{"chain_id": 1, "chain_id": 2}', "the key 'chain_id' stands twice"),
        (b" " * (FILE_BYTES_MAX + 1), f"expected at most {FILE_BYTES_MAX} bytes, found more"),
        (b"{" + b",".join(b'"%d": 0' % n for n in range(500_000)) + b"}", f"reading ended after {PROBLEMS_MAX} problems"),
    ],
    ids=["empty", "no text", "nested", "nested objects", "brackets in a text", "text without end", "long number", "NaN", "twice", "too long", "many keys"],
)  # fmt: skip
def test_a_hostile_file_is_refused(tmp_path: Path, text: bytes, reason: str) -> None:
    (tmp_path / "genesis.json").write_bytes(text)

    with pytest.raises(InvalidGenesis, match=reason) as caught:
        GenesisConfig.load(tmp_path / "genesis.json")

    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{tmp_path}/genesis.json: ") for line in lines)
    assert len(lines) <= PROBLEMS_MAX + 1


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidGenesis, match=r"nothing\.json: can't be read: No such file"):
        GenesisConfig.load(tmp_path / "nothing.json")


def test_what_json_cannot_hold_is_refused_when_it_is_written(tmp_path: Path) -> None:
    config = GenesisConfig.from_dict(content())
    config.chain_id = 10**5000

    with pytest.raises(InvalidGenesis, match="can't be written as JSON"):
        config.save(tmp_path / "genesis.json")

    assert list(tmp_path.iterdir()) == []


def test_json_of_the_document_s_shape() -> None:
    assert json.loads(GenesisConfig.from_dict(content()).to_json()) == content(
        consensus={"type": "pos", "epoch_length": 100, "slot_duration": 12, "validator_count": 21, "min_stake": 10**6},
        network={"p2p_port": 30303, "rpc_port": 8545, "max_peers": 50},
        total_supply=10**9,
        decimals=18,
        initial_validators=[],
        initial_accounts=[],
    )  # fmt: skip
