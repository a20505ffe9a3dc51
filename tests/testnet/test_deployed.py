"""A deployment that runs as processes: the same keys, the same genesis and the same data as its containers have."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from metanode.errors import InvalidInput
from sdk.testnet.command.network import status
from sdk.testnet.deployment import deploy_testnet
from sdk.testnet.deployment.apply import deployed, local
from sdk.testnet.deployment.apply.supervisor import running_node
from sdk.testnet.deployment.plan import NetworkSpec, plan_network

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OFFSETS = range(2_400, 3_000, 50)
"""Beside those of `Testnet`; the ports stay below those that the system gives to outgoing connections."""


def free_offset() -> int:
    for offset in OFFSETS:
        try:
            local.check_ports(plan_network(NetworkSpec(port_offset=offset)).nodes)
        except InvalidInput:
            continue
        return offset
    raise AssertionError("no offset is free")


def rpc(url: str, method: str, *params: Any) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})  # noqa: S310 - our own node
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        return json.load(response)["result"]


@contextlib.contextmanager
def joined(guide: Path, folder: Path, *, offset: int) -> Iterator[str]:
    """One more node, made as "Add a validator" of the guide says; on this machine it needs ports of its own. Its JSON-RPC."""
    home = folder / "joining"
    home.mkdir()
    page = guide.read_text().partition("### Add a validator")[2]
    head, words, nodes = page.partition("<<'END'\n")[2].partition("\nEND\n")[0].partition("bootstrap_nodes")
    for port in (8545, 9100, 30303):
        head = re.sub(rf"\b{port}\b", str(port + offset), head)
    (home / "config.toml").write_text(head + words + nodes)
    shutil.copy(folder / "genesis" / "chain_specification.json", home)
    command = page.partition("\nEND\n")[2].partition("\n")[0].split()
    assert command[:2] == ["metanode", "node"]
    metanode = [sys.executable, "-c", "import sys; from metanode.cli import main; sys.exit(main())"]
    with (home / "node.log").open("wb") as log:
        node = subprocess.Popen([*metanode, *command[1:]], cwd=home, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{8545 + offset}"
    finally:
        node.terminate()
        node.wait(60)


def wait_until_at(url: str, height: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError, TypeError):
            if int(rpc(url, "eth_blockNumber"), 16) >= height:
                return
        assert time.monotonic() < deadline, f"not at block {height}"
        time.sleep(0.1)


@pytest.mark.timeout(300)
def test_a_deployment_runs_as_processes_stops_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {
        "num_validators": 4,
        "output_dir": tmp_path,
        "block_time_s": 1,
        "port_offset": free_offset(),
        "apply": "local",
    }
    try:
        first = deploy_testnet(**asked)
        assert first.status is not None
        url = first.status.nodes[0].rpc_url
        assert int(rpc(url, "eth_chainId"), 16) == 9999
        faucet = json.loads((tmp_path / "data" / "faucet" / "faucet.json").read_text())["address"]
        assert int(rpc(url, "eth_getBalance", f"0x{faucet}", "latest"), 16) == 10_000_000 * 10**18
        height = first.status.height
        assert height is not None

        with joined(first.guide, tmp_path, offset=asked["port_offset"] + 20) as own_url:
            wait_until_at(own_url, height + 2)
            block = hex(height + 2)
            assert rpc(own_url, "eth_getBlockByNumber", block, False) == rpc(
                url, "eth_getBlockByNumber", block, False
            )

        again = deploy_testnet(**asked)
        assert again.changed == ()
        assert again.status is not None
        assert {node.pid for node in again.status.nodes} == {node.pid for node in first.status.nodes}
        with pytest.raises(
            InvalidInput, match="a network of other parameters runs; stop it with `metanode down"
        ):
            deploy_testnet(**asked | {"port_offset": asked["port_offset"] + 1, "confirm_changes": True})
        with pytest.raises(InvalidInput, match="the chain has begun"):
            deploy_testnet(**asked | {"chain_id": 5, "confirm_changes": True})

        for port in (8080, 3000, 9545):
            with urllib.request.urlopen(
                f"http://127.0.0.1:{port + asked['port_offset']}/", timeout=10
            ) as page:
                assert page.status == 200
        status(tmp_path)
        shown = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
        assert ["dashboard", f"http://127.0.0.1:{3000 + asked['port_offset']}/dashboard", "running"] in shown
        assert ["faucet", f"http://127.0.0.1:{8080 + asked['port_offset']}", "running"] in shown
        operator = f"http://127.0.0.1:{8081 + asked['port_offset']}"
        assert ["faucet", "operator", operator] in shown
        assert "<h1>Operation</h1>" not in httpx.get(operator, follow_redirects=True).text
        password = (tmp_path / "secrets" / "faucet-operator.password").read_text().strip()
        with httpx.Client(base_url=operator, follow_redirects=True) as http:
            assert "<h1>Operation</h1>" in http.post("/login", data={"password": password}).text
        gateway = f"http://127.0.0.1:{8645 + asked['port_offset']}"
        assert int(rpc(gateway, "eth_blockNumber"), 16) > height
        assert deployed.stop(tmp_path)
        directory = deployed.directory_of(tmp_path)
        assert [running_node(directory, node.name) for node in first.plan.network.nodes] == [None] * 4
        back = deploy_testnet(**asked | {"port_offset": asked["port_offset"] + 1, "confirm_changes": True})
        assert back.status is not None
        assert back.status.height is not None
        assert back.status.height > height
        assert back.genesis_hash == first.genesis_hash
    finally:
        deployed.stop(tmp_path)
    assert (tmp_path / "data" / "validator-1" / "data" / "node.db").exists()
