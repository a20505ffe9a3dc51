"""The areas that the toolkit's document lists, against real parts: what it promises works for those who call it as it says."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import urllib.request
import warnings
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.acceptance.processes import NodeProcess, free_offset, free_ports, running, wait_height, wait_until

from metanode.chain.genesis import parse_genesis
from metanode.chain.quorum import QuorumRule
from metanode.crypto.addresses import format_address
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidGenesis, InvalidInput
from sdk.testnet import (
    BootstrapConfig,
    BootstrapNode,
    Faucet,
    FaucetConfig,
    GenesisConfig,
    GenesisGenerator,
    Testnet,
)
from sdk.testnet.deployment import DeploymentConfig, TestnetDeployer, deploy_testnet
from sdk.testnet.deployment.apply import deployed
from sdk.testnet.explorer import TestnetExplorer
from sdk.testnet.faucet.clock import FaucetClock
from sdk.testnet.genesis import (
    AccountConfig,
    ConsensusConfig,
    GenesisWarning,
    NetworkConfig,
    ValidatorConfig,
)
from sdk.testnet.monitoring import NetworkMetrics, NodeHealth, TestnetMonitor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = PrivateKey(b"\x07" * 32)
ADDRESS = format_address(KEY.address)
PUBLIC_KEY = "0x" + KEY.public_key.hex()


def rpc(url: str, method: str, *params: Any) -> Any:
    """One JSON-RPC call."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})  # noqa: S310 - our own node
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        return json.load(response)["result"]


def random_address() -> str:
    return format_address(secrets.token_bytes(20))


class TestGenesis:
    def test_validator_config(self) -> None:
        validator = ValidatorConfig(address=ADDRESS, stake=1_000_000, public_key=PUBLIC_KEY, name="A name")

        assert (validator.address, validator.stake, validator.name) == (ADDRESS, 1_000_000, "A name")
        assert validator.to_dict() == {
            "address": ADDRESS,
            "stake": 1_000_000,
            "public_key": PUBLIC_KEY,
            "name": "A name",
        }

    def test_account_config(self) -> None:
        account = AccountConfig(address=ADDRESS, balance=10**9, nonce=0)

        assert account.to_dict() == {"address": ADDRESS, "balance": 10**9, "nonce": 0}

    def test_genesis_config_creation(self) -> None:
        config = GenesisConfig(
            chain_id=9999,
            network_name="test",
            genesis_time="2026-01-05T00:00:00Z",
            consensus=ConsensusConfig(),
            network=NetworkConfig(chain_id=9999, network_name="test"),
        )

        assert (config.initial_validators, config.initial_accounts) == ([], [])
        assert (config.total_supply, config.decimals) == (1_000_000_000, 18)
        assert '"chain_id": 9999' in config.to_json()
        assert GenesisConfig.from_dict(config.to_dict()) == config

    def test_genesis_generator(self) -> None:
        generator = GenesisGenerator()
        config = generator.create_testnet_config(
            chain_id=9999, network_name="test-network", validator_count=3
        )

        assert config is generator.config
        assert (config.chain_id, config.network_name) == (9999, "test-network")
        assert [validator.stake for validator in config.initial_validators] == [10_000_000] * 3
        assert len({validator.address for validator in config.initial_validators}) == 3
        assert [account.balance for account in config.initial_accounts] == [10_000_000 * 10**9]
        assert generator.validate_config() == []

    def test_add_validator(self) -> None:
        generator = GenesisGenerator()
        generator.create_testnet_config(validator_count=2)

        generator.add_validator(address="0xtest", stake=1, public_key="0xpubkey", name="New")

        assert generator.config is not None
        assert len(generator.config.initial_validators) == 3
        fields = [sentence.split(":")[0] for sentence in generator.validate_config()]
        assert fields == [f"initial_validators[2].{name}" for name in ("address", "public_key", "stake")]

    def test_genesis_block_generation(self) -> None:
        generator = GenesisGenerator()
        generator.create_testnet_config()

        block = generator.generate_genesis_block()

        assert block.header.height == 0
        assert block.header.previous_hash == bytes(32)
        assert block.transactions == []
        assert block.hash == generator.generate_genesis_block().hash

    def test_genesis_export(self, tmp_path: Path) -> None:
        generator = GenesisGenerator()
        config = generator.create_testnet_config()

        generator.export_config(tmp_path / "genesis")

        files = {path.name for path in (tmp_path / "genesis").iterdir()}
        assert files == {
            "genesis.json",
            "genesis_block.json",
            "validators.json",
            "chain_specification.json",
            "keys",
        }
        assert GenesisConfig.load(tmp_path / "genesis" / "genesis.json") == config
        parsed = parse_genesis((tmp_path / "genesis" / "chain_specification.json").read_bytes())
        block = json.loads((tmp_path / "genesis" / "genesis_block.json").read_text())
        assert block["hash"] == block["header"]["hash"] == "0x" + parsed.hash.hex()
        assert parsed.hash == generator.generate_genesis_block().hash
        assert (parsed.parameters.quorum_rule, parsed.parameters.period_s) == (QuorumRule.STAKE, 12)

    @pytest.mark.timeout(120)
    def test_a_node_starts_from_the_export_and_votes_weigh_as_the_stakes_say(self, tmp_path: Path) -> None:
        """One of three has five sevenths of the stake, so it decides alone."""
        generator = GenesisGenerator()
        config = generator.create_testnet_config(chain_id=4242, network_name="exported", validator_count=3)
        for validator, stake in zip(
            config.initial_validators, (5_000_000, 1_000_000, 1_000_000), strict=True
        ):
            validator.stake = stake
        config.consensus.slot_duration = 1
        generator.add_account(ADDRESS, balance=1_500_000_000, nonce=7)
        generator.export_config(tmp_path / "genesis", keys_dir=tmp_path / "data")
        block = generator.generate_genesis_block()
        home = tmp_path / "data" / "validator-1"
        rpc_port, p2p_port = free_ports(2)
        (home / "config.toml").write_text(
            f'[server]\nrpc_port = {rpc_port}\n[p2p]\nlisten_address = "127.0.0.1:{p2p_port}"\n'
            '[validator]\nenabled = true\nvalidator_key = "keystore:validator.json"\n'
        )
        specification = tmp_path / "genesis" / "chain_specification.json"
        node = NodeProcess(home, rpc_port, arguments=(str(home), "--genesis", str(specification)))

        with running([node]):
            wait_height([node.rpc], 2, within_s=30.0)
            assert node.rpc.call("eth_chainId") == hex(4242)
            assert node.rpc.block_hash(0) == "0x" + block.header.execution_hash.hex()
            assert node.rpc.block(0)["stateRoot"] == "0x" + block.header.state_root.hex()
            assert node.rpc.call("eth_getBalance", ADDRESS, "0x0") == hex(15 * 10**17)
            assert node.rpc.call("eth_getTransactionCount", ADDRESS, "0x0") == hex(7)
            # The child of the genesis names it by its consensus hash.
            assert node.rpc.block(1)["parentBeaconBlockRoot"] == "0x" + block.hash.hex()

    @pytest.mark.timeout(120)
    def test_a_genesis_with_problems_is_written_without_what_nodes_start_from(self, tmp_path: Path) -> None:
        generator = GenesisGenerator()
        generator.create_testnet_config()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            generator.export_config(tmp_path)
        generator.add_validator(address="0x1234...", stake=5_000_000, public_key="0xabcd...", name="Mine")

        with pytest.warns(GenesisWarning) as caught:
            generator.export_config(tmp_path)

        for problem in generator.validate_config():
            assert problem in str(caught[0].message)
        files = {path.name for path in tmp_path.iterdir()}
        assert files == {"genesis.json", "validators.json", "keys"}
        assert json.loads((tmp_path / "validators.json").read_text())["validators"][5]["name"] == "Mine"
        with pytest.raises(InvalidGenesis, match=r"initial_validators\[5\]\.address: .*0x1234\.\.\."):
            generator.generate_genesis_block()
        node = NodeProcess(
            tmp_path, rpc_port=0, arguments=(str(tmp_path), "--genesis", str(tmp_path / "genesis.json"))
        )
        (tmp_path / "config.toml").write_text("[network]\n")
        node.start()
        wait_until(
            lambda: node.process is not None and node.process.poll() is not None,
            within_s=30.0,
            what="the node refuses the genesis",
        )
        assert node.wait_end(within_s=1.0) != 0
        assert "nodes start from its chain specification" in node.log
        node.close()


@pytest.fixture(scope="module")
def faucet() -> Iterator[Faucet]:
    faucet = Faucet(FaucetConfig(max_requests_per_network=1000))
    yield faucet
    asyncio.run(faucet.close())


class TestFaucet:
    """On a chain of its own: a real validator, real transfers."""

    @staticmethod
    def balance_of(faucet: Faucet, address: str) -> int:
        assert faucet.rpc_url is not None
        return int(rpc(faucet.rpc_url, "eth_getBalance", address, "latest"), 16)

    def test_faucet_config(self) -> None:
        config = FaucetConfig()

        assert (config.tokens_per_request, config.cooldown_period) == (100_000_000_000, 3600)
        assert (config.max_requests_per_address, config.max_requests_per_ip, config.daily_limit) == (
            3,
            5,
            1000,
        )

    def test_token_request(self, faucet: Faucet) -> None:
        address = random_address()

        result = asyncio.run(faucet.request_tokens(address, "192.168.1.1"))

        assert result["success"], result
        assert result["amount"] == 100_000_000_000
        assert result["error"] is None
        wait_until(lambda: self.balance_of(faucet, address) == 100 * 10**18, within_s=20, what="the coins")
        assert faucet.rpc_url is not None
        assert rpc(faucet.rpc_url, "eth_getTransactionReceipt", result["tx_hash"])["status"] == "0x1"

    def test_two_hundred_parallel_requests_for_one_address_pay_its_limit(self, faucet: Faucet) -> None:
        address = random_address()

        async def ask() -> list[dict[str, Any]]:
            async with asyncio.TaskGroup() as tasks:
                asked = [
                    tasks.create_task(faucet.request_tokens(address, f"10.0.{number}.1"))
                    for number in range(200)
                ]
            return [task.result() for task in asked]

        results = asyncio.run(ask())

        assert sum(result["success"] for result in results) == 3
        (reason,) = {result["error"].split(";")[0] for result in results if not result["success"]}
        assert reason == "Too many requests for this address: 3 in 1 h at most"
        wait_until(lambda: self.balance_of(faucet, address) == 300 * 10**18, within_s=20, what="the coins")

    def test_address_rate_limit(self, faucet: Faucet) -> None:
        address = random_address()
        for number in range(3):
            assert asyncio.run(faucet.request_tokens(address, f"10.1.{number}.1"))["success"]

        allowed, reason = faucet.can_request(address, "10.1.9.1")

        assert not allowed
        assert "Too many requests" in reason
        info = faucet.get_address_info(address)
        assert (info["address"], info["total_requests"], info["can_request"]) == (address, 3, False)

    def test_ip_rate_limit(self, faucet: Faucet) -> None:
        results = [asyncio.run(faucet.request_tokens(random_address(), "10.2.0.1")) for _ in range(6)]

        assert [result["success"] for result in results] == [True] * 5 + [False]
        assert "Too many requests from this IP address" in results[5]["error"]
        assert 0 < results[5]["retry_after_s"] <= 3600

    def test_blocking(self, faucet: Faucet) -> None:
        address = random_address()
        faucet.block_address(address)
        faucet.block_ip("10.3.0.1")
        try:
            assert address in faucet.blocked_addresses
            assert address.lower() in faucet.blocked_addresses
            assert "blocked" in faucet.can_request(address, "10.3.0.2")[1]
            assert "blocked" in faucet.can_request(random_address(), "10.3.0.1")[1]
            assert not asyncio.run(faucet.request_tokens(address, "10.3.0.2"))["success"]
        finally:
            assert faucet.unblock_address(address)
            assert faucet.unblock_ip("10.3.0.1")
        assert faucet.can_request(address, "10.3.0.1") == (True, "")

    def test_allowing(self, faucet: Faucet) -> None:
        address = random_address()
        faucet.allow_ip("10.5.0.0/24")
        try:
            answers = [asyncio.run(faucet.request_tokens(address, "10.5.0.7")) for _ in range(6)]
        finally:
            assert faucet.disallow_ip("10.5.0.0/24")

        assert [answer["success"] for answer in answers] == [True] * 6
        assert (faucet.get_address_info(address)["total_requests"], faucet.can_request(address)) == (
            6,
            (True, ""),
        )
        wait_until(lambda: self.balance_of(faucet, address) == 600 * 10**18, within_s=20, what="the coins")

    def test_statistics(self, faucet: Faucet) -> None:
        before = faucet.get_stats()

        asyncio.run(faucet.request_tokens(random_address(), "10.4.0.1"))
        asyncio.run(faucet.request_tokens("0xnonsense", "10.4.0.1"))
        after = faucet.get_stats()

        grown = {name: after[name] - before[name] for name in ("total_requests", "successful_requests")}
        assert grown == {"total_requests": 2, "successful_requests": 1}
        assert after["rejected_requests"] - before["rejected_requests"] == 1
        assert after["total_tokens_distributed"] - before["total_tokens_distributed"] == 100_000_000_000
        assert (faucet.request_count, faucet.total_distributed) == (
            after["total_requests"],
            after["total_tokens_distributed"],
        )

    @pytest.mark.parametrize(
        ("address", "ip_address", "text"),
        [
            ("", "10.5.0.1", "address: "),
            ("0x12", "10.5.0.1", "address: expected 20 bytes"),
            (
                "0xF39fd6e51aad88F6F4ce6aB8827279cffFb92266",
                "10.5.0.1",
                "write 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
            ),
            ("0x" + 40 * "0", "10.5.0.1", "zero address"),
            ("0x" + 39 * "0" + "a", "10.5.0.1", "the recipient does not take coins"),
            ("0x" + 40 * "7", "localhost", "ip_address: expected an IPv4 or IPv6 address, found 'localhost'"),
        ],
    )
    def test_bad_requests(self, faucet: Faucet, address: str, ip_address: str, text: str) -> None:
        result = asyncio.run(faucet.request_tokens(address, ip_address))

        assert (result["success"], result["amount"], result["tx_hash"]) == (False, 0, None)
        assert text in result["error"]

    def test_its_chain_starts_at_the_first_request_and_cleanup_keeps_what_was_paid(self) -> None:
        """A month later nothing counts in any limit: the requests go, with all that they say of clients; the payouts stay."""
        faucet, address = Faucet(), random_address()
        try:
            assert faucet.rpc_url is None
            assert asyncio.run(faucet.request_tokens(address, "10.5.0.1"))["success"]
            assert faucet.rpc_url is not None
            assert int(rpc(faucet.rpc_url, "eth_chainId"), 16) > 0
            assert asyncio.run(faucet.request_tokens(address, "10.5.0.1"))["success"]
            history = faucet.get_history()

            assert faucet.cleanup() == 0
            month_later_ms = faucet._clock.now_ms() + 31 * 86_400_000
            faucet._clock = FaucetClock(month_later_ms)
            assert faucet.cleanup() == 2
            assert faucet.cleanup() == 0

            assert len(history) == 2
            assert faucet.get_history() == history

            # Nobody has to call it: the first request of each hour does.
            faucet._cleaned_s = float("-inf")
            assert asyncio.run(faucet.request_tokens(address, "10.5.0.1"))["success"]
            assert faucet.cleanup() == 0
        finally:
            asyncio.run(faucet.close())


class TestBootstrap:
    """A node on real sockets, with a registry of what others say of themselves."""

    def test_bootstrap_config(self) -> None:
        config = BootstrapConfig()

        assert (config.listen_port, config.max_peers, config.peer_timeout) == (30303, 1000, 3600)

    def test_peer_registration(self) -> None:
        node = BootstrapNode(BootstrapConfig(chain_id=9999))

        assert node.register_peer(node_id="validator-1", address="192.168.1.100", port=30303, version="1.0.0")
        assert list(node.peers) == ["validator-1"]
        (peer,) = node.get_peers()
        assert (peer.node_id, peer.address, peer.port, peer.verified) == (
            "validator-1",
            "192.168.1.100",
            30303,
            False,
        )

    def test_peer_removal(self) -> None:
        node = BootstrapNode(BootstrapConfig())
        node.register_peer(node_id="validator-1", address="192.168.1.100", port=30303)

        assert node.remove_peer("validator-1")
        assert not node.remove_peer("validator-1")
        assert node.get_peers() == []

    def test_peer_discovery_leaves_out_who_asks_and_has_a_bound(self) -> None:
        node = BootstrapNode(BootstrapConfig())
        for number in range(5):
            node.register_peer(node_id=f"validator-{number}", address=f"192.168.1.{number + 1}", port=30303)

        found = node.get_peers(max_count=10, exclude={"validator-2"})

        assert {peer.node_id for peer in found} == {f"validator-{number}" for number in (0, 1, 3, 4)}
        assert len(node.get_peers(max_count=3)) == 3

    def test_max_peers_is_kept(self) -> None:
        node = BootstrapNode(BootstrapConfig(max_peers=2))

        taken = [
            node.register_peer(node_id=f"node-{number}", address=f"10.{number}.0.1", port=30303)
            for number in range(3)
        ]

        assert taken == [True, True, False]
        assert len(node.peers) == 2

    def test_lifecycle_and_statistics(self) -> None:
        async def live() -> None:
            node = BootstrapNode(BootstrapConfig(listen_port=0))
            assert not node.running
            await node.start()
            try:
                assert node.running
                node.register_peer(node_id="validator-1", address="192.168.1.100", port=30303)
                stats = node.get_stats()
                assert (stats["active_peers"], stats["total_peers_seen"]) == (1, 1)
                assert stats["uptime_seconds"] >= 0
            finally:
                await node.stop()
            assert not node.running

        asyncio.run(live())

    def test_a_real_node_finds_the_bootstrap_node_and_is_listed_after_a_proof(self, tmp_path: Path) -> None:
        """The validator knows nobody but the bootstrap node, which lists it once it has answered from where it says it is."""

        async def meet() -> None:
            generator = GenesisGenerator()
            generator.create_testnet_config(chain_id=4243, validator_count=1)
            generator.export_config(tmp_path / "genesis", keys_dir=tmp_path / "data")
            home = tmp_path / "data" / "validator-1"
            rpc_port, p2p_port = free_ports(2)
            async with BootstrapNode(BootstrapConfig(listen_port=0, chain_id=4243)) as bootstrap:
                (home / "config.toml").write_text(
                    f'[server]\nrpc_port = {rpc_port}\n[p2p]\nlisten_address = "127.0.0.1:{p2p_port}"\n'
                    f'bootstrap_nodes = ["{bootstrap.enode}"]\n'
                    '[validator]\nenabled = true\nvalidator_key = "keystore:validator.json"\n'
                )
                specification = tmp_path / "genesis" / "chain_specification.json"
                node = NodeProcess(home, rpc_port, arguments=(str(home), "--genesis", str(specification)))
                with running([node]):
                    async with asyncio.timeout(30):
                        while not any(
                            peer.verified and peer.port == p2p_port for peer in bootstrap.get_peers()
                        ):
                            await asyncio.sleep(0.05)

        asyncio.run(meet())


async def watch_one_die(net: Testnet, missed: Event) -> None:
    """A monitor of two nodes sees both, and then that one is dead: at once in its figures, and as an alert when that has lasted half a minute."""
    monitor = TestnetMonitor(endpoints=[node.rpc_url for node in net.nodes])
    await monitor.start()
    try:
        async with asyncio.timeout(30):
            while monitor.calculate_network_metrics().healthy_nodes < 2:
                await asyncio.sleep(0.1)
        assert monitor.calculate_network_metrics().current_height >= 1
        net.node(1).kill()
        async with asyncio.timeout(45):
            while monitor.calculate_network_metrics().healthy_nodes != 1:
                await asyncio.sleep(0.1)
            missed.set()
            while not monitor.alerts:
                await asyncio.sleep(0.1)
    finally:
        await monitor.stop()


@pytest.fixture(scope="module", autouse=True)
def missed() -> Iterator[Event]:
    """Is set when a monitor misses a node. The half minute that its alert waits passes beside the other tests; without the alert this fails at their end."""
    is_missed = Event()

    def watch() -> None:
        with Testnet(2, block_time_s=1, in_memory=True) as net:
            asyncio.run(watch_one_die(net, is_missed))

    with ThreadPoolExecutor(1) as thread:
        watching = thread.submit(watch)
        yield is_missed
        watching.result(timeout=90)


class TestMonitoring:
    """Fed by hand, as the document shows it; on real nodes in `tests/integration/test_monitoring_nodes.py`."""

    @staticmethod
    def health(node_id: str = "validator-1", **changes: Any) -> NodeHealth:
        fields: dict[str, Any] = {
            "node_id": node_id, "status": "healthy", "last_block_height": 1000, "last_block_time": time.time(), "peer_count": 10,
            "sync_status": "synced", "cpu_usage": 45.2, "memory_usage": 62.5,
        }  # fmt: skip
        return NodeHealth(**{**fields, **changes})

    def test_node_health(self) -> None:
        health = self.health()

        assert health.to_dict()["node_id"] == "validator-1"
        assert health.to_dict()["cpu_usage"] == 45.2

    def test_monitor_starts_and_takes_healths(self) -> None:
        async def use() -> NetworkMetrics:
            monitor = TestnetMonitor()
            await monitor.start()
            for number in range(1, 5):
                monitor.update_node_health(
                    self.health(f"validator-{number}", last_block_height=1000 + number)
                )
            monitor.update_node_health(self.health("validator-4", status="offline"))
            assert monitor.get_node_health("validator-1") is monitor.nodes["validator-1"]
            assert monitor.get_dashboard_data()["verdict"]["state"] == "DEGRADED"
            assert {alert.name for alert in monitor.alerts} == {"NodeDown", "QuorumMarginZero"}
            metrics = monitor.calculate_network_metrics()
            await monitor.stop()
            return metrics

        metrics = asyncio.run(use())

        assert (metrics.total_nodes, metrics.healthy_nodes) == (4, 3)
        assert (metrics.total_validators, metrics.active_validators, metrics.current_height) == (4, 3, 1003)

    def test_network_metrics(self) -> None:
        metrics = NetworkMetrics(
            total_nodes=5, healthy_nodes=4, total_validators=3, active_validators=3, current_height=1000, avg_block_time=2.0,
            total_transactions=5000, tps=2.5,
        )  # fmt: skip

        assert metrics.to_dict()["total_nodes"] == 5

    def test_explorer(self) -> None:
        explorer = TestnetExplorer()
        for height in range(20):
            explorer.add_block({"height": height, "hash": f"0x{height:064x}", "transactions": []})

        assert len(explorer.blocks) == 20
        assert explorer.get_block(7) == explorer.blocks[7]
        assert [block["height"] for block in explorer.get_latest_blocks(5)] == [19, 18, 17, 16, 15]

    def test_monitor_polls_real_nodes_and_notices_the_dead_one(self, missed: Event) -> None:
        """The alert comes after half a minute: `missed` waits for it when all tests are through."""
        assert missed.wait(timeout=60)


class TestDeployment:
    """Files in a directory, and processes that run from them. Containers have a script of their own, `deploy/`."""

    def test_deployment_config(self, tmp_path: Path) -> None:
        config = DeploymentConfig("test-network", 9999, 3, tmp_path / "genesis", tmp_path / "data")

        assert (config.network_name, config.chain_id, config.num_validators) == ("test-network", 9999, 3)

    def test_deployer_prepares_genesis_directories_compose_file_and_guide(self, tmp_path: Path) -> None:
        deployer = TestnetDeployer(
            DeploymentConfig("test-network", 9999, 3, tmp_path / "genesis", tmp_path / "data")
        )

        config = deployer.prepare_genesis()
        folders = deployer.setup_directories()
        compose = deployer.generate_docker_compose()
        guide = deployer.generate_documentation()

        assert [validator.stake for validator in config.initial_validators] == [10_000_000] * 3
        assert folders == [tmp_path / "data" / f"validator-{number}" for number in (1, 2, 3)]
        assert all((folder / "validator.json").stat().st_mode & 0o077 == 0 for folder in folders)
        services = yaml.safe_load(compose.read_text())["services"]
        assert {"bootstrap", "validator-1", "validator-2", "validator-3"} <= set(services)
        assert guide.name == "TESTNET_DEPLOYMENT.md"
        assert "9999" in guide.read_text()

    def test_a_second_deployment_changes_nothing_and_another_says_what_it_would_change(
        self, tmp_path: Path
    ) -> None:
        first = deploy_testnet("test-network", 9999, 2, output_dir=tmp_path)
        files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

        second = deploy_testnet("test-network", 9999, 2, output_dir=tmp_path)
        with pytest.raises(InvalidInput, match="num_validators: 2 -> 3"):
            deploy_testnet("test-network", 9999, 3, output_dir=tmp_path)

        assert second.genesis_hash == first.genesis_hash
        assert (second.created, second.changed) == ((), ())
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files

    @pytest.mark.timeout(120)
    def test_a_deployment_starts_as_processes(self, tmp_path: Path) -> None:
        made = deploy_testnet(
            "test-network",
            9999,
            2,
            output_dir=tmp_path,
            port_offset=free_offset(),
            apply="local",
            block_time_s=1,
        )
        try:
            assert made.status is not None
            assert made.status.height >= 1
            for node in made.status.nodes:
                assert rpc(node.rpc_url, "eth_chainId") == hex(9999)
        finally:
            deployed.stop(tmp_path)
