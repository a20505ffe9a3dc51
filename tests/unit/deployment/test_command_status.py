"""`testnet status` of containers, and the claims that a faucet has left."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.unit.deployment.test_deployer import deploy

from metanode.errors import InvalidInput
from sdk.testnet.command import claims, containers
from sdk.testnet.command.network import status
from sdk.testnet.deployment.apply import services
from sdk.testnet.deployment.apply.local import NodeStatus
from sdk.testnet.deployment.configuration import PARVYOM
from sdk.testnet.deployment.plan import NetworkSpec, NodePlan, plan_network

if TYPE_CHECKING:
    from pathlib import Path


def answered(plan: NodePlan, height: int | None) -> NodeStatus:
    return NodeStatus(
        name=plan.name, role=plan.role, pid=None, restarts=0, rpc_url=plan.rpc_url, metrics_url=plan.metrics_url,
        height=height, block_hash=None if height is None else "0x12", peers=4, validators=4,
    )  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[NodePlan]:
    """Whom the command asks; each has block 7."""
    found: list[NodePlan] = []

    async def ask(plan: NodePlan) -> NodeStatus:
        await asyncio.sleep(0)
        found.append(plan)
        return answered(plan, 7)

    monkeypatch.setattr(containers, "_ask", ask)
    return found


def test_of_the_public_testnet_the_coordinator_is_asked(tmp_path: Path, asked: list[NodePlan]) -> None:
    """Its validators publish no JSON-RPC, and 8545 is not the first of them."""
    deploy(tmp_path, preset=PARVYOM, num_validators=2, port_offset=11)

    found = containers.containers_status(tmp_path)

    assert found is not None
    assert [(plan.name, plan.rpc_url) for plan in asked] == [("bpci-server", "http://127.0.0.1:8556")]
    assert (found.height, found.validator_count, found.running) == (7, 4, True)
    assert found.services == (), "they have other ports"


def test_validators_are_asked_where_they_listen(tmp_path: Path, asked: list[NodePlan]) -> None:
    deploy(tmp_path, bind_address="192.0.2.5")

    containers.containers_status(tmp_path)

    assert [plan.rpc_url for plan in asked] == ["http://192.0.2.5:8545", "http://192.0.2.5:8546"]


@pytest.mark.usefixtures("asked")
def test_services_are_told_where_they_are_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(services, "_listens", lambda _, port: port != 8091)
    deploy(tmp_path, services=("faucet", "explorer"), port_offset=11)

    status(tmp_path)

    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["explorer", "http://127.0.0.1:3011", "running"] in shown
    assert ["dashboard", "http://127.0.0.1:3011/dashboard", "running"] in shown
    assert ["api", "http://127.0.0.1:9556", "running"] in shown
    assert ["faucet", "http://127.0.0.1:8091", "starting"] in shown
    assert ["faucet", "operator", "http://127.0.0.1:8092", "running"] in shown
    assert not any(line and line[0] == "gateway" for line in shown)


@pytest.mark.parametrize(
    ("address", "host"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("192.0.2.5", "192.0.2.5")]
)
def test_a_node_is_reached_where_it_listens(address: str, host: str) -> None:
    node = plan_network(NetworkSpec(bind_address=address)).nodes[0]

    assert node.rpc_url == f"http://{host}:8545"
    # What it measures and its private calls are on loopback whatever that says.
    assert node.metrics_url == "http://127.0.0.1:9100/metrics"


@pytest.mark.usefixtures("asked")
def test_a_faucet_that_can_not_be_read_costs_no_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy(tmp_path)
    (tmp_path / "data" / "faucet" / "faucet.json").write_text("{}")

    status(tmp_path)

    said = capsys.readouterr()
    assert "validator-2" in said.out
    assert "how many claims the faucet has left is not known" in said.err


def test_a_claim_is_what_the_faucet_is_told_to_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def balance(*_: str) -> str:
        await asyncio.sleep(0)
        return hex(1_000 * 10**18)

    monkeypatch.setattr(claims, "_balance", balance)
    deploy(tmp_path)
    file = tmp_path / "config" / "services.toml"

    before = claims.find_claims(tmp_path, "http://127.0.0.1:8545")
    file.write_text(file.read_text().replace("[faucet]\n", "[faucet]\ntokens_per_request = 50_000_000_000\n"))
    after = claims.find_claims(tmp_path, "http://127.0.0.1:8545")

    assert before is not None
    assert after is not None
    assert (before.claims_left, after.claims_left) == (10, 20)


@pytest.mark.parametrize("text", ["[faucet", "[faucet]\ntokens_per_request = 0\n", "faucet = 3\n"])
def test_a_file_that_says_no_amount_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "services.toml"
    file.write_text(text)

    with pytest.raises(InvalidInput, match=r"services\.toml"):
        claims.read_tokens_per_request([tmp_path / "missing.toml", file])
