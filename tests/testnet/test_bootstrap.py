"""The bootstrap node on real sockets: what the toolkit's document promises, what survives restarts and kills, and what strangers may throw at it."""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.testnet.test_documents import run, snippet

from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidInput, Unavailable
from metanode.p2p.discv4 import packets
from metanode.p2p.discv4.packets import Endpoint, FindNode, Ping, Pong
from metanode.p2p.rlpx.handshake import NodeKey
from sdk.testnet import BootstrapConfig, BootstrapNode
from sdk.testnet.bootstrap.frugal import ALLOWANCE_BYTES, ALLOWANCE_BYTES_PER_S

Test = Callable[..., Coroutine[Any, Any, None]]


def in_loop(test: Test) -> Callable[..., None]:
    """Run a test in an event loop of its own."""

    @functools.wraps(test)
    def run(*arguments: Any, **fixtures: Any) -> None:
        asyncio.run(test(*arguments, **fixtures))

    return run


NOWHERE = Endpoint(ip=None, udp_port=0, tcp_port=0)


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[BootstrapNode]:
    node = BootstrapNode(BootstrapConfig(**({"listen_port": 0} | settings)))
    await node.start()
    try:
        yield node
    finally:
        await node.stop()


async def until(condition: Callable[[], Any], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)


class Stranger:
    """Somebody with a UDP socket."""

    def __init__(self, node: BootstrapNode) -> None:
        self.port = node.enode.udp_port
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", self.port))
        self.socket.setblocking(False)

    def close(self) -> None:
        self.socket.close()

    def say(self, key: NodeKey, packet: packets.Packet) -> int:
        return self.socket.send(packets.encode(key, packet)[0])

    async def hear(self, within_s: float = 5.0) -> packets.Signed:
        async with asyncio.timeout(within_s):
            return packets.decode(await asyncio.get_running_loop().sock_recv(self.socket, 2048))

    def ping(self, key: NodeKey) -> int:
        source = Endpoint(ip=None, udp_port=0, tcp_port=self.socket.getsockname()[1])
        return self.say(key, Ping(source=source, target=NOWHERE, expiration=int(time.time()) + 20))

    async def prove(self, key: NodeKey) -> None:
        """Answer the ping that our ping is answered by."""
        self.ping(key)
        assert isinstance((await self.hear()).packet, Pong)
        back = await self.hear()
        assert isinstance(back.packet, Ping)
        self.say(key, Pong(target=NOWHERE, ping_hash=back.hash, expiration=int(time.time()) + 20))


@in_loop
async def test_the_documents_example_works_on_a_node_that_runs() -> None:
    config = BootstrapConfig(listen_port=0, max_peers=1000, chain_id=9999)
    node = BootstrapNode(config)
    assert not node.running
    await node.start()
    try:
        assert node.running
        success = node.register_peer(
            node_id="validator-1", address="192.168.1.100", port=30303, version="1.0.0"
        )
        assert success
        (peer,) = node.get_peers(max_count=10, exclude={"my-node-id"})
        assert (peer.node_id, peer.address, peer.port, peer.verified) == (
            "validator-1",
            "192.168.1.100",
            30303,
            False,
        )
        assert node.get_peers(max_count=10, exclude={"validator-1"}) == []
        stats = node.get_stats()
        assert (stats["active_peers"], stats["total_peers_seen"]) == (1, 1)
        assert stats["uptime_seconds"] > 0
        assert node.stats.keys() == stats.keys()
        assert node.remove_peer("validator-1")
        assert not node.remove_peer("validator-1")
        assert node.peers == {}
    finally:
        await node.stop()
    assert not node.running
    assert node.get_stats()["uptime_seconds"] == 0


def test_peers_are_registered_and_listed_without_a_start_and_time_out() -> None:
    now = 1_800_000_000.0
    node = BootstrapNode(BootstrapConfig(max_peers=1, peer_timeout=60), wall_clock=lambda: now)
    assert node.register_peer("a", "10.0.0.1", 30303)
    assert not node.register_peer("b", "10.0.0.2", 30303), "max_peers"
    assert not node.register_peer("a", "10.0.0.1", 30303, chain_id=1), "another chain"
    now += 61
    assert node.peers == {}
    assert node.get_stats()["active_peers"] == 0
    with pytest.raises(InvalidInput, match="port: expected a whole number from 1 to 65,535, found 0"):
        node.register_peer("a", "10.0.0.1", 0)


@in_loop
async def test_a_node_is_started_and_stopped_again_with_the_same_name_and_peers() -> None:
    node = BootstrapNode(BootstrapConfig(listen_port=0))
    with pytest.raises(InvalidInput, match="has not been started"):
        _ = node.enode
    node.register_peer("a", "10.0.0.1", 30303)
    await node.stop()
    await node.start()
    await node.start()
    first = node.enode.node_id
    await node.stop()
    await node.stop()
    await node.start()
    assert node.enode.node_id == first
    assert set(node.peers) == {"a"}
    await node.stop()


@in_loop
async def test_a_stranger_is_listed_after_its_endpoint_proof_and_not_before() -> None:
    async with running() as node:
        with closing(Stranger(node)) as stranger:
            key = NodeKey(b"\x01" * 32)
            stranger.ping(key)
            assert isinstance((await stranger.hear()).packet, Pong)
            assert node.peers == {}
            stranger.say(key, FindNode(target=bytes(64), expiration=int(time.time()) + 20))
            assert isinstance((await stranger.hear()).packet, Ping), "no neighbours without a proof"
            await asyncio.sleep(0)
            assert node.peers == {}
        with closing(Stranger(node)) as stranger:
            await stranger.prove(key)
            await until(lambda: node.peers)
            (peer,) = node.get_peers()
            assert (peer.node_id, peer.address, peer.verified) == (key.node_id.hex(), "127.0.0.1", True)
            assert peer.udp_port == stranger.socket.getsockname()[1]


@in_loop
async def test_a_registered_node_is_asked_and_becomes_verified() -> None:
    async with running() as other, running() as node:
        enode = other.enode
        assert enode.node_id is not None
        assert node.register_peer(enode.node_id.hex(), "localhost", enode.tcp_port)
        assert not node.peers[enode.node_id.hex()].verified
        await until(lambda: node.peers[enode.node_id.hex()].verified)
        liar = "ab" * 64
        node.register_peer(liar, "127.0.0.1", enode.tcp_port)
        seen = node.get_stats()["datagrams_sent"]
        await until(lambda: node.get_stats()["datagrams_sent"] > seen)
        assert not node.peers[liar].verified, "the node there has another key"


@in_loop
async def test_the_registry_is_shown_over_http() -> None:
    async with running(http_port=0) as node, httpx.AsyncClient(base_url=str(node.http_url)) as client:
        node.register_peer("validator-1", "192.168.1.100", 30303, "1.0.0")
        assert (await client.get("/healthz")).text == "ok\n"
        status = (await client.get("/api/v1/status")).json()
        assert status["active_peers"] == 1
        assert status["enode"] == str(node.enode)
        (peer,) = (await client.get("/api/v1/peers")).json()["peers"]
        assert (peer["node_id"], peer["verified"]) == ("validator-1", False)
        metrics = (await client.get("/metrics")).text
        assert "\nmetanode_bootstrap_peers 1\n" in metrics
        assert (await client.head("/healthz")).content == b""
        for method, path, code in (
            ("GET", "/nothing", 404), ("POST", "/api/v1/peers", 405), ("GET", "/api/v1/peers?max_count=0", 400),
            ("GET", "/api/v1/peers?max_count=\u0661", 400), ("GET", "/api/v1/peers?x=1", 400), ("GET", "/api/v1/peers?" + "&" * 5000, 400),
        ):  # fmt: skip
            refused = await client.request(method, path)
            assert refused.status_code == code, path
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.json()["status"] == code


@in_loop
async def test_what_another_process_has_is_named() -> None:
    async with running() as node:
        port = node.enode.tcp_port
        with pytest.raises(
            Unavailable, match=rf"127\.0\.0\.1:{port}: Address already in use by process {os.getpid()}"
        ):
            await BootstrapNode(BootstrapConfig(listen_port=port)).start()
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=rf"127\.0\.0\.1:{port} \(udp\): "):
            await BootstrapNode(BootstrapConfig(listen_port=port)).start()


@pytest.mark.parametrize("turns", range(8))
def test_who_calls_while_the_node_stops_is_hung_up_on(turns: int) -> None:
    """A call is accepted in several turns of the loop: the stop comes after each number of them."""
    with ExitStack() as callers:

        async def call_and_stop() -> list[socket.socket]:
            async with running() as node:
                where = (node.enode.host, node.enode.tcp_port)
                called = [callers.enter_context(socket.create_connection(where)) for _ in range(4)]
                for _ in range(turns):
                    await asyncio.sleep(0)
            return called

        for caller in asyncio.run(call_and_stop()):
            caller.settimeout(5)
            with suppress(ConnectionResetError):
                assert caller.recv(1) == b""
    # What was left open says so when it goes, and that fails the test.
    gc.collect()


@in_loop
async def test_a_restart_keeps_the_key_and_the_peers(tmp_path: Path) -> None:
    async with running(data_dir=tmp_path) as node:
        first = node.enode.node_id
        node.register_peer("a", "10.0.0.1", 30303, "1.0.0")
        with pytest.raises(InvalidInput, match="which another bootstrap node uses"):
            await BootstrapNode(BootstrapConfig(listen_port=0, data_dir=tmp_path)).start()
        with closing(Stranger(node)) as stranger:
            await stranger.prove(NodeKey(b"\x01" * 32))
            await until(lambda: len(node.peers) == 2)
    again = BootstrapNode(BootstrapConfig(listen_port=0, data_dir=tmp_path))
    assert set(again.peers) == {"a", NodeKey(b"\x01" * 32).node_id.hex()}, "before the start"
    assert again.peers["a"].version == "1.0.0"
    assert again.get_stats()["total_peers_seen"] == 2
    await again.start()
    assert again.enode.node_id == first
    await again.stop()
    with pytest.raises(InvalidInput, match=r"chain_id: found 1, but .* has the peers of chain 9999"):
        BootstrapNode(BootstrapConfig(chain_id=1, data_dir=tmp_path))


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"format": 2}', b"\xff\xfe", b"[" * 100_000, b'{"format":1,"chain_id":9999,"total_peers_seen":0,"peers":[{}]}',
     b'{"format":1,"chain_id":9999,"total_peers_seen":0,"peers":7}'],
)  # fmt: skip
@in_loop
async def test_a_damaged_registry_is_set_aside_and_the_node_goes_on(tmp_path: Path, content: bytes) -> None:
    """Once the directory is its own: until then the file may be another node's."""
    (tmp_path / "peers.json").write_bytes(content)
    node = BootstrapNode(BootstrapConfig(data_dir=tmp_path, listen_port=0))
    assert node.peers == {}
    assert (tmp_path / "peers.json").read_bytes() == content
    async with node:
        assert (tmp_path / "peers.damaged").read_bytes() == content


REGISTERS = """
import asyncio, sys
from sdk.testnet import BootstrapConfig, BootstrapNode
import sdk.testnet.bootstrap.node as module

module.SAVE_PAUSE_S = 0.0

async def main() -> None:
    node = BootstrapNode(BootstrapConfig(listen_port=0, data_dir=sys.argv[1], max_peers=2000))
    await node.start()
    print("ready", len(node.peers), flush=True)
    number = len(node.peers)
    while True:
        node.register_peer(f"peer-{number}", "10.0.0.1", 30303, "x" * 200)
        number += 1
        await asyncio.sleep(0)

asyncio.run(main())
"""


def test_kill_9_in_the_middle_of_saving_leaves_a_whole_registry(tmp_path: Path) -> None:
    random_, before = random.Random(9), 0
    state = tmp_path / "state"
    for _ in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", REGISTERS, str(state)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            while not line.startswith("ready"):
                assert line, "the node has ended"
                line = process.stdout.readline()
            found = int(line.split()[1])
            assert found >= before, "nothing that was saved is lost"
            process.stdout.close()
            # At any moment of one of hundreds of saves.
            time.sleep(random_.uniform(0.05, 0.3))
            process.send_signal(signal.SIGKILL)
        document = (
            json.loads((state / "peers.json").read_text())
            if (state / "peers.json").exists()
            else {"peers": []}
        )
        before = len(document["peers"])
        assert not (state / "peers.damaged").exists()
        assert sorted(path.name for path in state.iterdir() if path.name.startswith(".")) in (
            [],
            [".peers.json.new"],
        )
    assert before > 100


@in_loop
async def test_rows_27_and_28_a_flood_gets_less_than_it_sends_costs_no_memory_and_stops_nobody() -> None:
    async with running(max_peers=100) as node:
        process = psutil.Process()
        keys = [NodeKey(keccak256(b"%d" % number)) for number in range(40)]
        random_ = random.Random(27)
        with closing(Stranger(node)) as flood, closing(Stranger(node)) as honest:
            started, memory = time.monotonic(), process.memory_info().rss
            good = packets.encode(
                keys[0], Ping(source=NOWHERE, target=NOWHERE, expiration=int(time.time()) + 600)
            )[0]
            sent = 0
            for number in range(6_000):
                match number % 5:
                    case 0:
                        datagram = good
                    case 1:
                        position = random_.randrange(len(good))
                        datagram = good[:position] + bytes((good[position] ^ 1,)) + good[position + 1 :]
                    case 2:
                        datagram = random_.randbytes(random_.choice((0, 1, 97, 98, 1280, 1281, 9000)))
                    case 3:
                        datagram = good[: random_.randrange(len(good))]
                    case _:
                        datagram = packets.encode(
                            keys[number % 40], FindNode(target=bytes(64), expiration=int(time.time()) + 20)
                        )[0] if number % 100 == 4 else good + bytes(1200)  # fmt: skip
                try:
                    sent += flood.socket.send(datagram)
                except (BlockingIOError, ConnectionRefusedError):
                    await asyncio.sleep(0.001)
                # The node reads one datagram a turn of the loop.
                await asyncio.sleep(0)
            stats = node.get_stats()
            allowance = ALLOWANCE_BYTES + ALLOWANCE_BYTES_PER_S * (time.monotonic() - started)
            assert stats["datagrams_received"] > 1000
            assert stats["bytes_sent"] <= stats["bytes_received"] + allowance
            assert stats["bytes_sent"] < sent / 10, "most of it is answered by nothing"
            assert node.peers == {}
            assert process.memory_info().rss - memory < 50 * 2**20
            # The address shares its rate with the flood, which is over.
            async with asyncio.timeout(20):
                while not node.peers:
                    try:
                        await honest.prove(NodeKey(b"\x02" * 32))
                    except (TimeoutError, AssertionError):
                        await asyncio.sleep(0.2)
                    await asyncio.sleep(0.1)


@in_loop
async def test_strangers_on_the_stream_are_sent_away_and_a_node_is_greeted() -> None:
    from sdk.testnet.bootstrap import greeting  # noqa: PLC0415 - the other side of the same greeting

    async with running() as node:
        port = node.enode.tcp_port
        random_ = random.Random(5)
        for data in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 4096, b"\x00\x00", random_.randbytes(400)):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            if not data:
                writer.write_eof()
            async with asyncio.timeout(10):
                with suppress(ConnectionResetError):
                    await reader.read()
            writer.close()
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(100)]
        for _, writer in silent:
            writer.close()
        node_id = node.enode.node_id
        assert node_id is not None
        said = None
        async with asyncio.timeout(20):
            while said is None:
                said = await greeting.call(NodeKey(b"\x03" * 32), "somebody/v1", node_id, "127.0.0.1", port)
        assert said.client.startswith("metanode-bootstrap/v")
        assert said.chain_id is None
        wrong = NodeKey(b"\x04" * 32).node_id
        assert await greeting.call(NodeKey(b"\x03" * 32), "x", wrong, "127.0.0.1", port) is None


HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("page", "containing"),
    [
        (HERE / "toolkit-module.md", "node.register_peer("),
        (HERE.parents[1] / "docs" / "reference" / "toolkit-bootstrap.md", "asyncio.run(main())"),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_the_snippets_of_the_documents_run(
    page: Path,
    containing: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code = snippet("python", containing, page.read_text())
    # The port of the document may be somebody else's here.
    assert code.count("listen_port=30303") == 1

    run(code.replace("listen_port=30303", "listen_port=0"))

    told = capsys.readouterr().out
    assert "Active peers: 1\n" in told or "validator-1 192.168.1.100 30303 False\n" in told


def test_the_configuration_of_the_document_is_the_default_but_for_the_address() -> None:
    block = snippet("python", "peer_timeout=3600")

    made = eval(block.strip(), {"BootstrapConfig": BootstrapConfig})  # noqa: S307 - the document is ours

    assert made == BootstrapConfig(listen_address="0.0.0.0")
