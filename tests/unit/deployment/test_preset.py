"""What the preset of the plan for a public testnet says, and what stands beside its node."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.unit.deployment.deployments import block, identities, plan

from sdk.testnet.deployment import DeploymentConfig
from sdk.testnet.deployment.beside import Beside
from sdk.testnet.deployment.configuration import PARVYOM, PRESET_DEFAULT
from sdk.testnet.deployment.files import render_files
from sdk.testnet.services.configuration import ServicesConfig
from sdk.testnet.services.gateway import read_settings
from sdk.testnet.services.program import choose

if TYPE_CHECKING:
    from pathlib import Path

SEED = {
    "network_name": "parvyom-testnet-v1",
    "chain_id": 1337,
    "consensus_type": "ibft",
    "block_time_s": 2,
    "gas_limit": 8_000_000,
}
"""The plan's own words; three to five validators, and rewards."""


def texts(**parameters: object) -> dict[str, str]:
    of = plan(**parameters)
    found = render_files(
        of, identities(of), block(of), wheel_name="metanode-0.whl", wheel=b"", requirements=""
    )
    return {name: content.decode() for name, content in found.items()}


def test_the_preset_alone_has_the_facts_of_its_plan() -> None:
    config = DeploymentConfig(preset=PARVYOM)

    assert {name: getattr(config, name) for name in SEED} == SEED
    assert 3 <= config.num_validators <= 5
    assert config.block_reward_gwei > 0


def test_without_a_preset_it_is_the_network_of_the_document() -> None:
    for config in (DeploymentConfig(), DeploymentConfig(preset=PRESET_DEFAULT)):
        assert (config.network_name, config.chain_id, config.num_validators) == (PRESET_DEFAULT, 9999, 5)
        assert (config.consensus_type, config.gas_limit, config.block_reward_gwei) == ("pos", 60_000_000, 0)


def test_what_is_given_goes_before_the_preset_and_is_shown() -> None:
    guide = texts(preset=PARVYOM, chain_id=1338, port_offset=5)["TESTNET_DEPLOYMENT.md"]

    assert "| Preset | `parvyom-testnet-v1`, but for chain_id 1338 instead of 1337 |" in guide
    assert "deploy_testnet(chain_id=1338, port_offset=5, preset='parvyom-testnet-v1', apply=" in guide


def test_the_coordinator_runs_pages_and_api_over_postgresql_and_redis(tmp_path: Path) -> None:
    """Ports 9545 and 3000 are those of the services program, and not of the node's own status."""
    found = texts(preset=PARVYOM)
    service = yaml.safe_load(found["docker-compose.testnet.yml"])["services"]["bpci-server"]
    words = service["command"]
    file = tmp_path / "services.toml"
    file.write_text(found["config/services.toml"])

    config = ServicesConfig.load(file, {"DB_PASSWORD": "hidden"})

    beside = words[words.index("--services") :]
    assert beside == [
        "--services", "/config/services.toml", "indexer", "explorer", "api", "--services", "/config/gateway.toml", "gateway"
    ]  # fmt: skip
    assert choose(config, beside[2:5]) == ("indexer", "explorer", "api")
    assert config.database_url == "postgresql://testnet:hidden@postgres/testnet"
    assert config.database.redis_url == "redis://redis:6379"
    assert config.api is not None
    assert (config.explorer.port, config.api.port) == (3000, 9545)
    # The gateway has the ports of the plan, so the node has another.
    assert config.network.rpc_urls[:2] == ("http://bpci-server:8555", "http://validator-1:8545")
    assert config.public_rpc_url == "http://localhost:8545"
    server = tomllib.loads(found["config/bpci-server.toml"])["server"]
    assert not {"api_port", "dashboard_port"} & server.keys()
    assert server["rpc_port"] == 8555
    assert "ws_port" not in server
    assert service["healthcheck"]["test"][4:] == [
        "9100", "/readyz", "3000", "/readyz", "9545", "/readyz", "8545", "/readyz"
    ]  # fmt: skip
    assert service["environment"]["DB_PASSWORD_FILE"] == "/run/secrets/postgres-password"


def test_the_database_is_made_for_texts_of_every_script() -> None:
    """What an image makes by itself depends on its locale; of a database without an encoding, drivers read bytes."""
    services = yaml.safe_load(texts(preset=PARVYOM)["docker-compose.testnet.yml"])["services"]

    assert services["postgres"]["environment"]["POSTGRES_INITDB_ARGS"] == "--encoding=UTF8 --locale=C.UTF-8"


def test_redis_answers_other_containers() -> None:
    """By itself a Redis without a password answers its own container alone, unless its image says otherwise."""
    redis = yaml.safe_load(texts(preset=PARVYOM)["docker-compose.testnet.yml"])["services"]["redis"]

    words = redis["command"]
    assert words[words.index("--protected-mode") + 1] == "no"
    assert redis["ports"] == ["127.0.0.1:6379:6379"]


def test_the_gateway_has_the_ports_of_the_plan(tmp_path: Path) -> None:
    """8545 for JSON-RPC and 8546 for WebSocket, before the node beside it and every validator; metrics are no other process's."""
    found = texts(preset=PARVYOM, bind_address="0.0.0.0", public_host="rpc.example.org")
    services = yaml.safe_load(found["docker-compose.testnet.yml"])["services"]
    file = tmp_path / "gateway.toml"
    file.write_text(found["config/gateway.toml"])

    config = ServicesConfig.load(file, {})
    settings = read_settings(config.gateway_settings)

    assert choose(config, ["gateway"]) == ("gateway",)
    assert config.gateway is not None
    assert config.metrics is not None
    assert (config.gateway.port, settings.websocket_port, config.metrics.port) == (8545, 8546, 9102)
    assert config.gateway.url == "http://rpc.example.org:8545"
    assert config.network.rpc_urls == (
        "http://bpci-server:8555", *(f"http://validator-{number}:8545" for number in range(1, 5))
    )  # fmt: skip
    assert "0.0.0.0:8545:8545" in services["bpci-server"]["ports"]
    assert "0.0.0.0:8546:8546" in services["bpci-server"]["ports"]
    # Strangers reach no node but through the gateway, which no node takes for one stranger.
    assert not any(
        ":8545" in port for number in range(1, 5) for port in services[f"validator-{number}"]["ports"]
    )
    assert config.gateway.trusted_proxies == ("127.0.0.0/8", "::1/128")
    assert "172.16.0.0/12" in tomllib.loads(found["config/validator-1.toml"])["server"]["trusted_proxies"]


def test_without_a_gateway_the_node_has_the_ports_of_the_plan() -> None:
    found = texts(preset=PARVYOM, services=("faucet",))
    service = yaml.safe_load(found["docker-compose.testnet.yml"])["services"]["bpci-server"]
    server = tomllib.loads(found["config/bpci-server.toml"])["server"]

    assert (server["rpc_port"], server["ws_port"]) == (8545, 8546)
    assert service["command"].count("--services") == 1
    assert "config/gateway.toml" not in found
    assert "http://bpci-server:8545" in found["config/services.toml"]


def test_what_runs_beside_is_started_again_and_ends_with_the_block(tmp_path: Path) -> None:
    starts, fifo = tmp_path / "starts", tmp_path / "fifo"
    code = f"""
import os, sys, time
with open({str(starts)!r}, "a") as file:
    file.write("x")
if os.path.getsize({str(starts)!r}) < 3:
    sys.exit(7)
open({str(fifo)!r}, "w").close()
time.sleep(600)
"""
    subprocess.run(["mkfifo", fifo], check=True)

    with Beside([sys.executable, "-c", code], {}, delay_min_s=0.01) as beside:
        # Opens when the third of them does.
        fifo.read_bytes()
        process = beside._process
        assert process is not None
        assert process.poll() is None

    assert process.wait(30) == -15
    assert starts.read_text() == "xxx"


@pytest.mark.parametrize("preset", [None, PARVYOM])
def test_a_node_that_joins_is_told_by_the_guide_whom_it_meets(preset: str | None) -> None:
    guide = texts(preset=preset, public_host="testnet.example.org", peers_bind_address="0.0.0.0")
    page = guide["TESTNET_DEPLOYMENT.md"]
    config = page.partition("cat > config.toml <<'END'\n")[2].partition("\nEND\n")[0]
    services = yaml.safe_load(guide["docker-compose.testnet.yml"])["services"]
    validators = {name: found for name, found in services.items() if name.startswith("validator-")}

    met = {enode.rpartition("@")[2] for enode in tomllib.loads(config)["p2p"]["bootstrap_nodes"]}

    published = {
        f"testnet.example.org:{port.split(':')[1]}"
        for found in validators.values()
        for port in found["ports"]
        if port.startswith("0.0.0.0:") and port.endswith(":30303")
    }
    assert met == published
    assert len(met) == len(validators)
    # JSON-RPC, pages and metrics stay where they were.
    others = [port for found in services.values() for port in found.get("ports", []) if "30303" not in port]
    assert others
    assert all(port.startswith("127.0.0.1:") for port in others)
    assert shlex.split(page.partition("\nEND\n")[2].partition("\n")[0])[:3] == ["metanode", "node", "."]


def test_deployments_of_one_name_are_projects_of_their_own() -> None:
    """Compose would take the second for the first, and start its containers on other data."""
    here, there = plan(), plan(network_name="moderntensor-testnet")
    elsewhere = plan(data_dir="/srv/other/data", genesis_dir="/srv/other/genesis")

    assert here.project == there.project
    assert here.project.startswith("moderntensor-testnet-")
    assert elsewhere.output == here.output
    assert len(here.project) == len("moderntensor-testnet-") + 6
