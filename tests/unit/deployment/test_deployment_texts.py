"""What a deployment's files say: compared with the ones that were read and found right, and read by the programs they are for."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.unit.deployment.deployments import block, identities, plan

from metanode.errors import Unavailable
from metanode.node.config import load_config
from sdk.testnet.bootstrap import BootstrapConfig
from sdk.testnet.command.faucet import _settings
from sdk.testnet.command.program import app
from sdk.testnet.deployment.apply.compose import find_compose
from sdk.testnet.deployment.compose import COMPOSE_FILE, quoted
from sdk.testnet.deployment.configuration import PARVYOM, SERVICES
from sdk.testnet.deployment.environment_file import render_environment
from sdk.testnet.deployment.files import render_files
from sdk.testnet.deployment.services_config import (
    Places,
    in_containers,
    on_this_machine,
    render_services,
)
from sdk.testnet.faucet import FaucetConfig
from sdk.testnet.services.configuration import ServicesConfig
from sdk.testnet.services.faucet.settings import read_settings, settings_of
from sdk.testnet.services.program import choose

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk.testnet.deployment.deployment_plan import DeploymentPlan

GOLDEN = Path(__file__).parent / "golden"
PLANS = {
    "moderntensor-testnet": plan(services=SERVICES),
    PARVYOM: plan(preset=PARVYOM),
}
SHOWN = (
    COMPOSE_FILE,
    "TESTNET_DEPLOYMENT.md",
    "config/services.toml",
    "config/validator-1.toml",
    "prometheus.yml",
)
"""What people read; the rest is read by programs below."""


def texts(of: DeploymentPlan) -> dict[str, str]:
    found = render_files(
        of, identities(of), block(of), wheel_name="metanode-0.whl", wheel=b"", requirements=""
    )
    return {name: content.decode() for name, content in found.items()}


def compose(of: DeploymentPlan) -> Any:
    return yaml.safe_load(texts(of)[COMPOSE_FILE])


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("network", PLANS)
def test_the_files_are_as_they_were_approved(network: str, name: str) -> None:
    """Set UPDATE_GOLDEN=1 to write them anew, and read what has changed."""
    file = GOLDEN / network / Path(name).name
    text = texts(PLANS[network])[name]
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    assert text == file.read_text()


@pytest.mark.parametrize("network", PLANS)
def test_compose_itself_reads_the_file(network: str, tmp_path: Path) -> None:
    """Where Compose is missing, only the rendering was checked, and the report of the tests says so."""
    try:
        command = find_compose()
    except Unavailable:
        pytest.skip(
            "no Docker Compose 2 here: rendering was checked, Compose's own `config` was not; apt-get install docker-compose-v2"
        )
    (tmp_path / COMPOSE_FILE).write_text(texts(PLANS[network])[COMPOSE_FILE])
    (tmp_path / ".env").write_text(render_environment(PLANS[network]))
    answer = subprocess.run(
        [*command, "-f", COMPOSE_FILE, "--profile", "*", "config", "--format", "json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    assert json.loads(answer.stdout)["name"] == PLANS[network].project


def is_node(service: str) -> bool:
    return service.startswith("validator-") or service == "bpci-server"


@pytest.mark.parametrize("network", PLANS)
def test_every_container_is_confined(network: str) -> None:
    services = compose(PLANS[network])["services"]

    for name, service in services.items():
        official = name == "postgres"
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        # By itself Docker keeps every line for ever, and strangers can make a node write lines.
        assert service["logging"] == {
            "driver": "json-file",
            "options": {"max-size": "16m", "max-file": "4"},
        }, name
        assert service["deploy"]["resources"]["limits"].keys() == {"memory", "cpus", "pids"}, name
        assert service["healthcheck"]["test"], name
        # Docker's own ten seconds are too few for whoever writes at its end.
        assert service["stop_grace_period"] == (
            "2m" if is_node(name) else "1m" if name in ("postgres", "prometheus") else "30s"
        ), name
        assert (service["deploy"]["resources"]["limits"]["cpus"] == "${NODE_CPUS:-0}") == is_node(name), name
        # PostgreSQL's image changes its own user and writes where it was made to.
        assert official or service["read_only"] is True, name
        assert official or service["user"] == "${RUN_AS:-1000:1000}", name


@pytest.mark.parametrize("network", PLANS)
def test_ports_are_published_on_loopback_unless_asked(network: str) -> None:
    ports = [
        port for service in compose(PLANS[network])["services"].values() for port in service.get("ports", [])
    ]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert len({re.sub(r":\d+(/udp)?$", r"\1", port) for port in ports}) == len(ports), "each host port once"


def test_the_whole_world_is_let_in_only_where_metrics_are_not() -> None:
    services = compose(plan(bind_address="0.0.0.0"))["services"]

    assert "0.0.0.0:8545:8545" in services["validator-1"]["ports"]
    assert "127.0.0.1:9100:9100" in services["validator-1"]["ports"]


@pytest.mark.parametrize(
    "asked", [{}, {"bind_address": "0.0.0.0"}, {"preset": PARVYOM, "bind_address": "0.0.0.0"}]
)
def test_the_faucets_operator_page_is_for_this_machine_and_its_password_is_a_file(
    asked: dict[str, Any],
) -> None:
    """Whatever the rest is published on; and in no environment."""
    of = plan(**asked, port_offset=7)
    found = compose(of)

    assert found["services"]["faucet"]["ports"][1] == "127.0.0.1:8088:8081"
    assert found["services"]["faucet"]["secrets"] == ["faucet-password", "faucet-operator-password"]
    assert "environment" not in found["services"]["faucet"]
    assert found["secrets"]["faucet-operator-password"] == {"file": "./secrets/faucet-operator.password"}
    assert [
        name
        for name, one in found["services"].items()
        if "faucet-operator-password" in one.get("secrets", ())
    ] == ["faucet"]
    row = (
        "| faucet, for its operator | http://127.0.0.1:8088, password in `secrets/faucet-operator.password` |"
    )
    assert row in texts(of)["TESTNET_DEPLOYMENT.md"]
    assert "operator" not in texts(plan(services=("explorer",)))[COMPOSE_FILE]


def test_the_ports_are_those_of_the_document() -> None:
    services = compose(plan())["services"]

    published = [port for number in range(1, 6) for port in services[f"validator-{number}"]["ports"]]
    assert [port for port in published if port.endswith(":8545")] == [
        f"127.0.0.1:{port}:8545" for port in range(8545, 8550)
    ]


def test_each_container_of_the_documents_file_is_there_with_all_that_it_has_there() -> None:
    document = (Path(__file__).parents[2] / "testnet" / "toolkit-module.md").read_text()
    (shown,) = re.findall(r"```yaml\n(.*?)```", document, flags=re.DOTALL)
    services = compose(plan(services=SERVICES))["services"]

    for name, wanted in yaml.safe_load(shown)["services"].items():
        found = services[name]
        assert wanted.keys() <= found.keys(), name
        assert found["image"] == f"${{IMAGE:-{wanted['image']}}}", name
        assert {f"127.0.0.1:{port}" for port in wanted["ports"]} <= set(found["ports"]), name
        assert set(wanted.get("volumes", ())) <= set(found["volumes"]), name
        assert set(wanted.get("depends_on", ())) <= set(found.get("depends_on", ())), name


def test_the_plan_of_the_public_testnet_has_its_services_variables_and_ports() -> None:
    services = compose(PLANS[PARVYOM])["services"]

    assert {"bpci-server", "validator-1", "validator-4", "postgres", "redis"} <= services.keys()
    assert [port.rpartition(":")[2] for port in services["bpci-server"]["ports"]] == [
        "8545", "8546", "9545", "3000",
    ]  # fmt: skip
    assert (
        services["bpci-server"]["environment"].items() >= {"NETWORK": "testnet", "CHAIN_ID": "1337"}.items()
    )
    validator = services["validator-2"]["environment"]
    assert validator["VALIDATOR_KEY"] == "${VALIDATOR_2_KEY:-}"
    assert validator["VALIDATOR_KEY_FILE"] == "/var/lib/validator/validator.json"
    assert "127.0.0.1:30303:30303" in services["validator-1"]["ports"]
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD_FILE"] == "/run/secrets/postgres-password"


@pytest.mark.parametrize("network", PLANS)
def test_nodes_accept_their_configurations(network: str, tmp_path: Path) -> None:
    found = {name: text for name, text in texts(PLANS[network]).items() if name.startswith("config/")}

    for name, text in found.items():
        if name in ("config/services.toml", "config/gateway.toml"):
            continue
        file = tmp_path / Path(name).name
        file.write_text(text)
        config = load_config([file], {"DB_PASSWORD": "secret"}).config
        assert config.network.network_id == network
        assert str(config.p2p.advertised_address) == Path(name).stem
        assert len(config.p2p.bootstrap_nodes) >= PLANS[network].config.num_validators - 1


@pytest.mark.parametrize("where", [in_containers, on_this_machine])
def test_services_accept_their_configuration(
    where: Callable[[DeploymentPlan], Places], tmp_path: Path
) -> None:
    of = PLANS["moderntensor-testnet"]
    file = tmp_path / "services.toml"
    file.write_text(render_services(of, where(of), identities(of), genesis_hash="0x" + block(of).hash.hex()))

    services = ServicesConfig.load(file)

    assert services.network.chain_id == 9999
    assert services.faucet is not None
    assert services.api is not None
    assert (services.explorer.url, services.faucet.url) == ("http://localhost:3000", "http://localhost:8080")
    assert services.gateway is not None
    assert (services.gateway.url, services.public_rpc_url) == ("http://localhost:8645",) * 2
    assert choose(services, ["gateway"]) == ("gateway",)
    told = settings_of(services)
    assert told.faucet == FaucetConfig(
        rpc_url=told.faucet.rpc_url,
        backup_rpc_urls=told.faucet.backup_rpc_urls,
        keystore=told.faucet.keystore,
        password_file=told.faucet.password_file,
        database_url=told.faucet.database_url,
    ), "on loopback there is nothing public"
    assert told.operator_port == 8081
    assert told.operator_password_file.name in ("faucet-operator-password", "faucet-operator.password")
    assert BootstrapConfig.load(file).chain_id == 9999


@pytest.mark.parametrize("where", [in_containers, on_this_machine])
@pytest.mark.parametrize(
    ("asked", "is_public"),
    [
        ({}, False),
        ({"bind_address": "0.0.0.0"}, True),
        ({"public_host": "testnet.example.org"}, True),
        ({"bind_address": "0.0.0.0", "public_faucet": False}, False),
        ({"public_faucet": True}, True),
        ({"preset": PARVYOM, "bind_address": "192.0.2.7"}, True),
    ],
)
def test_a_faucet_that_strangers_reach_is_a_public_one(
    where: Callable[[DeploymentPlan], Places], asked: dict[str, Any], is_public: bool, tmp_path: Path
) -> None:
    """Stricter limits and proof of work, in the service itself and for the command that reads the same file."""
    of = plan(**asked)
    file = tmp_path / "services.toml"
    file.write_text(render_services(of, where(of), identities(of), genesis_hash="0x" + block(of).hash.hex()))
    services = ServicesConfig.load(file)

    served = read_settings(
        services.faucet_settings, directory=tmp_path, data=tmp_path, rpc_urls=["http://127.0.0.1:1"], database_url="sqlite://"
    ).faucet  # fmt: skip
    asked_by_hand = _settings(file, rpc_url=None, keystore=None, database=None)

    for config in (served, asked_by_hand):
        assert (config.max_requests_per_address, config.proof_of_work) == (
            (1, True) if is_public else (3, False)
        )
    assert ("limits of a public one" in texts(of)["TESTNET_DEPLOYMENT.md"]) is is_public


def test_another_configuration_starts_its_container_anew() -> None:
    """Compose does not look into mounted files: the label does."""
    before, after = (
        compose(plan(gas_limit=30_000_000, accounts={}, block_time_s=2))["services"],
        compose(plan(chain_id=5))["services"],
    )

    assert before["validator-1"]["labels"] != after["validator-1"]["labels"]


@pytest.mark.parametrize(
    "text", ["/srv/a b", "/srv/$HOME", '/srv/"x"', "/srv/back\\slash", "/srv/${A:-b}", "/srv/ümlaut"]
)
def test_a_path_is_read_back_to_the_letter(text: str) -> None:
    assert yaml.safe_load(quoted(text)) == text.replace("$", "$$")


@pytest.mark.parametrize("network", PLANS)
def test_prometheus_reads_its_files(network: str, tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "install Debian's prometheus"
    for name, text in texts(PLANS[network]).items():
        if name.startswith(("prometheus", "rules")):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)

    answer = subprocess.run(
        [promtool, "check", "config", "prometheus.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 0, answer.stdout + answer.stderr
    targets = re.findall(r"- ([a-z0-9-]+:9100)", texts(PLANS[network])["prometheus.yml"])
    assert set(targets) >= {
        f"validator-{number}:9100" for number in range(1, PLANS[network].config.num_validators + 1)
    }


def test_every_variable_of_the_compose_file_is_explained() -> None:
    for network in PLANS.values():
        used = set(re.findall(r"\$\{([A-Z0-9_]+)", texts(network)[COMPOSE_FILE]))
        explained = set(re.findall(r"^#? ?([A-Z0-9_]+)=", render_environment(network), flags=re.MULTILINE))

        assert used <= explained


def test_what_a_person_wrote_into_the_environment_stays() -> None:
    mine = "# mine\nBASE_IMAGE=my/base\n"

    text = render_environment(plan(), mine)

    assert text.startswith(mine)
    assert text.count("BASE_IMAGE=") == 1
    assert f"COMPOSE_PROJECT_NAME={plan().project}" in text
    assert render_environment(plan(), text) == text


def test_the_wallet_part_of_the_guide_is_what_wallets_take() -> None:
    guide = texts(plan())["TESTNET_DEPLOYMENT.md"]
    chain = json.loads(re.findall(r"```json\n(.*?)```", guide, flags=re.DOTALL)[0])

    assert chain["chainId"] == hex(9999)
    assert chain["rpcUrls"] == ["http://localhost:8645"]
    assert chain["nativeCurrency"]["decimals"] == 18


def test_wallets_are_told_of_the_first_validator_where_there_is_no_gateway() -> None:
    guide = texts(plan(services=("faucet",)))["TESTNET_DEPLOYMENT.md"]

    assert '"http://localhost:8545"\n  ]' in guide
    assert "gateway" not in guide


@pytest.mark.parametrize("heading", ["Start", "Endpoints", "Add to a wallet", "Stop", "Upgrade", "Reset"])
def test_the_guide_says_what_an_operator_does(heading: str) -> None:
    assert f"\n## {heading}\n" in texts(plan())["TESTNET_DEPLOYMENT.md"]
    assert "\n### Add a validator\n" in texts(plan())["TESTNET_DEPLOYMENT.md"]


@pytest.mark.parametrize("heading", ["Stop", "Upgrade", "Reset"])
def test_the_guide_says_it_for_processes_of_this_machine_too(heading: str) -> None:
    """The page tells how to start them; Compose would say that nothing runs."""
    section = texts(plan())["TESTNET_DEPLOYMENT.md"].partition(f"\n## {heading}\n")[2].partition("\n## ")[0]

    assert "`testnet down`" in section
    assert "down" in {
        command.name or command.callback.__name__ for command in app.registered_commands if command.callback
    }
