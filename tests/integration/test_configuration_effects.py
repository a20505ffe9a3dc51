"""Every key of the configuration is changed, and its effect seen: in really started nodes, or in what they are built from.

Three nodes run: `changed`, a validator whose file sets everything to other values than the defaults; `follower`, which follows it;
and `idle`, which has a validator key and `mining.enabled = false`.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_account import Account
from pydantic import BaseModel
from tests.acceptance.processes import (
    Endpoint,
    NodeProcess,
    RPCError,
    free_ports,
    running,
    wait_height,
    wait_until,
)

from metanode.crypto.keystore import SCRYPT_N_LOCAL, save_key, write_secret_file
from metanode.crypto.secp256k1 import PrivateKey
from metanode.node import app
from metanode.node.config import ConfigError, NodeConfig, load_config
from metanode.node.genesis_source import find_genesis
from metanode.p2p.rlpx.handshake import NodeKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)

VALIDATOR, IDLE, NODE = (PrivateKey(bytes([n]) * 32) for n in (0x21, 0x22, 0x23))
RICH = Account.from_key("0x" + "55" * 32)
"""Gets the rewards, so that it can pay for transactions."""
SENTRY = f"enode://{VALIDATOR.public_key.hex()}@127.0.0.5:9"
"""Nobody is there; `tests/integration/test_sentries.py` has one that lives."""
OTHER_ADDRESS = "0x" + "11" * 20
GENESIS_TIME = int(time.time()) - 3600
REWARD_GWEI = 3_000_000_000
PASSWORD = "correct horse"
TIP_WEI = 5 * 10**9

CHANGED = """
[network]
network = "devnet"
chain_id = 4242
network_id = "effects"
public_rpc = true
cors_origins = ["https://app.example"]
[server]
bind_address = "127.0.0.2"
rpc_port = {rpc}
ws_port = {ws}
private_port = {private}
metrics_port = {metrics}
metrics_address = "127.0.0.3"
api_port = {api}
dashboard_port = {dashboard}
namespaces = ["eth", "net", "web3", "txpool", "ibft"]
allowed_hosts = ["rpc.example"]
trusted_proxies = ["10.9.0.0/16"]
connections_max = 12
connections_per_address_max = 7
requests_per_address_per_second = 500
[database]
postgres_url = "postgresql://alice:hunter2@127.0.0.1:{postgres}/faucet"
redis_url = "redis://:hunter3@127.0.0.1:{redis}/0"
[consensus]
algorithm = "ibft"
block_time = 1
validators = ["{validator}"]
genesis_time = {genesis_time}
[mining]
enabled = true
rewards = true
block_reward_gwei = {reward}
gas_limit = 12_345_678
[validator]
enabled = true
validator_key = "keystore:key.json"
password_file = "elsewhere.txt"
coinbase = "{coinbase}"
[p2p]
listen_address = "127.0.0.4:{p2p}"
advertised_address = "node.example:31000"
max_peers = 1
discovery = false
node_key = "own.key"
[storage]
directory = "chain"
cache_mib = 33
history_blocks = 777
[txpool]
pending_max = 3
queued_max = 2
minimum_tip_wei = {tip}
[log]
level = "debug"
format = "json"
"""

SAME_NETWORK = """
[network]
network_id = "effects"
chain_id = 4242
[consensus]
block_time = 1
validators = ["{validator}"]
genesis_time = {genesis_time}
[mining]
rewards = true
block_reward_gwei = {reward}
gas_limit = 12_345_678
"""


@dataclass(frozen=True)
class World:
    """What runs, and how the changed node was told."""

    changed: NodeProcess
    follower: NodeProcess
    idle: NodeProcess
    ports: dict[str, int]
    file: Path

    @property
    def rpc(self) -> Endpoint:
        return Endpoint(self.url("rpc"))

    def url(self, name: str, host: str = "127.0.0.2") -> str:
        return f"http://{host}:{self.ports[name]}"

    def status(self, host: str = "127.0.0.2") -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(self.url("api", host) + "/api/v1/status").json()
        return found

    def metric(self, name: str) -> str:
        text = httpx.get(self.url("metrics", "127.0.0.3") + "/metrics").text
        return next(line for line in text.splitlines() if line.startswith(name))

    def node_info(self) -> dict[str, Any]:
        found: dict[str, Any] = Endpoint(self.url("private", "127.0.0.1")).call("admin_nodeInfo")
        return found

    def inputs(self) -> Any:
        """What the composition root builds the parts from."""
        config = load_config([self.file]).config
        found = find_genesis(config, home=self.file.parent, genesis_file=None, own_address=None)
        return app._Inputs(
            config=config,
            home=self.file.parent,
            data=self.file.parent / "chain",
            genesis=found.genesis,
            genesis_document=found.document,
            validator_key=VALIDATOR,
            node_key=NodeKey(NODE.secret),
            sign_without_watermark=False,
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("changed")
    names = ("rpc", "ws", "private", "metrics", "api", "dashboard", "p2p", "redis")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    with socket.create_server(("127.0.0.1", 0)) as postgres:
        ports["postgres"] = postgres.getsockname()[1]
        values: dict[str, object] = {
            "validator": "0x" + VALIDATOR.address.hex(), "genesis_time": GENESIS_TIME, "reward": REWARD_GWEI,
            "coinbase": RICH.address, "tip": TIP_WEI,
        }  # fmt: skip
        (home / "config.toml").write_text(CHANGED.format(**values, **ports))
        save_key(home / "key.json", VALIDATOR, PASSWORD, scrypt_n=SCRYPT_N_LOCAL)
        write_secret_file(home / "elsewhere.txt", PASSWORD.encode())
        write_secret_file(home / "own.key", NODE.secret.hex().encode())
        changed = NodeProcess(home, ports["rpc"])
        enode = f"enode://{NODE.public_key.hex()}@127.0.0.4:{ports['p2p']}"
        follower = _node(
            tmp_path_factory.mktemp("follower"),
            SAME_NETWORK.format(**values),
            server='bind_address = "127.0.0.2"\n',
            p2p=f'bootstrap_nodes = ["{enode}"]\n',
        )
        idle = _node(
            tmp_path_factory.mktemp("idle"),
            SAME_NETWORK.format(**values) + "enabled = false\n",
            after='[validator]\nenabled = true\nvalidator_key = "${IDLE_KEY}"\n',
            p2p=f'sentries = ["{SENTRY}"]\n',
        )
        idle.environment["IDLE_KEY"] = IDLE.secret.hex()
        with running([changed, follower, idle]):
            found = World(changed, follower, idle, ports, home / "config.toml")
            wait_height([found.rpc], 3, within_s=30.0)
            yield found


def _node(home: Path, network: str, *, server: str = "", p2p: str = "", after: str = "") -> NodeProcess:
    rpc, p2p_port, metrics = free_ports(3)
    (home / "config.toml").write_text(
        f"{network}{after}[server]\nrpc_port = {rpc}\nmetrics_port = {metrics}\n{server}"
        f'[p2p]\nlisten_address = "127.0.0.1:{p2p_port}"\n{p2p}'
    )
    node = NodeProcess(home, rpc)
    node.environment["METRICS"] = str(metrics)  # Kept for the tests; the node does not read it.
    return node


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(RPCError) as caught:
        call()
    return caught.value.message


def is_open(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=2.0):
        return True
    return False


def role_of(node: NodeProcess) -> str:
    text = httpx.get(f"http://127.0.0.1:{node.environment['METRICS']}/metrics").text
    return next(line for line in text.splitlines() if line.startswith("metanode_node_info{"))


# --- [network] -------------------------------------------------------------------------------------------------------------------------


def network_network(world: World) -> None:
    assert 'network="devnet"' in world.metric("metanode_node_info{")
    assert world.status()["kind"] == "devnet"
    assert world.rpc.call("web3_clientVersion").split("/")[1].endswith("-devnet")


def network_chain_id(world: World) -> None:
    assert world.rpc.call("eth_chainId") == hex(4242)
    assert world.rpc.call("net_version") == "4242"


def network_network_id(world: World) -> None:
    assert world.status()["network"] == "effects"
    # Another name is another network: its genesis differs, and peers of the other are refused.
    renamed = world.file.read_text().replace('network_id = "effects"', 'network_id = "other"')
    other = world.file.with_name("renamed.toml")
    other.write_text(renamed)
    first, second = (
        find_genesis(
            load_config([file]).config, home=world.file.parent, genesis_file=None, own_address=None
        ).genesis.hash
        for file in (world.file, other)
    )
    assert first != second


def network_public_rpc(world: World) -> None:
    assert is_open("127.0.0.2", world.ports["rpc"])
    # The follower has the same bind_address, and the default: its RPC stays on 127.0.0.1.
    assert is_open("127.0.0.1", world.follower.rpc_port)
    assert not is_open("127.0.0.2", world.follower.rpc_port)


def network_cors_origins(world: World) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    headers = [
        httpx.post(world.url("rpc"), json=call, headers={"origin": origin}).headers.get(
            "access-control-allow-origin"
        )
        for origin in ("https://app.example", "https://evil.example")
    ]
    assert headers == ["https://app.example", None]


# --- [server] --------------------------------------------------------------------------------------------------------------------------


def server_bind_address(world: World) -> None:
    for name in ("rpc", "api", "dashboard"):
        assert is_open("127.0.0.2", world.ports[name])
        assert not is_open("127.0.0.1", world.ports[name])


def server_rpc_port(world: World) -> None:
    assert (world.rpc.height() or 0) > 0


def server_ws_port(world: World) -> None:
    from websockets.sync.client import connect  # noqa: PLC0415 - for this key

    with connect(f"ws://127.0.0.2:{world.ports['ws']}") as client:
        client.send('{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}')
        assert json.loads(client.recv(timeout=5.0))["result"] == hex(4242)
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    assert httpx.post(world.url("ws"), json=call).status_code >= 400, "no plain HTTP there"


def server_private_port(world: World) -> None:
    assert world.node_info()["status"]["network"] == "effects"
    assert "does not exist/is not available" in refused(lambda: world.rpc.call("admin_nodeInfo"))


def server_metrics_port(world: World) -> None:
    assert httpx.get(world.url("metrics", "127.0.0.3") + "/healthz").text == "ok\n"


def server_metrics_address(world: World) -> None:
    assert is_open("127.0.0.3", world.ports["metrics"])
    assert not is_open("127.0.0.1", world.ports["metrics"])


def server_api_port(world: World) -> None:
    assert world.status()["chain_id"] == 4242


def server_dashboard_port(world: World) -> None:
    page = httpx.get(world.url("dashboard"))
    assert page.headers["content-type"].startswith("text/html")
    assert "effects" in page.text


def server_namespaces(world: World) -> None:
    assert "does not exist/is not available" in refused(lambda: world.rpc.call("rpc_modules"))
    assert set(world.follower.rpc.call("rpc_modules")) > {"eth", "rpc"}


def server_allowed_hosts(world: World) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    codes = [
        httpx.post(world.url("rpc"), json=call, headers={"host": host}).status_code
        for host in ("rpc.example", "localhost", "127.0.0.2")
    ]
    assert codes == [200, 403, 200]


def server_trusted_proxies(world: World) -> None:
    # Loopback is exempt from limits per address: what a proxy may do is in test_configuration_limits.py, on an address that is not.
    assert app._rpc_config(world.inputs(), client="c").limits.trusted_proxies == ("10.9.0.0/16",)


def server_connections_max(world: World) -> None:
    with contextlib.ExitStack() as stack:
        opened = [
            stack.enter_context(socket.create_connection(("127.0.0.2", world.ports["rpc"]), timeout=5.0))
            for _ in range(20)
        ]
        request = b'POST / HTTP/1.1\r\nHost: 127.0.0.2\r\nContent-Type: application/json\r\nContent-Length: 47\r\n\r\n{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'
        answers = []
        for client in opened:
            try:
                client.sendall(request)
                answers.append(client.recv(4096).startswith(b"HTTP/1.1 200"))
            except OSError:
                answers.append(False)
        assert 1 <= answers.count(True) <= 12
    wait_until(lambda: world.rpc.height() is not None, within_s=10.0, what="places are free again")


def server_connections_per_address_max(world: World) -> None:
    # Seen in test_configuration_limits.py too.
    assert app._rpc_config(world.inputs(), client="c").limits.connections_per_address_max == 7


def server_requests_per_address_per_second(world: World) -> None:
    # Seen in test_configuration_limits.py too.
    assert app._rpc_config(world.inputs(), client="c").limits.requests_per_address_per_second == 500


# --- [database] ------------------------------------------------------------------------------------------------------------------------


def database_postgres_url(world: World) -> None:
    found = wait_until(
        lambda: (
            service if (service := world.status()["services"]["postgres"])["reachable"] is not None else None
        ),
        within_s=10.0,
        what="the database was looked at",
    )
    assert found == {
        "address": f"127.0.0.1:{world.ports['postgres']}",
        "reachable": True,
        "problem": None,
    }
    assert "hunter2" not in world.changed.log + json.dumps(world.status())


def database_redis_url(world: World) -> None:
    found = wait_until(
        lambda: (
            service if (service := world.status()["services"]["redis"])["reachable"] is not None else None
        ),
        within_s=10.0,
        what="the cache was looked at",
    )
    assert (found["address"], found["reachable"]) == (f"127.0.0.1:{world.ports['redis']}", False)
    assert "refused" in found["problem"].lower()
    assert "service_unreachable" in world.changed.log
    assert "hunter3" not in world.changed.log + json.dumps(world.status())


# --- [consensus] -----------------------------------------------------------------------------------------------------------------------


def consensus_algorithm(world: World) -> None:
    # One value so far: it is accepted, and any other one is refused.
    other = world.file.with_name("algorithm.toml")
    other.write_text('[consensus]\nalgorithm = "raft"\n')
    with pytest.raises(ConfigError, match=r"consensus.algorithm: found 'raft'; input should be 'ibft'"):
        load_config([other])
    assert world.rpc.call("ibft_getEpochInfo")["epochLength"]


def consensus_block_time(world: World) -> None:
    wait_height([world.rpc], 8, within_s=30.0)
    times = [int(world.rpc.block(number)["timestamp"], 16) for number in range(2, 9)]
    # A busy machine may miss some slots, never all; with the default of two seconds no gap is of one.
    assert 1 in {later - earlier for earlier, later in pairwise(times)}


def consensus_validators(world: World) -> None:
    assert world.rpc.call("ibft_getValidatorsByBlockNumber", "0x0") == ["0x" + VALIDATOR.address.hex()]


def consensus_genesis_time(world: World) -> None:
    assert int(world.rpc.block(0)["timestamp"], 16) == GENESIS_TIME


# --- [mining] --------------------------------------------------------------------------------------------------------------------------


def mining_enabled(world: World) -> None:
    assert 'role="validator"' in world.metric("metanode_node_info{")
    assert 'role="follower"' in role_of(world.idle)
    assert world.idle.rpc.height() == 0


def mining_rewards(world: World) -> None:
    assert [entry["address"] for entry in world.rpc.block(2)["withdrawals"]] == [RICH.address.lower()]


def mining_block_reward_gwei(world: World) -> None:
    assert int(world.rpc.block(2)["withdrawals"][0]["amount"], 16) == REWARD_GWEI
    assert int(world.rpc.call("eth_getBalance", RICH.address, "0x2"), 16) == REWARD_GWEI * 10**9


def mining_gas_limit(world: World) -> None:
    assert {int(world.rpc.block(number)["gasLimit"], 16) for number in (0, 1, 3)} == {12_345_678}


# --- [validator] -----------------------------------------------------------------------------------------------------------------------


def validator_enabled(world: World) -> None:
    assert world.status()["validator"] is not None
    assert 'role="follower"' in role_of(world.follower)


def validator_validator_key(world: World) -> None:
    assert world.status()["validator"].lower() == "0x" + VALIDATOR.address.hex()


def validator_password_file(world: World) -> None:
    # The keystore opened, and there is no key.password beside it.
    assert not world.file.with_name("key.password").exists()
    assert world.status()["validator"] is not None


def validator_coinbase(world: World) -> None:
    assert world.rpc.block(1)["miner"] == RICH.address.lower()


# --- [p2p] -----------------------------------------------------------------------------------------------------------------------------


def p2p_listen_address(world: World) -> None:
    assert world.node_info()["listenAddr"] == f"127.0.0.4:{world.ports['p2p']}"
    assert is_open("127.0.0.4", world.ports["p2p"])
    assert not is_open("127.0.0.1", world.ports["p2p"])


def p2p_advertised_address(world: World) -> None:
    info = world.node_info()
    assert info["enode"] == f"enode://{NODE.public_key.hex()}@node.example:31000"
    assert (info["ip"], info["ports"]) == ("node.example", {"listener": 31000, "discovery": 31000})
    assert info["listenAddr"] == f"127.0.0.4:{world.ports['p2p']}"


def p2p_sentries(world: World) -> None:
    # A node without its key in use stands behind nobody; with it, it leaves the datagrams alone.
    config = load_config([world.idle.home / "config.toml"], world.idle.environment).config
    follows = replace(world.inputs(), config=config, validator_key=None)
    assert app._network_config(follows, client="c").sentries == ()
    behind = app._network_config(replace(follows, validator_key=IDLE), client="c")
    assert [str(sentry) for sentry in behind.sentries] == [SENTRY]


def p2p_bootstrap_nodes(world: World) -> None:
    wait_height([world.follower.rpc], world.rpc.height() or 0, within_s=20.0)
    assert world.follower.rpc.block_hash(1) == world.rpc.block_hash(1)


def p2p_max_peers(world: World) -> None:
    wait_until(
        lambda: world.rpc.call("net_peerCount") == "0x1", within_s=10.0, what="the follower has the place"
    )
    assert world.metric("metanode_p2p_peer_limit") == "metanode_p2p_peer_limit 1.0"
    home = world.file.parent.parent / "third"
    home.mkdir(exist_ok=True)
    third = _node(
        home,
        (world.follower.home / "config.toml").read_text().split("[server]")[0],
        p2p=f'discovery = false\nbootstrap_nodes = ["enode://{NODE.public_key.hex()}@127.0.0.4:{world.ports["p2p"]}"]\n',
    )
    with running([third]):
        wait_until(
            lambda: "too many peers" in third.log.lower() or "too_many_peers" in third.log.lower(),
            within_s=20.0,
            what=lambda: f"the third node is told that there is no place: {third.log[-1000:]}",
        )
        assert third.rpc.call("net_peerCount") == "0x0"


def p2p_discovery(world: World) -> None:
    # That such a node calls nobody whom it has heard of is in tests/integration/p2p/test_network.py.
    assert app._network_config(world.inputs(), client="c").discovers is False


def p2p_node_key(world: World) -> None:
    assert world.node_info()["enode"].startswith(f"enode://{NODE.public_key.hex()}@")


# --- [storage] -------------------------------------------------------------------------------------------------------------------------


def storage_directory(world: World) -> None:
    assert (world.file.parent / "chain" / "node.db").exists()
    assert not (world.file.parent / "data").exists()


def storage_cache_mib(world: World) -> None:
    # What 33 MiB hold and do not is seen by users as time; test_configuration_limits.py counts what nodes with 8 and 64 read from the disk.
    assert app._engine_options(world.inputs(), client="c").cache_bytes == 33 << 20


def storage_history_blocks(world: World) -> None:
    # Seen by users after 777 blocks only; test_configuration_limits.py writes 200, of which 128 are kept.
    assert app._engine_options(world.inputs(), client="c").history_blocks == 777


# --- [txpool] --------------------------------------------------------------------------------------------------------------------------


def raw(nonce: int, *, tip: int = TIP_WEI) -> str:
    signed = RICH.sign_transaction(
        {
            "chainId": 4242, "nonce": nonce, "to": OTHER_ADDRESS, "value": 1, "gas": 21_000,
            "maxFeePerGas": 10**11, "maxPriorityFeePerGas": tip,
        }
    )  # fmt: skip
    return "0x" + bytes(signed.raw_transaction).hex()


def next_nonce(world: World) -> int:
    """The account's next nonce once nothing of it waits."""

    def settled() -> int | None:
        latest, pending = (
            int(world.rpc.call("eth_getTransactionCount", RICH.address, tag), 16)
            for tag in ("latest", "pending")
        )
        return latest + 1 if latest == pending else None

    return wait_until(settled, within_s=20.0, what="the account's transactions are included") - 1


def send_all(world: World, raws: list[str]) -> list[str | None]:
    """Each transaction's refusal, None where it was taken, from one batch."""
    batch = [
        {"jsonrpc": "2.0", "id": index, "method": "eth_sendRawTransaction", "params": [entry]}
        for index, entry in enumerate(raws)
    ]
    answers = sorted(httpx.post(world.url("rpc"), json=batch).json(), key=lambda answer: answer["id"])
    return [answer["error"]["message"] if "error" in answer else None for answer in answers]


def txpool_pending_max(world: World) -> None:
    first = next_nonce(world)
    refusals = send_all(world, [raw(first + index) for index in range(8)])
    # Three fit; a block that comes in the middle of the batch makes room for three more.
    assert refusals[0] is None
    assert any(text is not None and ("full" in text or "underpriced" in text) for text in refusals), refusals


def txpool_queued_max(world: World) -> None:
    first = next_nonce(world) + 10
    send_all(world, [raw(first + 2 * index) for index in range(5)])
    assert int(world.rpc.call("txpool_status")["queued"], 16) == 2


def txpool_minimum_tip_wei(world: World) -> None:
    text = refused(lambda: world.rpc.call("eth_sendRawTransaction", raw(next_nonce(world), tip=TIP_WEI - 1)))
    assert text == f"transaction gas price below minimum: gas tip cap {TIP_WEI - 1}, minimum needed {TIP_WEI}"


# --- [log] -----------------------------------------------------------------------------------------------------------------------------


def log_level(world: World) -> None:
    assert '"level":"debug"' in world.changed.log
    assert "[debug" not in world.follower.log


def log_format(world: World) -> None:
    whole, _, _ = world.changed.log.rpartition("\n")  # The last line may still be on its way to the file.
    lines = [json.loads(line) for line in whole.splitlines()]
    assert {"event", "timestamp", "level"} <= lines[-1].keys()
    assert "[info" in world.follower.log


EFFECTS: dict[str, Callable[[World], None]] = {
    "network.network": network_network,
    "network.chain_id": network_chain_id,
    "network.network_id": network_network_id,
    "network.public_rpc": network_public_rpc,
    "network.cors_origins": network_cors_origins,
    "server.bind_address": server_bind_address,
    "server.rpc_port": server_rpc_port,
    "server.ws_port": server_ws_port,
    "server.private_port": server_private_port,
    "server.metrics_port": server_metrics_port,
    "server.metrics_address": server_metrics_address,
    "server.api_port": server_api_port,
    "server.dashboard_port": server_dashboard_port,
    "server.namespaces": server_namespaces,
    "server.allowed_hosts": server_allowed_hosts,
    "server.trusted_proxies": server_trusted_proxies,
    "server.connections_max": server_connections_max,
    "server.connections_per_address_max": server_connections_per_address_max,
    "server.requests_per_address_per_second": server_requests_per_address_per_second,
    "database.postgres_url": database_postgres_url,
    "database.redis_url": database_redis_url,
    "consensus.algorithm": consensus_algorithm,
    "consensus.block_time": consensus_block_time,
    "consensus.validators": consensus_validators,
    "consensus.genesis_time": consensus_genesis_time,
    "mining.enabled": mining_enabled,
    "mining.rewards": mining_rewards,
    "mining.block_reward_gwei": mining_block_reward_gwei,
    "mining.gas_limit": mining_gas_limit,
    "validator.enabled": validator_enabled,
    "validator.validator_key": validator_validator_key,
    "validator.password_file": validator_password_file,
    "validator.coinbase": validator_coinbase,
    "p2p.listen_address": p2p_listen_address,
    "p2p.advertised_address": p2p_advertised_address,
    "p2p.sentries": p2p_sentries,
    "p2p.bootstrap_nodes": p2p_bootstrap_nodes,
    "p2p.max_peers": p2p_max_peers,
    "p2p.discovery": p2p_discovery,
    "p2p.node_key": p2p_node_key,
    "storage.directory": storage_directory,
    "storage.cache_mib": storage_cache_mib,
    "storage.history_blocks": storage_history_blocks,
    "txpool.pending_max": txpool_pending_max,
    "txpool.queued_max": txpool_queued_max,
    "txpool.minimum_tip_wei": txpool_minimum_tip_wei,
    "log.level": log_level,
    "log.format": log_format,
}


def every_key() -> dict[str, Any]:
    """All keys of the configuration with their defaults."""
    keys: dict[str, Any] = {}
    for section, field in NodeConfig.model_fields.items():
        assert isinstance(field.annotation, type)
        assert issubclass(field.annotation, BaseModel)
        keys |= {f"{section}.{key}": info.default for key, info in field.annotation.model_fields.items()}
    return keys


def test_every_key_has_its_effect_here() -> None:
    assert set(EFFECTS) == set(every_key())


def test_the_nodes_set_every_key_to_another_value_than_its_default(world: World) -> None:
    nodes = (world.changed, world.follower, world.idle)
    configs = [load_config([node.home / "config.toml"], node.environment).config for node in nodes]
    one_value_only = {"consensus.algorithm"}

    unchanged = {
        name
        for name, default in every_key().items()
        if all(
            getattr(getattr(config, name.split(".")[0]), name.split(".")[1]) == default for config in configs
        )
    }

    assert unchanged == one_value_only


@pytest.mark.parametrize("key", EFFECTS)
def test_changing_a_key_has_its_effect(world: World, key: str) -> None:
    EFFECTS[key](world)
