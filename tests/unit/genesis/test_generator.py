"""Keys are made, written once and never replaced; what is exported belongs together."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest

import sdk.testnet
from metanode.chain.genesis import parse_genesis
from metanode.crypto.addresses import format_address
from metanode.crypto.keystore import load_key, read_secret_file
from metanode.errors import InvalidGenesis, InvalidInput
from sdk.testnet.genesis import GenesisConfig, GenesisGenerator, GenesisWarning

if TYPE_CHECKING:
    from pathlib import Path


def load(path: Path) -> Any:
    return load_key(path, read_secret_file(path.with_suffix(".password")).decode().strip())


def test_the_keys_of_an_export_open_with_their_passwords_and_are_those_of_the_genesis(tmp_path: Path) -> None:
    generator = GenesisGenerator()
    config = generator.create_testnet_config(validator_count=2)

    generator.export_config(tmp_path)

    for number, validator in enumerate(config.initial_validators, start=1):
        path = tmp_path / "keys" / f"validator-{number}" / "validator.json"
        key = load(path)
        assert validator.address == format_address(key.address)
        assert validator.public_key == "0x" + key.public_key.hex()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    faucet = load(tmp_path / "keys" / "faucet" / "faucet.json")
    assert config.initial_accounts[0].address == format_address(faucet.address)
    assert (tmp_path / "keys" / ".gitignore").read_text() == "*\n"
    exported = "".join(path.read_text() for path in tmp_path.glob("*.json"))
    assert load(tmp_path / "keys" / "validator-1" / "validator.json").secret.hex() not in exported


def test_exporting_again_changes_nothing(tmp_path: Path) -> None:
    generator = GenesisGenerator()
    generator.create_testnet_config(validator_count=1)
    generator.export_config(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    generator.export_config(tmp_path)
    GenesisGenerator(GenesisConfig.load(tmp_path / "genesis.json")).export_config(str(tmp_path))

    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_keys_of_another_network_are_never_replaced_and_nothing_is_written(tmp_path: Path) -> None:
    first, second = GenesisGenerator(), GenesisGenerator()
    first.create_testnet_config(validator_count=1)
    second.create_testnet_config(validator_count=2)
    first.export_config(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    with pytest.raises(
        InvalidInput, match=r"validator-1/validator\.json: holds the key of another validator"
    ):
        second.export_config(tmp_path / "other", keys_dir=tmp_path / "keys")

    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_the_genesis_of_another_network_is_never_replaced_wherever_its_keys_are(tmp_path: Path) -> None:
    first, second = GenesisGenerator(), GenesisGenerator()
    first.create_testnet_config(network_name="first", validator_count=1)
    second.create_testnet_config(network_name="second", validator_count=2)
    first.export_config(tmp_path / "genesis", keys_dir=tmp_path / "data")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    with pytest.warns(
        GenesisWarning,
        match=r"genesis\.json: is the genesis of another network, 'first', which .* exported to .*/genesis/second",
    ):
        folder = second.export_config(tmp_path / "genesis")

    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before
    assert folder == tmp_path / "genesis" / "second"
    assert all(path.is_relative_to(folder) for path in after.keys() - before.keys())
    assert second.config is not None
    assert GenesisConfig.load(folder / "genesis.json").to_dict() == second.config.to_dict()


@pytest.mark.parametrize("name", ["first", "../first", "A b"])
def test_another_network_without_a_folder_of_its_own_is_refused(tmp_path: Path, name: str) -> None:
    first, second = GenesisGenerator(), GenesisGenerator()
    first.create_testnet_config(network_name="first", validator_count=1)
    second.create_testnet_config(network_name=name, validator_count=2)
    first.export_config(tmp_path / "genesis", keys_dir=tmp_path / "data")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    with pytest.raises(
        InvalidInput, match=r"genesis\.json: is the genesis of another network, 'first', which"
    ):
        second.export_config(tmp_path / "genesis")

    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_an_export_that_was_interrupted_between_password_and_key_goes_on(tmp_path: Path) -> None:
    generator = GenesisGenerator()
    generator.create_testnet_config(validator_count=1)
    generator.export_config(tmp_path)
    keystore = tmp_path / "keys" / "validator-1" / "validator.json"
    address = load(keystore).address
    keystore.unlink()

    generator.export_config(tmp_path)

    assert load(keystore).address == address


def test_what_no_node_may_start_from_is_removed_and_comes_back_when_it_is_right(tmp_path: Path) -> None:
    generator = GenesisGenerator()
    config = generator.create_testnet_config(validator_count=1)
    generator.export_config(tmp_path)
    config.chain_id = 0
    with pytest.warns(GenesisWarning, match="chain_id: expected a whole number from 1"):
        generator.export_config(tmp_path)
    assert not (tmp_path / "chain_specification.json").exists()
    assert not (tmp_path / "genesis_block.json").exists()
    assert json.loads((tmp_path / "genesis.json").read_text())["chain_id"] == 0
    with pytest.raises(InvalidGenesis, match="this is a network's genesis configuration"):
        parse_genesis((tmp_path / "genesis.json").read_bytes())

    config.chain_id = 9999
    generator.export_config(tmp_path)

    assert parse_genesis((tmp_path / "chain_specification.json").read_bytes()).chain_id == 9999


@pytest.mark.parametrize("count", [-1, 1001, 2.0, "5", None, True])
def test_an_impossible_number_of_validators_is_refused_by_its_name(count: Any) -> None:
    generator = GenesisGenerator()

    with pytest.raises(InvalidInput, match="validator_count: expected a whole number from 0 to 1000"):
        generator.create_testnet_config(validator_count=count)

    assert generator.config is None


def test_the_largest_set_is_at_least_as_large_as_the_first() -> None:
    assert GenesisGenerator().create_testnet_config(validator_count=30).consensus.validator_count == 30


def test_two_generators_make_different_keys() -> None:
    one, two = (GenesisGenerator().create_testnet_config(validator_count=1) for _ in range(2))

    assert one.initial_validators[0].address != two.initial_validators[0].address
    assert one.initial_accounts[0].address != two.initial_accounts[0].address


def test_without_a_configuration_each_method_says_what_to_call(tmp_path: Path) -> None:
    generator = GenesisGenerator()

    assert len(generator.validate_config()) == 1
    for call in (
        generator.generate_genesis_block,
        generator.find_warnings,
        lambda: generator.export_config(tmp_path / "x"),
        lambda: generator.add_validator("", 0, ""),
        lambda: generator.add_account("", 0),
    ):
        with pytest.raises(InvalidInput, match="there is no configuration yet; call create_testnet_config"):
            call()
    assert list(tmp_path.iterdir()) == []


def test_every_public_name_is_there_and_no_other() -> None:
    for name in sdk.testnet.__all__:
        assert getattr(sdk.testnet, name).__name__ == name
        assert name in dir(sdk.testnet)
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = sdk.testnet.Nothing  # type: ignore[attr-defined]
