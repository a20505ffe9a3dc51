"""Hardhat 3, unmodified, on the Node 22 of npm, against four real validators; the compiler is npm's solc."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.processes import Endpoint
from tests.acceptance.programs import Project, project

if TYPE_CHECKING:
    from tests.conftest import RunningNetwork

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def hardhat(network: RunningNetwork, accounts, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that is compiled."""
    made = project(
        "hardhat", tmp_path_factory.mktemp("hardhat") / "project",
        METANODE_URL=network.http_url, METANODE_KEY=accounts[6].private_key,
    )  # fmt: skip
    made.run("hardhat", "build")
    return made


def test_hardhat_runs_on_the_node_of_npm(hardhat: Project) -> None:
    assert hardhat.run("node", "--version").startswith("v22.")
    assert hardhat.run("hardhat", "--version").startswith("3.")


def test_contracts_are_compiled(hardhat: Project) -> None:
    for name in ("Counter", "Token"):
        artifact = json.loads((hardhat.path / f"artifacts/contracts/{name}.sol/{name}.json").read_text())
        assert len(artifact["bytecode"]) > 200


def test_ignition_deploys_and_goes_on_where_it_stopped(hardhat: Project, network: RunningNetwork) -> None:
    deploy = ("hardhat", "ignition", "deploy", "ignition/modules/Applications.ts", "--network", "metanode")

    first = hardhat.run(*deploy)

    assert "successfully deployed" in first
    told = json.loads((hardhat.path / "ignition/deployments/chain-1337/deployed_addresses.json").read_text())
    assert set(told) == {"Applications#Counter", "Applications#Token"}
    node = Endpoint(network.http_url)
    assert int(node.call("eth_getStorageAt", told["Applications#Counter"], "0x0", "latest"), 16) == 21
    assert "Nothing new to deploy" in hardhat.run(*deploy)


def test_a_script_reads_writes_and_reverts(hardhat: Project) -> None:
    told = hardhat.run("hardhat", "run", "scripts/flow.ts", "--network", "metanode")

    assert json.loads(told.splitlines()[-1]) == {
        "network": "metanode",
        "chain_id": 1337,
        "provider_chain_id": 1337,
        "has_base_fee": True,
        "fee_covers_base": True,
        "history": [3, 2],
        "transfer": ["success", 21000, "eip1559"],
        "doubled": 42,
        "event": 21,
        "revert": True,
        "gas_estimate_is_used": True,
    }


def test_the_console_reads(hardhat: Project) -> None:
    asked = '(await (await network.create()).provider.request({ method: "eth_chainId" }))\n'

    assert "'0x539'" in hardhat.run("hardhat", "console", "--network", "metanode", typed=asked)


def test_hardhats_own_chain_forks_the_network(hardhat: Project) -> None:
    told = hardhat.run("hardhat", "run", "scripts/fork.ts")

    assert json.loads(told.splitlines()[-1]) == {"chain_id": 1337, "mined": 4, "fork": 5, "network": 0}


def test_tests_run_on_the_live_network(hardhat: Project) -> None:
    told = hardhat.run("hardhat", "test", "nodejs", "--network", "metanode")

    assert "2 passing" in told


def test_helpers_of_hardhats_own_chain_are_refused(hardhat: Project) -> None:
    (hardhat.path / "scripts" / "mine.ts").write_text(
        'import { network } from "hardhat";\nawait (await network.create()).networkHelpers.mine();\n'
    )

    refused = hardhat.refused("hardhat", "run", "scripts/mine.ts", "--network", "metanode")

    assert "HHE60015" in refused
    assert "This helper can only be used with the Hardhat Network" in refused


def test_a_compiler_is_not_fetched(hardhat: Project) -> None:
    configuration = hardhat.path / "hardhat.config.ts"
    other = hardhat.path / "fetching.config.ts"
    other.write_text(re.sub(r"    path: .*\n", "", configuration.read_text()))

    # Nothing listens on port 1: as on a machine without access to the compiler's server.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:1")
    refused = hardhat.refused("hardhat", "--config", str(other), "build", "--force", **nowhere)

    assert "HHE905: Couldn't download compiler version list" in refused
