from __future__ import annotations

from pathlib import Path

import pytest

from metanode.crypto.addresses import format_address
from metanode.crypto.secp256k1 import PrivateKey
from metanode.node.config import ConfigError, HostPort, NodeConfig, load_config

SEED = Path(__file__).parent / "seed"
"""The two files of the launch plan, as they stand."""
MALFORMED = {
    "0x8ba1f109551bD432803012645Hac136c30d3b8b8": "0x8ba1f109551bd432803012645ac136c30d3b8b81",
    "0x9ca2e210662cBd432803012645Hac136c30d4c9c9": "0x9ca2e210662cbd432803012645ac136c30d4c9c9",
}
ENVIRONMENT = {
    "DB_PASSWORD": "secret",
    "VALIDATOR_PRIVATE_KEY": "11" * 32,
    "VALIDATOR_ADDRESS": "0x742d35cc6634c0532925a3b8d4c0b7c5c8c8b8b8",
}


SENTRY = f"enode://{PrivateKey(bytes([7]) * 32).public_key.hex()}@s.example:30303"


def written(path: Path, text: str, name: str = "node.toml") -> Path:
    file = path / name
    file.write_text(text)
    return file


def corrected_server(path: Path) -> Path:
    text = (SEED / "server.toml").read_text()
    for wrong, right in MALFORMED.items():
        text = text.replace(wrong, right)
    return written(path, text, "server.toml")


def problems(file: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config([file], ENVIRONMENT)
    return str(caught.value)


def test_the_plan_s_server_file_fails_only_for_its_two_malformed_addresses() -> None:
    file = SEED / "server.toml"

    assert problems(file).splitlines() == [
        f"{file}: consensus.validators[{index}]: found {found!r}, where 'H' at position {position} is not hexadecimal; "
        "expected 0x and 40 hexadecimal digits"
        for index, position, found in zip((1, 2), (28, 29), MALFORMED, strict=True)
    ]


def test_the_plan_s_server_file_loads_once_they_are_corrected(tmp_path: Path) -> None:
    config, warnings = load_config([corrected_server(tmp_path)], ENVIRONMENT)

    assert (config.network.network, config.network.chain_id) == ("testnet", 1337)
    assert config.network.network_id == "parvyom-testnet-v1"
    assert (config.rpc_host, config.server.rpc_port, config.server.ws_port) == ("0.0.0.0", 8545, 8546)
    assert (config.server.api_port, config.server.dashboard_port) == (9545, 3000)
    assert config.network.cors_origins == ("*",)
    assert config.database.postgres_url is not None
    assert (
        config.database.postgres_url.get_secret_value()
        == "postgresql://testnet:secret@db.parvyom.network/testnet"
    )
    assert (config.consensus.block_time, len(config.consensus.validators)) == (2, 3)
    assert (config.mining.enabled, config.mining.rewards, config.mining.gas_limit) == (True, True, 8_000_000)
    assert len(warnings) == 1
    assert (
        "consensus.validators[0]: 0x742d35Cc6634C0532925a3b8D4C0b7C5C8C8b8b8 has a wrong EIP-55 checksum"
        in warnings[0]
    )
    assert format_address(config.consensus.validators[0]) in warnings[0]


def test_the_plan_s_validator_file_loads_as_it_stands() -> None:
    config, _ = load_config([SEED / "validator.toml"], ENVIRONMENT)

    assert config.validator.enabled
    assert config.validator.validator_key is not None
    assert config.validator.validator_key.get_secret_value() == "11" * 32
    assert config.p2p.listen_address == HostPort("0.0.0.0", 30303)
    assert [node.address for node in config.p2p.bootstrap_nodes] == [
        f"validator-{n}.parvyom.network:30303" for n in (1, 2, 3)
    ]
    assert all(node.node_id is None for node in config.p2p.bootstrap_nodes)


def test_both_files_together_make_one_configuration(tmp_path: Path) -> None:
    config, _ = load_config([corrected_server(tmp_path), SEED / "validator.toml"], ENVIRONMENT)

    assert config.network.chain_id == 1337
    assert config.validator.enabled


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    config, _ = load_config([corrected_server(tmp_path), SEED / "validator.toml"], ENVIRONMENT)

    assert "secret" not in repr(config)
    assert "11" * 32 not in repr(config)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[network]\nchain_ids = 5", "network.chain_ids: unknown key; did you mean chain_id?"),
        ("[netwrok]\nchain_id = 5", "netwrok: unknown section; did you mean network?"),
        (
            "[server]\nrpc_port = 70000",
            "server.rpc_port: found 70000; input should be less than or equal to 65535",
        ),
        ("[server]\nrpc_port = '8545'", "server.rpc_port: found '8545'; input should be a valid integer"),
        ("[network]\nchain_id = true", "network.chain_id: found True; input should be a valid integer"),
        (
            "[server]\nbind_address = 'localhost'",
            "server.bind_address: found 'localhost'; expected an IP address",
        ),
        ("[p2p]\nlisten_address = '0.0.0.0'", "p2p.listen_address: found '0.0.0.0'; expected ADDRESS:PORT"),
        (
            "[p2p]\nbootstrap_nodes = ['enode://x@h:1']",
            "p2p.bootstrap_nodes[0]: 'enode://x@h:1': the node id holds 'x'",
        ),
        *(
            (
                f"[p2p]\nadvertised_address = {found!r}",
                f"p2p.advertised_address: found {found!r}; expected the name or IP address under which peers reach this node",
            )
            for found in (
                "0.0.0.0",
                "::",
                "",
                "a b",
                "node.example:0",
                "node.example:70000",
                "a:b:c",
                "[::1",
                7,
            )
        ),
        (
            "[p2p]\nsentries = ['enode://s.example:1']",
            "p2p.sentries[0]: found 'enode://s.example:1' without a node id; expected enode://ID@HOST:PORT",
        ),
        ("[p2p]\nsentries = ['s.example']", "p2p.sentries[0]: 's.example' is not an enode address"),
        (
            f"[p2p]\nsentries = {[SENTRY] * 5}",
            "tuple should have at most 4 items after validation, not 5",
        ),
        (
            f"[p2p]\nsentries = ['{SENTRY}']",
            "p2p.sentries: found 1 while validator.enabled is false; only a validator stands behind sentries",
        ),
        (
            f"[validator]\nenabled = true\nvalidator_key = 'keystore:k'\n[p2p]\nsentries = ['{SENTRY}']\nbootstrap_nodes = ['enode://b.example:1']",
            "p2p.bootstrap_nodes[0]: found enode://b.example:1 without a node id; expected enode://ID@HOST:PORT",
        ),
        (
            "[consensus]\nvalidators = ['0x12']",
            "consensus.validators[0]: found '0x12' with 2 digits; expected 0x and 40",
        ),
        ("[consensus]\nvalidators = [7]", "consensus.validators[0]: found 7; expected an address"),
        ("[storage]\ndirectory = 7", "storage.directory: found 7; expected the path of a file or directory"),
        ("[p2p]\nnode_key = ''", "p2p.node_key: found ''; expected the path of a file or directory"),
        ("[consensus]\nalgorithm = 'raft'", "consensus.algorithm: found 'raft'; input should be 'ibft'"),
        ("[validator]\nenabled = true", "validator.validator_key: missing while validator.enabled is true"),
        (
            "[validator]\nvalidator_key = '${NOT_SET}'",
            "validator.validator_key: environment variable NOT_SET is not set",
        ),
        ("[server]\nrpc_port = 30303", "server.rpc_port: port 30303 is p2p.listen_address's already"),
        ("network = 3", "network: found 3"),
        ("[network", "not TOML"),
        ("", "empty; write at least one section"),
        ("\0\0\0", "empty; write at least one section"),
    ],
)
def test_each_problem_is_a_sentence_that_names_file_and_key(tmp_path: Path, text: str, sentence: str) -> None:
    file = written(tmp_path, text)

    message = problems(file)

    assert sentence in message
    assert str(file) in message


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    file = written(tmp_path, "[network]\nchain_id = 0\n[server]\nrpc_port = -1\n[mining]\ngas = 1\n")

    assert len(problems(file).splitlines()) == 3


def test_a_key_with_a_wrong_type_is_not_repeated_when_it_may_be_secret(tmp_path: Path) -> None:
    assert "12345" not in problems(written(tmp_path, "[validator]\nvalidator_key = 12345"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "absent.toml: can't be read: No such file" in problems(tmp_path / "absent.toml")


def test_variables_take_defaults(tmp_path: Path) -> None:
    config, _ = load_config([written(tmp_path, "[network]\nnetwork_id = '${NAME:-my-net}'")], {})

    assert config.network.network_id == "my-net"


def test_paths_are_read_as_they_are_written(tmp_path: Path) -> None:
    text = (
        "[storage]\ndirectory = 'chain'\n[p2p]\nnode_key = '/keys/node'\n[validator]\npassword_file = 'a/b'"
    )

    config, _ = load_config([written(tmp_path, text)], {})

    paths = (config.storage.directory, config.p2p.node_key, config.validator.password_file)
    assert paths == (Path("chain"), Path("/keys/node"), Path("a/b"))


def test_a_duplicate_validator_is_refused(tmp_path: Path) -> None:
    address = "0x" + "ab" * 20
    file = written(tmp_path, f"[consensus]\nvalidators = ['{address}', '{address}']")

    assert "consensus.validators[1]" in problems(file)
    assert "stands at [0] already" in problems(file)


def test_rpc_stays_on_loopback_unless_it_is_public(tmp_path: Path) -> None:
    config, _ = load_config([written(tmp_path, "[server]\nbind_address = '0.0.0.0'")], {})

    assert config.rpc_host == "127.0.0.1"


def test_the_defaults_need_no_file() -> None:
    assert NodeConfig().server.rpc_port == 8545


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("node.example", "node.example", None),
        ("node.example:31000", "node.example", 31000),
        ("203.0.113.7", "203.0.113.7", None),
        ("203.0.113.7:1", "203.0.113.7", 1),
        ("2001:db8::7", "2001:db8::7", None),
        ("[2001:db8::7]", "2001:db8::7", None),
        ("[2001:db8::7]:31000", "2001:db8::7", 31000),
    ],
)
def test_an_advertised_address_is_a_host_and_perhaps_a_port(
    tmp_path: Path, text: str, host: str, port: int | None
) -> None:
    config, _ = load_config([written(tmp_path, f"[p2p]\nadvertised_address = '{text}'")], {})

    found = config.p2p.advertised_address
    assert found is not None
    assert (found.host, found.port) == (host, port)
