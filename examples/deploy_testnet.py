"""A test network from nothing: its files and keys, its validators as processes, a payout of its faucet, a look at its health, and its end.

    python examples/deploy_testnet.py                     # files in ./my-testnet, ports 8545 to 8549
    python examples/deploy_testnet.py --keep              # leave the validators running
    testnet status -d my-testnet; testnet down -d my-testnet

Without Docker: the same folder also holds the Compose file that starts the network as containers (TESTNET_DEPLOYMENT.md says how).
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import time
from pathlib import Path

import httpx

from metanode.errors import MetanodeError
from sdk.testnet import Faucet, FaucetConfig, GenesisConfig
from sdk.testnet.deployment import DeploymentResult, deploy_testnet
from sdk.testnet.deployment.apply import deployed
from sdk.testnet.monitoring import NodeHealth, TestnetMonitor


def deploy(folder: Path, *, validators: int, port_offset: int) -> DeploymentResult:
    """Write everything, and start the validators. A second call with the same parameters changes nothing."""
    made = deploy_testnet(
        network_name="my-testnet",
        chain_id=9999,
        num_validators=validators,
        output_dir=folder,
        port_offset=port_offset,
        apply="local",
        progress=lambda step: print(f"  {step}"),
    )
    print(f"{len(made.created)} files in {made.output_dir}, genesis {made.genesis_hash[:18]}…")
    config = GenesisConfig.load(made.output_dir / "genesis" / "genesis.json")
    for validator in config.initial_validators:
        print(f"  {validator.name}: {validator.address}, stake {validator.stake:,} tokens")
    assert made.status is not None
    print(f"all validators agree on block {made.status.height}")
    return made


async def pay(folder: Path, rpc_url: str) -> None:
    """Let the faucet pay somebody new, and see the coins arrive."""
    config = FaucetConfig(
        rpc_url=rpc_url,
        keystore=folder / "data" / "faucet" / "faucet.json",
        password_file=folder / "secrets" / "faucet.password",
        database_url=f"sqlite:///{folder / 'faucet.db'}",
    )
    somebody = "0x" + secrets.token_hex(20)
    async with Faucet(config) as faucet:
        answer = await faucet.request_tokens(somebody, "127.0.0.1")
    if not answer["success"]:
        raise SystemExit(f"the faucet refused: {answer['error']}")
    print(f"the faucet sends {answer['amount']:,} gwei to {somebody}: {answer['tx_hash']}")
    deadline = time.monotonic() + 30
    while call(rpc_url, "eth_getTransactionReceipt", answer["tx_hash"]) is None:
        if time.monotonic() > deadline:
            raise SystemExit("the payout is in no block after 30 s")
        await asyncio.sleep(0.2)
    balance_wei = int(call(rpc_url, "eth_getBalance", somebody, "latest"), 16)
    print(f"it has {balance_wei // 10**18} tokens now, final at once")


async def look(made: DeploymentResult) -> None:
    """Ask the nodes for their health."""
    assert made.status is not None
    monitor = TestnetMonitor()
    await monitor.start()
    try:
        for node in made.status.nodes:
            block = call(node.rpc_url, "eth_getBlockByNumber", "latest", False)
            monitor.update_node_health(
                NodeHealth(
                    node_id=node.name,
                    status="healthy",
                    last_block_height=int(block["number"], 16),
                    last_block_time=float(int(block["timestamp"], 16)),
                    peer_count=int(call(node.rpc_url, "net_peerCount"), 16),
                    sync_status="synced",
                )
            )
        metrics = monitor.calculate_network_metrics()
        print(
            f"{metrics.healthy_nodes} of {metrics.total_nodes} nodes are healthy, at block {metrics.current_height}"
        )
    finally:
        await monitor.stop()


def call(rpc_url: str, method: str, *params: object) -> object:
    """One call of a node's JSON-RPC."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = httpx.post(rpc_url, json=body, timeout=10).json()
    if "error" in answer:
        raise SystemExit(f"{method}: {answer['error']['message']}")
    return answer["result"]


def main() -> int:
    """Do all of it in a folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("my-testnet"))
    parser.add_argument("--validators", type=int, default=5)
    parser.add_argument("--port-offset", type=int, default=0, help="added to every port")
    parser.add_argument("--keep", action="store_true", help="leave the validators running")
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    try:
        made = deploy(folder, validators=asked.validators, port_offset=asked.port_offset)
        assert made.status is not None
        rpc_url = made.status.nodes[0].rpc_url
        asyncio.run(pay(folder, rpc_url))
        asyncio.run(look(made))
        print(f"JSON-RPC is at {rpc_url}; {made.guide} says the rest")
    except MetanodeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        if not asked.keep and deployed.directory_of(folder).exists():
            deployed.stop(folder)
            print("stopped; keys and chain are kept, and the next run goes on with them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
