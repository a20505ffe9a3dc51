"""What a bootstrap node's operator may set, and what is said of the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from metanode.errors import InvalidInput
from sdk.testnet import BootstrapConfig

if TYPE_CHECKING:
    from pathlib import Path

ENODE = f"enode://{'79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8'}@127.0.0.1:30303"


def test_the_defaults_are_those_of_the_document_on_loopback() -> None:
    config = BootstrapConfig()
    assert (config.listen_port, config.max_peers, config.peer_timeout, config.chain_id) == (
        30303,
        1000,
        3600,
        9999,
    )
    assert config.listen_address == "127.0.0.1"
    assert config.data_dir is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("listen_address", "localhost"), ("listen_address", None), ("http_address", "::g"),
        ("listen_port", -1), ("listen_port", 65_536), ("listen_port", "30303"), ("listen_port", True),
        ("http_port", 65_536), ("http_port", "9099"), ("advertised_port", 0),
        ("max_peers", 0), ("max_peers", 20_001), ("peer_timeout", 0), ("peer_timeout", 1.5),
        ("chain_id", 0), ("chain_id", 2**53), ("genesis_hash", "0x12"), ("genesis_hash", 7),
        ("advertised_address", "a b"), ("advertised_address", 7),
        ("bootstrap_nodes", "enode://"), ("bootstrap_nodes", None), ("bootstrap_nodes", (ENODE,) * 101),
    ],
)  # fmt: skip
def test_an_impossible_value_is_refused_by_its_name(field: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=f"^{field}: expected .* found "):
        BootstrapConfig(**{field: value})


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(InvalidInput) as raised:
        BootstrapConfig(
            listen_port=-1, chain_id=0, bootstrap_nodes=[ENODE, "enode://x", "enode://a.example:30303"]
        )
    lines = str(raised.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "listen_port",
        "chain_id",
        "bootstrap_nodes[1]",
        "bootstrap_nodes[2]",
    ]


def test_a_file_is_read_with_its_paths_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "bootstrap.toml"
    file.write_text(
        f'listen_address = "0.0.0.0"\nchain_id = 1337\ndata_dir = "state"\nbootstrap_nodes = ["{ENODE}"]\n'
    )
    config = BootstrapConfig.load(file)
    assert (config.listen_address, config.chain_id) == ("0.0.0.0", 1337)
    assert config.data_dir == tmp_path / "state"
    assert str(config.enodes[0]) == ENODE


def test_a_table_of_a_file_that_other_services_share_is_read(tmp_path: Path) -> None:
    file = tmp_path / "services.toml"
    file.write_text("[bootstrap]\nlisten_port = 31303\n[faucet]\nport = 8080\n")
    assert BootstrapConfig.load(file).listen_port == 31303


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("listen_prot = 1", r"services.toml: listen_prot: no such setting; did you mean listen_port\?"),
        ("[bootstrap]\nx = 1", "services.toml: x: no such setting; expected listen_address, "),
        ("bootstrap = 7", "services.toml: bootstrap: expected a table, found 7"),
        ("listen_port = 70000", "services.toml: listen_port: expected a whole number"),
        ("= 1", "services.toml: expected TOML"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_name(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "services.toml"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=message):
        BootstrapConfig.load(file)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"none\.toml: No such file"):
        BootstrapConfig.load(tmp_path / "none.toml")
