"""Handshake, hello, messages and discovery against another implementation: the npm package @ethereumjs/devp2p."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.made_once import InstallationError, install_npm_project

from metanode.crypto.hashing import keccak256
from metanode.p2p.enode import Enode, NodeId
from metanode.p2p.network import Network, NetworkConfig
from metanode.p2p.ports import ForkId, OpeningMessages, Priority, Tip, Verdict
from metanode.p2p.rlpx.handshake import NodeKey
from metanode.primitives.types import Hash32, Height

SOURCE = Path(__file__).parent / "devp2p"
WAIT_S = 20.0


@pytest.fixture(scope="module")
def package() -> Path:
    """Install the locked packages once, outside the repository."""
    try:
        folder = install_npm_project(SOURCE)
    except InstallationError as reason:
        # A machine without npm or its registry; the reason names the command, and CI does not allow this skip.
        pytest.skip(str(reason))
    shutil.copy(SOURCE / "peer.mjs", folder)
    return folder


class Chain:
    genesis_hash = keccak256(b"interop")
    network_id = chain_id = 1337

    def tip(self) -> Tip:
        return Tip(height=Height(0), certificate_hash=Hash32(bytes(32)))

    def fork_id(self) -> ForkId:
        return ForkId(hash=b"fork", next=0)

    def accepts_fork(self, fork_id: ForkId) -> bool:
        return fork_id == self.fork_id()

    def validators(self) -> frozenset:
        return frozenset()


class Handlers:
    def __init__(self) -> None:
        self.messages: list[bytes] = []

    def upon_consensus_message(self, raw: bytes, _: NodeId) -> Verdict:
        self.messages.append(raw)
        return Verdict.RELAY

    def upon_peer_ready(self, _: object) -> None:
        pass

    upon_peer_gone = upon_peer_ready

    def opening_messages(self) -> OpeningMessages:
        return OpeningMessages()


class JavaScript:
    """The other side, line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict] = []

    @classmethod
    async def start(cls, package: Path, *arguments: str) -> "JavaScript":
        process = await asyncio.create_subprocess_exec(
            "node", "peer.mjs", *arguments, cwd=package, stdout=subprocess.PIPE
        )
        return cls(process)

    async def tells(self, key: str) -> dict:
        assert self.process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            while True:
                line = json.loads(await self.process.stdout.readline())
                self.lines.append(line)
                assert "error" not in line, line
                if key in line:
                    return line

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.communicate()


async def converse(package: Path, *, we_dial: bool) -> None:
    """Connect in one direction; then hello, status, and a message each way."""
    handlers = Handlers()
    network = Network(
        NetworkConfig(key=NodeKey.generate(), client="metanode/interop", listen_port=0, discovers=False),
        chain=Chain(),
        handlers=handlers,  # type: ignore[arg-type]
    )
    task = asyncio.create_task(network.run())
    await network.ready.wait()
    enode = network.enode
    assert enode.node_id is not None
    if we_dial:
        other = await JavaScript.start(package, "listen")
        told = await other.tells("listening")
        port = told["listening"]
        network.add_peer(
            Enode(node_id=NodeId(bytes.fromhex(told["id"])), host="127.0.0.1", tcp_port=port, udp_port=0)
        )
    else:
        other = await JavaScript.start(package, "dial", enode.node_id.hex(), "127.0.0.1", str(enode.tcp_port))
    try:
        assert await other.tells("hello") == {
            "hello": "metanode/interop",
            "version": 5,
            "capabilities": ["mtn/1"],
            "id": enode.node_id.hex(),
        }
        assert (await other.tells("message"))["message"] == 0
        async with asyncio.timeout(WAIT_S):
            while not network.peers():
                await asyncio.sleep(0.01)
        [peer] = network.peers()
        assert (peer.client, peer.is_inbound) == ("ethereumjs", not we_dial)
        network.broadcast(b"hello from python", Priority.VOTE)
        assert await other.tells("raw") == {"raw": "hello from python"}
        async with asyncio.timeout(WAIT_S):
            while not handlers.messages:
                await asyncio.sleep(0.01)
        assert handlers.messages == [b"hello from javascript"]
        task.cancel()
        assert await other.tells("removed") == {"removed": 8, "byUs": False}, "client quitting"
    finally:
        task.cancel()
        await asyncio.wait({task})
        await other.stop()


def test_javascript_dials_us_and_we_understand_each_other(package: Path) -> None:
    asyncio.run(converse(package, we_dial=False))


def test_we_dial_javascript_and_understand_each_other(package: Path) -> None:
    asyncio.run(converse(package, we_dial=True))


def test_javascript_proves_its_endpoint_and_is_told_neighbours(package: Path) -> None:
    async def test() -> None:
        network = Network(
            NetworkConfig(key=NodeKey.generate(), client="metanode/interop", listen_port=0, discovers=False),
            chain=Chain(),
            handlers=Handlers(),  # type: ignore[arg-type]
        )
        task = asyncio.create_task(network.run())
        await network.ready.wait()
        enode = network.enode
        assert enode.node_id is not None
        other = await JavaScript.start(package, "ping", enode.node_id.hex(), "127.0.0.1", str(enode.udp_port))
        try:
            assert await other.tells("added") == {"added": enode.node_id.hex()}
            async with asyncio.timeout(WAIT_S):
                while not network.statistics().known_nodes:
                    await asyncio.sleep(0.01)
            assert "neighbours" in await other.tells("neighbours")
        finally:
            task.cancel()
            await asyncio.wait({task})
            await other.stop()

    asyncio.run(test())
