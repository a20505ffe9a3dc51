"""The services' configuration: every problem at once, each with its key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from metanode.errors import InvalidInput
from sdk.testnet.services.configuration import ServicesConfig
from sdk.testnet.services.program import choose

if TYPE_CHECKING:
    from pathlib import Path

LEAST = """
[network]
network_id = "metanode-local"
chain_id = 1337
rpc_urls = ["http://127.0.0.1:8545"]
"""


def load(tmp_path: Path, text: str, **environment: str) -> ServicesConfig:
    path = tmp_path / "services.toml"
    path.write_text(text)
    return ServicesConfig.load(path, environment)


def test_the_least_that_must_be_said_is_the_network(tmp_path: Path) -> None:
    config = load(tmp_path, LEAST)

    assert config.explorer.port == 3000
    assert config.explorer.url == "http://localhost:3000"
    assert config.database_url == f"sqlite:///{tmp_path}/index.db"
    assert config.public_rpc_url == "http://127.0.0.1:8545"
    assert choose(config, ()) == ("indexer", "explorer")


def test_metrics_are_served_where_a_table_says_so(tmp_path: Path) -> None:
    assert load(tmp_path, LEAST).metrics is None
    found = load(tmp_path, LEAST + "[metrics]").metrics
    assert found is not None
    assert (found.bind_address, found.port) == ("127.0.0.1", 9099)
    with pytest.raises(InvalidInput, match=r"metrics.port: 3000 is the explorer's already"):
        load(tmp_path, LEAST + "[metrics]\nport = 3000")


def test_all_problems_are_told_at_once_with_their_keys(tmp_path: Path) -> None:
    text = """
[network]
network_id = "Not a name"
chain_id = 0
rpc_url = "http://x"
[databse]
[explorer]
port = 70000
bind_address = "everywhere"
public_url = "javascript:alert(1)"
[api]
port = "9545"
[names]
0x12 = "short"
"""
    with pytest.raises(InvalidInput) as refused:
        load(tmp_path, text)

    told = str(refused.value)
    for sentence in (
        "databse: no such table; did you mean database?",
        "network.rpc_url: no such setting; did you mean rpc_urls?",
        "network.rpc_urls: missing",
        "explorer.port: expected 0 to 65535, found 70000",
        "explorer.bind_address: expected an IP address",
        "explorer.public_url: expected http://HOST",
        "api.port: expected a whole number, found '9545'",
        "names.0x12: expected 20 bytes",
    ):
        assert sentence in told, told
    assert all(line.startswith(str(tmp_path)) for line in told.splitlines())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (LEAST.replace("1337", "0"), r"network.chain_id: expected 1 to 2\^53 - 1, found 0"),
        (LEAST.replace("http:", "ftp:"), r"network.rpc_urls\[0\]: expected http://"),
        (LEAST + 'node_names = ["a", "b"]', "network.node_names: expected one for each of the 1 rpc_urls"),
        (LEAST + '[alerts]\nmetrics_urls = ["faucet:9101"]', r"alerts.metrics_urls\[0\]: expected http://"),
        (LEAST + "[alerts]\nnode_cores = 0", "alerts.node_cores: expected 1 to 1024, found 0"),
        (LEAST + "[alerts]\nnode_memory_mib = 4294967296", "alerts.node_memory_mib: expected 1 to"),
        (LEAST + f"[alerts]\nmetrics_urls = {['http://faucet:9101/metrics'] * 2}", "each once"),
        (LEAST + "[faucet]\nport = 3000", "faucet.port: 3000 is the explorer's already"),
        (LEAST + "[explorer]\nport = 9545\n[api]", "api.port: 9545 is the explorer's already"),
        (
            LEAST.replace("127.0.0.1:8545", "user:key@node-1:8545"),
            "network.public_rpc_url: expected the JSON-RPC that wallets reach",
        ),
        (LEAST.replace(":8545", ":8545/v1/key"), "network.public_rpc_url: expected the JSON-RPC"),
        (LEAST.replace(":8545", ":8545/?key=1"), "network.public_rpc_url: expected the JSON-RPC"),
        (
            LEAST + 'public_ws_url = "http://node-1:8546"',
            "network.public_ws_url: expected ws://HOST or wss://HOST",
        ),
        (LEAST + 'public_ws_url = "wss://"', "network.public_ws_url: expected ws://HOST or wss://HOST"),
        ("[network", "expected TOML"),
        (LEAST + "explorer = 5", "network.explorer: no such setting"),
        (LEAST + "[database]\npostgres_url = 5", "database.postgres_url: expected text, found a secret"),
        (LEAST + '[database]\npostgres_url = "postgresql://${DB}"', "variable DB is not set"),
    ],
)
def test_a_wrong_file_is_refused_with_the_key(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        load(tmp_path, text)


def test_secrets_come_from_the_environment(tmp_path: Path) -> None:
    text = LEAST + '[database]\npostgres_url = "postgresql://t:${DB_PASSWORD}@${HOST:-db}/t"'

    assert load(tmp_path, text, DB_PASSWORD="s").database_url == "postgresql://t:s@db/t"


def test_an_address_with_a_key_is_not_what_wallets_are_told(tmp_path: Path) -> None:
    secret = LEAST.replace("127.0.0.1:8545", "user:canary@node-1:8545/v1")
    config = load(tmp_path, secret + 'public_rpc_url = "https://rpc.example.org/v1"')
    with pytest.raises(InvalidInput) as refused:
        load(tmp_path, secret)

    assert config.public_rpc_url == "https://rpc.example.org/v1"
    assert config.network.rpc_urls == ("http://user:canary@node-1:8545/v1",)
    assert "canary" not in str(refused.value)


def test_what_is_the_services_own_is_handed_on(tmp_path: Path) -> None:
    config = load(
        tmp_path, LEAST + "[faucet]\nport = 1\ntokens_per_request = 5\n[bootstrap]\nlisten_port = 0"
    )

    assert config.faucet is not None
    assert config.faucet.port == 1
    assert config.faucet_settings == {"tokens_per_request": 5}
    assert config.bootstrap_settings == {"listen_port": 0}
    assert choose(config, ("all",)) == ("indexer", "explorer", "faucet", "bootstrap")
    assert choose(config, ("faucet",)) == ("faucet",)


def test_a_gateway_is_told_its_limits_by_its_table(tmp_path: Path) -> None:
    config = load(
        tmp_path, LEAST + "[gateway]\nunits_per_second = 5\n[gateway.calls_per_second]\neth_getLogs = 2"
    )

    assert config.gateway is not None
    assert config.gateway.port == 8645
    assert config.gateway_settings == {"units_per_second": 5, "calls_per_second": {"eth_getLogs": 2}}
    assert choose(config, ("all",)) == ("indexer", "explorer", "gateway")
    with pytest.raises(InvalidInput, match=r"gateway.port: 3000 is the explorer's already"):
        load(tmp_path, LEAST + "[gateway]\nport = 3000")


def test_a_service_that_is_not_there_is_refused(tmp_path: Path) -> None:
    config = load(tmp_path, LEAST + "[explorer]\nenabled = false")

    with pytest.raises(InvalidInput, match=r"service: found 'wallet'; expected some of indexer"):
        choose(config, ("wallet",))
    with pytest.raises(InvalidInput, match=r"api has no table \[api\]"):
        choose(config, ("api",))
    assert choose(config, ()) == ("indexer",)
