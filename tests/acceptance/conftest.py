"""A network of four real processes, and what the clients need to use it."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sdk.testnet.deployment.apply import local
from sdk.testnet.deployment.apply.accounts import FundedAccount, funded_accounts
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.plan import PRESETS, NetworkPlan, NetworkSpec

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class RunningNetwork:
    """A network of real processes that has finalized its first block."""

    directory: NetworkDirectory
    plan: NetworkPlan

    @property
    def http_url(self) -> str:
        return self.url(0)

    @property
    def ws_url(self) -> str:
        return self.http_url.replace("http:", "ws:")

    def url(self, index: int) -> str:
        return f"http://127.0.0.1:{self.plan.nodes[index].rpc_port}"


def start(path: Path, **changes: object) -> RunningNetwork:
    """Make and start a network on ports of its own, and wait until it finalizes."""
    directory = NetworkDirectory(path)
    spec: NetworkSpec = replace(
        PRESETS["metanode-local"], port_offset=random.SystemRandom().randrange(1000, 9000), **changes
    )
    plan = local.create_network(directory, spec)
    local.start_network(directory)
    local.wait_network_ready(directory)
    return RunningNetwork(directory, plan)


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNetwork]:
    """One network for all tests that do not hurt it."""
    running = start(tmp_path_factory.mktemp("network"))
    yield running
    local.stop_network(running.directory)


@pytest.fixture
def own_network(tmp_path: Path) -> Iterator[RunningNetwork]:
    """A network of the test's own, to hurt."""
    running = start(tmp_path)
    yield running
    local.stop_network(running.directory)


@pytest.fixture(scope="session")
def accounts() -> tuple[FundedAccount, ...]:
    return funded_accounts()


@pytest.fixture(scope="session")
def counter() -> dict[str, object]:
    """ABI and bytecode of contracts/Counter.vy."""
    import vyper  # noqa: PLC0415 - the compiler takes a second to import

    source = (Path(__file__).parent / "contracts" / "Counter.vy").read_text()
    compiled = vyper.compile_code(source, output_formats=["abi", "bytecode"])
    return {"abi": compiled["abi"], "bytecode": compiled["bytecode"]}
