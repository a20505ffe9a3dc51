"""`metanode node` starts from each of the two files of the launch plan, once the two malformed addresses are corrected."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.acceptance.processes import (
    Endpoint,
    NodeProcess,
    free_ports,
    is_free,
    metanode,
    running,
    wait_height,
    wait_until,
)

from metanode.crypto.secp256k1 import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(300)

SEED = Path(__file__).parents[1] / "unit" / "node" / "seed"
CORRECTED = {
    "0x8ba1f109551bD432803012645Hac136c30d3b8b8": "0x8ba1f109551bd432803012645ac136c30d3b8b81",
    "0x9ca2e210662cBd432803012645Hac136c30d4c9c9": "0x9ca2e210662cbd432803012645ac136c30d4c9c9",
}
KEY = PrivateKey(b"\x31" * 32)
ENVIRONMENT = {
    "DB_PASSWORD": "hunter2",
    "VALIDATOR_PRIVATE_KEY": KEY.secret.hex(),
    "VALIDATOR_ADDRESS": "0x742d35cc6634c0532925a3b8d4c0b7c5c8c8b8b8",
}
SERVER_PORTS = {"rpc_port": 8545, "ws_port": 8546, "api_port": 9545, "dashboard_port": 3000}
P2P_PORT = 30303


def arguments(home: Path, *files: str, listen: str) -> tuple[dict[str, int], tuple[str, ...]]:
    """The command's arguments, and the ports; a last file moves only those ports that somebody on this machine has."""
    ports = {name: port if is_free(port) else free_ports(1)[0] for name, port in SERVER_PORTS.items()}
    p2p_port = P2P_PORT if is_free(P2P_PORT) else free_ports(1)[0]
    moved = [f"{name} = {port}" for name, port in ports.items() if port != SERVER_PORTS[name]]
    lines = ["[server]", *moved] if moved else []
    if p2p_port != P2P_PORT:
        lines += ["[p2p]", f'listen_address = "{listen}:{p2p_port}"']
    (home / "ports.toml").write_text("\n".join(lines) + "\n")
    names = [*files, *(["ports.toml"] if lines else [])]
    return ports, tuple(part for name in names for part in ("--config", name))


def write_seed(home: Path, name: str) -> None:
    text = (SEED / name).read_text()
    for wrong, right in CORRECTED.items():
        text = text.replace(wrong, right)
    (home / name).write_text(text)


@contextlib.contextmanager
def started(home: Path, *files: str, listen: str) -> Iterator[tuple[NodeProcess, dict[str, int]]]:
    for name in files:
        write_seed(home, name)
    ports, options = arguments(home, *files, listen=listen)
    node = NodeProcess(home, ports["rpc_port"], arguments=options, environment=ENVIRONMENT)
    with running([node]):
        yield node, ports


def test_as_they_stand_the_server_file_is_refused_for_its_two_addresses_alone(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text((SEED / "server.toml").read_text())

    finished = metanode("node", "--config", "server.toml", cwd=tmp_path, expect=1, **ENVIRONMENT)

    lines = finished.stderr.splitlines()
    assert len(lines) == 2
    for index, (line, wrong) in enumerate(zip(lines, CORRECTED, strict=True), start=1):
        assert f"server.toml: consensus.validators[{index}]: found '{wrong}', where 'H' at position" in line


def test_a_node_starts_from_the_server_file_and_serves_all_that_it_names(tmp_path: Path) -> None:
    with started(tmp_path, "server.toml", listen="127.0.0.1") as (node, ports):
        assert int(node.rpc.call("eth_chainId"), 16) == 1337
        assert int(node.rpc.block(0)["gasLimit"], 16) == 8_000_000
        assert len(node.rpc.call("ibft_getValidatorsByBlockNumber", "0x0")) == 3
        api = f"http://127.0.0.1:{ports['api_port']}/api/v1/status"

        def looked_at() -> dict[str, Any] | None:
            found: dict[str, Any] = httpx.get(api).json()["services"]
            return found if all(entry["reachable"] is not None for entry in found.values()) else None

        services = wait_until(looked_at, within_s=20.0, what="both databases were looked at")
        assert services["postgres"]["address"] == "db.parvyom.network:5432"
        assert services["redis"]["address"] == "cache.parvyom.network:6379"
        status = httpx.get(api).json()
        assert (status["network"], status["kind"]) == ("parvyom-testnet-v1", "testnet")
        assert "parvyom-testnet-v1" in httpx.get(f"http://127.0.0.1:{ports['dashboard_port']}/").text
        page = httpx.post(
            node.rpc.url,
            json={"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []},
            headers={"origin": "https://anywhere.example"},
        )
        assert page.headers["access-control-allow-origin"] == "*"
        assert "hunter2" not in node.log + json.dumps(status)


def test_a_node_starts_from_the_validator_file_while_no_bootstrap_host_resolves(tmp_path: Path) -> None:
    with started(tmp_path, "validator.toml", listen="0.0.0.0") as (node, _):
        wait_height([node.rpc], 2, within_s=30.0)
        wait_until(
            lambda: all(f"validator-{n}.parvyom.network" in node.log for n in (1, 2, 3)),
            within_s=20.0,
            what="each host that does not resolve is logged",
        )
        assert node.log.count("peer_dial_failed") >= 3
        assert node.rpc.block(1)["miner"] == ENVIRONMENT["VALIDATOR_ADDRESS"]
        head = node.rpc.height() or 0
        wait_height([node.rpc], head + 1, within_s=20.0)
        assert KEY.secret.hex() not in node.log


def test_a_node_starts_from_both_files_together(tmp_path: Path) -> None:
    with started(tmp_path, "server.toml", "validator.toml", listen="0.0.0.0") as (node, ports):
        status = httpx.get(f"http://127.0.0.1:{ports['api_port']}/api/v1/status").json()

        assert status["validator"].lower() == "0x" + KEY.address.hex()
        assert len(status["validators"]) == 3
        assert Endpoint(node.rpc.url).height() == 0
