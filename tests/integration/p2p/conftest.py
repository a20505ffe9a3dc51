"""Real networks on loopback, with a chain behind them that the test writes."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import pytest
import uvloop

from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey
from metanode.p2p.enode import NodeId
from metanode.p2p.network import Network, NetworkConfig
from metanode.p2p.pins import MemoryPeerStore
from metanode.p2p.ports import ForkId, OpeningMessages, PeerInfo, Priority, Tip, Verdict
from metanode.p2p.protocol import GetBlocks
from metanode.p2p.rlpx.handshake import NodeKey
from metanode.primitives.types import Address, Hash32, Height

GENESIS = keccak256(b"test genesis")
FORK = ForkId(hash=b"fork", next=0)
START = Height(0)
LOOPS = [os.environ.get("P2P_LOOP", "uvloop")]
"""The node runs on uvloop; P2P_LOOP=asyncio runs the tests on the other one."""
WAIT_S = 10.0
"""Longest wait for something that takes milliseconds."""


def secret(name: str) -> bytes:
    return keccak256(name.encode())


@dataclass
class Chain:
    """What a node knows of the chain, set by the test."""

    genesis_hash: Hash32 = GENESIS
    network_id: int = 1337
    chain_id: int = 1337
    height: Height = START
    fork: ForkId = FORK
    members: frozenset[Address] = frozenset()

    def tip(self) -> Tip:
        return Tip(height=self.height, certificate_hash=Hash32(bytes(32)))

    def fork_id(self) -> ForkId:
        return self.fork

    def accepts_fork(self, fork_id: ForkId) -> bool:
        return fork_id == self.fork

    def validators(self) -> frozenset[Address]:
        return self.members


@dataclass
class Signer:
    key: PrivateKey

    @property
    def address(self) -> Address:
        return self.key.address

    def sign_proof(self, digest: bytes) -> bytes:
        return self.key.sign(digest)


@dataclass
class Handlers:
    """Keeps what came, answers what the test says."""

    messages: list[tuple[bytes, NodeId]] = field(default_factory=list)
    certificates: list[tuple[int, bytes]] = field(default_factory=list)
    batches: list[bytes] = field(default_factory=list)
    ready: list[PeerInfo] = field(default_factory=list)
    gone: list[PeerInfo] = field(default_factory=list)
    opening: OpeningMessages = field(default_factory=OpeningMessages)
    chain: list[bytes] = field(default_factory=list)
    bodies: dict[bytes, bytes] = field(default_factory=dict)
    verdict: Callable[[bytes], Verdict] = lambda _: Verdict.RELAY

    def upon_consensus_message(self, raw: bytes, peer: NodeId) -> Verdict:
        self.messages.append((raw, peer))
        return self.verdict(raw)

    def upon_certificate(self, height: Height, certificate: bytes, peer: NodeId) -> Verdict:  # noqa: ARG002 - the port's
        self.certificates.append((height, certificate))
        return self.verdict(certificate)

    async def upon_transactions(self, batch: bytes, peer: PeerInfo) -> Verdict:  # noqa: ARG002 - the port's
        self.batches.append(batch)
        return self.verdict(batch)

    def upon_peer_ready(self, peer: PeerInfo) -> None:
        self.ready.append(peer)

    def upon_peer_gone(self, peer: PeerInfo) -> None:
        self.gone.append(peer)

    def opening_messages(self) -> OpeningMessages:
        return self.opening

    async def blocks(self, first: Height, count: int, bytes_max: int) -> Sequence[bytes]:
        taken: list[bytes] = []
        for block in self.chain[first : first + count]:
            if sum(map(len, taken)) >= bytes_max:
                break
            taken.append(block)
        return taken

    async def body(self, block_hash: Hash32) -> bytes | None:
        return self.bodies.get(block_hash)


@dataclass
class Node:
    """A network with what stands behind it, and the task that runs it."""

    name: str
    network: Network
    chain: Chain
    handlers: Handlers
    store: MemoryPeerStore
    key: NodeKey
    task: asyncio.Task[None] | None = None
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    """Of connections that the test has opened to it by hand."""

    @property
    def enode(self) -> str:
        return str(self.network.enode)

    @property
    def received(self) -> list[bytes]:
        return [raw for raw, _ in self.handlers.messages]

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait({self.task}, timeout=WAIT_S)
            self.task = None
        for writer in self.writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        self.writers.clear()


class Networks:
    """Makes nodes, and stops them all at the end."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    @property
    def priority(self) -> type[Priority]:
        return Priority

    def chain(self, *validators: str) -> Chain:
        return Chain(members=frozenset(PrivateKey(secret(f"validator {v}")).address for v in validators))

    async def start(
        self,
        name: str,
        *,
        chain: Chain | None = None,
        is_validator: bool = False,
        store: MemoryPeerStore | None = None,
        handlers: Handlers | None = None,
        key: NodeKey | None = None,
        **config: object,
    ) -> Node:
        chain = chain or Chain()
        handlers = handlers or Handlers()
        store = store or MemoryPeerStore()
        key = key or NodeKey(secret(f"node {name}"))
        settings: dict[str, object] = {
            "key": key,
            "client": f"test/{name}",
            "listen_port": free_port(),
            "discovers": False,
        }
        network = Network(
            NetworkConfig(**(settings | config)),  # type: ignore[arg-type]
            chain=chain,
            handlers=handlers,
            signer=Signer(PrivateKey(secret(f"validator {name}"))) if is_validator else None,
            store=store,
            random=Random(name),
        )
        node = Node(name=name, network=network, chain=chain, handlers=handlers, store=store, key=key)
        node.task = asyncio.create_task(network.run(), name=name)
        self.nodes.append(node)
        async with asyncio.timeout(WAIT_S):
            ready = asyncio.create_task(network.ready.wait())
            await asyncio.wait({ready, node.task}, return_when=asyncio.FIRST_COMPLETED)
            if node.task.done():
                ready.cancel()
                node.task.result()
        return node

    async def stop(self) -> None:
        for node in self.nodes:
            await node.stop()


def free_port() -> int:
    """Return a port that is free for TCP and UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


QUESTIONS_AND_ANSWERS = {"GetBlocks", "Response"}


async def wait_quiet(*nodes: Node) -> None:
    """Wait until nothing is under way between the nodes, so that what has not come will not come.

    A question and its answer go behind everything else that is queued for a connection. When all connections have been asked in both
    directions and nobody has got anything but questions and answers meanwhile, nothing was on its way, and nothing was about to be said.
    """

    def heard() -> list[dict[str, int]]:
        counts = [node.network.statistics().messages_in for node in nodes]
        return [{k: n for k, n in each.items() if k not in QUESTIONS_AND_ANSWERS} for each in counts]

    def is_about_to_speak(node: Node) -> bool:
        exchange = node.network._exchange
        return bool(exchange._announced) or not exchange._transactions.empty()

    async with asyncio.timeout(WAIT_S):
        while True:
            before = heard()
            await wait_until(lambda: not any(map(is_about_to_speak, nodes)), "everything is said")
            for node in nodes:
                for peer in node.network._roster.ready():
                    await peer.ask(2**20, WAIT_S, GetBlocks, first=Height(2**40), count=1)
            if heard() == before and not any(map(is_about_to_speak, nodes)):
                return


def is_settled(*nodes: Node) -> bool:
    """Whether each connection is kept by the one dial loop that made it, and no other loop is at work.

    The others have found the connection, and sleep until it ends.
    """
    open_connections = [peer for node in nodes for peer in node.network._roster.connections]
    served_by_dialler = sum(len(node.network._dialling) for node in nodes)
    return all(peer.is_ready for peer in open_connections) and len(open_connections) == 2 * served_by_dialler


async def wait_until(condition: Callable[[], object], what: str = "") -> None:
    """Wait for a condition on what other tasks do; polls, as the tasks are many and the wait is short."""
    try:
        async with asyncio.timeout(WAIT_S):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not in {WAIT_S:g} s: {what or condition}") from None


@pytest.fixture(params=LOOPS)
def run(request) -> Callable[[Callable[[Networks], Awaitable[None]]], None]:
    """Run a test's coroutine with networks that are stopped after it."""

    def run_test(test: Callable[[Networks], Awaitable[None]]) -> None:
        async def main() -> None:
            networks = Networks()
            try:
                await test(networks)
            finally:
                await networks.stop()

        loop_factory = uvloop.new_event_loop if request.param == "uvloop" else None
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())

    return run_test


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    return wait_until


@pytest.fixture
def until_quiet() -> Callable[..., Awaitable[None]]:
    return wait_quiet


@pytest.fixture
def settled() -> Callable[..., bool]:
    return is_settled
