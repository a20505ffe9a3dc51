from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from metanode.chain.genesis import make_genesis
from metanode.chain.validators import ValidatorSet
from metanode.errors import InvalidInput
from metanode.node.config import load_config
from metanode.node.genesis_source import find_genesis
from metanode.primitives.types import Address

if TYPE_CHECKING:
    from pathlib import Path

    from metanode.node.config import NodeConfig

OWN = Address(b"\x11" * 20)
OTHER = "0x" + "22" * 20


def configuration(path: Path, text: str) -> NodeConfig:
    file = path / "node.toml"
    file.write_text(text or "[network]\n")
    return load_config([file], {}).config


def write_genesis(path: Path, **changes: object) -> Path:
    settings: dict[str, object] = {
        "network_name": "my-net", "chain_id": 7, "genesis_time": 1_767_225_600,
        "validators": ValidatorSet.of_addresses([OWN]), "balances": {}, **changes,
    }  # fmt: skip
    file = path / "genesis.json"
    file.write_text(json.dumps(make_genesis(**settings)))  # type: ignore[arg-type]
    return file


def test_the_file_in_the_directory_decides(tmp_path: Path) -> None:
    write_genesis(tmp_path)

    found = find_genesis(configuration(tmp_path, ""), home=tmp_path, genesis_file=None, own_address=None)

    assert (found.genesis.chain_id, found.genesis.network_name) == (7, "my-net")


def test_without_a_file_equal_configurations_make_equal_networks(tmp_path: Path) -> None:
    text = f'[network]\nchain_id = 9\n[consensus]\nvalidators = ["{OTHER}"]\n[mining]\nrewards = true\ngas_limit = 8000000\n'

    one = find_genesis(configuration(tmp_path, text), home=tmp_path, genesis_file=None, own_address=OWN)
    two = find_genesis(configuration(tmp_path, text), home=tmp_path, genesis_file=None, own_address=None)

    assert one.genesis.hash == two.genesis.hash
    assert one.genesis.parameters.reward_gwei == 2_000_000_000
    assert one.genesis.execution_header.gas_limit == 8_000_000
    assert one.genesis.parameters.validators.addresses == (bytes.fromhex(OTHER[2:]),)


def test_a_validator_without_any_network_starts_its_own_and_says_so(tmp_path: Path) -> None:
    found = find_genesis(configuration(tmp_path, ""), home=tmp_path, genesis_file=None, own_address=OWN)

    assert found.genesis.parameters.validators.addresses == (OWN,)
    assert "starts a network of its own" in found.warnings[0]


def test_a_follower_without_any_network_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no genesis: .*genesis.json does not exist.*--genesis"):
        find_genesis(configuration(tmp_path, ""), home=tmp_path, genesis_file=None, own_address=None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[network]\nchain_id = 8", "network.chain_id: the configuration says 8, .* says 7"),
        ("[network]\nnetwork_id = 'other'", "network.network_id: the configuration says other"),
        ("[consensus]\nblock_time = 5", "consensus.block_time: the configuration says 5"),
        ("[mining]\ngas_limit = 8000000", "mining.gas_limit: the configuration says 8000000"),
        ("[mining]\nrewards = false", "mining.rewards: the configuration says 0"),
        (f"[consensus]\nvalidators = ['{OTHER}']", "consensus.validators: the configuration lists others"),
    ],
)
def test_a_configuration_that_contradicts_the_file_is_refused(
    tmp_path: Path, text: str, sentence: str
) -> None:
    write_genesis(tmp_path)

    with pytest.raises(InvalidInput, match=sentence):
        find_genesis(configuration(tmp_path, text), home=tmp_path, genesis_file=None, own_address=None)


def test_each_problem_of_a_file_is_a_line_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "genesis.json"
    file.write_text('{"config": {"chainId": 0}, "alloc": {}}')

    with pytest.raises(InvalidInput) as caught:
        find_genesis(configuration(tmp_path, ""), home=tmp_path, genesis_file=None, own_address=None)

    lines = str(caught.value).splitlines()
    assert len(lines) > 3
    assert all(line.startswith(f"{file}: ") for line in lines)


def test_a_named_file_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"absent.json: can't be read: No such file"):
        find_genesis(
            configuration(tmp_path, ""), home=tmp_path, genesis_file=tmp_path / "absent.json", own_address=OWN
        )


def test_a_link_that_leads_nowhere_is_no_wish_for_a_network_of_ones_own(tmp_path: Path) -> None:
    """So it is with a volume that is not mounted yet: a validator that began its own network would sign there with its key."""
    (tmp_path / "genesis.json").symlink_to(tmp_path / "not-mounted" / "genesis.json")
    config = configuration(tmp_path, "[network]\nchain_id = 7\n")
    with pytest.raises(InvalidInput, match=r"genesis.json: can't be read: No such file"):
        find_genesis(config, home=tmp_path, genesis_file=None, own_address=Address(b"\x01" * 20))
