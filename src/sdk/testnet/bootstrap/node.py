"""`BootstrapNode`: discovery, greetings, the registry and its HTTP view, as one thing that is started and stopped.

Everything happens in one event loop: the one of `start`, or of `run`. `get_peers` and its like may be called from there, or before the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import OrderedDict
from contextlib import ExitStack
from random import Random
from typing import TYPE_CHECKING, Any, Final, Self

import structlog

from metanode import __version__
from metanode.errors import InvalidInput, MetanodeError, Unavailable
from metanode.node.keys import load_node_key
from metanode.node.listening import describe_process, listeners, local_addresses, open_listener
from metanode.p2p.advertising import is_unspecified
from metanode.p2p.dialer import resolve
from metanode.p2p.discv4.record import format_record
from metanode.p2p.discv4.service import DiscoveryService
from metanode.p2p.enode import Enode, NodeId
from metanode.p2p.errors import PeerUnavailable
from metanode.p2p.limits import TokenBucket
from metanode.p2p.own_address import OwnAddress
from metanode.p2p.rlpx.handshake import NodeKey
from sdk.testnet.bootstrap import greeting, storing, web
from sdk.testnet.bootstrap.configuration import BootstrapConfig
from sdk.testnet.bootstrap.frugal import FrugalDiscovery
from sdk.testnet.bootstrap.registry import PeerRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from metanode.p2p.discv4.packets import Contact
    from sdk.testnet.bootstrap.greeting import Greeting
    from sdk.testnet.bootstrap.registry import BootstrapPeer

log = structlog.get_logger(__name__)

CHECK_PAUSE_S: Final = 0.5
CHECKS_AT_ONCE: Final = 16
"""Peers that are looked at together, each for eight seconds at most: a thousand dead ones take eight minutes."""
SAVE_PAUSE_S: Final = 1.0
"""Between two saves, so that a flood of new peers costs one write a second."""
GREETINGS_AT_ONCE: Final = 32
GREETINGS_PER_S: Final = 50.0
"""A handshake costs about a millisecond; a thousand nodes that call every 15 s make 67 a second at worst, and try again."""
GREETED_MAX: Final = 4096
"""Nodes that have called before they were listed, whose word is kept until they are."""
ADDRESS_PAUSE_S: Final = 30.0
"""Between two looks whether our own name has moved."""


class BootstrapNode:
    """Where new nodes find the others; see the module.

    Args:
        config: Where to listen and whom to list; by default loopback, port 30303, chain id 9999, nothing on disk.
        wall_clock: Seconds since 1970; for tests.

    Raises:
        InvalidInput: when `data_dir` holds the peers of another chain.
    """

    def __init__(
        self, config: BootstrapConfig | None = None, *, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self.config = config or BootstrapConfig()
        self._clock = wall_clock
        self._random = Random(os.urandom(16))  # noqa: S311 - order of answers, jitter, lookup targets: no secrets
        genesis = self.config.genesis_hash
        self._registry = PeerRegistry(
            max_peers=self.config.max_peers,
            timeout_s=self.config.peer_timeout,
            chain_id=self.config.chain_id,
            genesis_hash=None if genesis is None else bytes.fromhex(genesis[2:]),
        )
        self._client = f"metanode-bootstrap/v{__version__}"
        self._key: NodeKey | None = None
        self._own: OwnAddress | None = None
        self._discovery: DiscoveryService | None = None
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._started_at: float | None = None
        self._port = self.config.listen_port
        self._http_port = self.config.http_port
        self._saved_changes = 0
        self._greeted: OrderedDict[NodeId, Greeting] = OrderedDict()
        self._greetings = 0
        self._greeting_now: set[asyncio.Task[None]] = set()
        self._group: asyncio.TaskGroup | None = None
        self._rate: TokenBucket | None = None
        self._restore()

    def __repr__(self) -> str:
        where = str(self.enode) if self.running else "not running"
        return f"<BootstrapNode of chain {self.config.chain_id}, {len(self._registry)} peers, {where}>"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    # The registry.

    def register_peer(
        self, node_id: str, address: str, port: int, version: str = "", *, chain_id: int | None = None
    ) -> bool:
        """List a peer, at once and unverified; again for the same id refreshes it. Works before `start`.

        A peer whose `node_id` is a key (128 hexadecimal digits) is asked for its endpoint proof once the node runs, and is verified when it gives one.

        Args:
            node_id: The node's public key as in its enode address, or any name without spaces.
            address: IP address or host name.
            port: TCP and UDP.
            version: What it calls itself.
            chain_id: Which chain it is on, if that is known.

        Returns:
            False when `max_peers` are listed, or the peer is of another chain.

        Raises:
            InvalidInput: with a line for each field that no peer can have.
        """
        return self._registry.register(
            node_id=node_id, address=address, port=port, version=version, chain_id=chain_id, now=self._clock()
        )

    def remove_peer(self, node_id: str) -> bool:
        """List a peer no more; return whether it was listed. A node that is alive comes back when it proves its endpoint the next time."""
        peer = self.peers.get(node_id) or self.peers.get(node_id.lower().removeprefix("0x"))
        if peer is None:
            return False
        if self._discovery is not None and peer.key is not None:
            self._discovery.discovery.table.remove(peer.key)
        return self._registry.remove(peer.node_id)

    def get_peers(self, max_count: int = 50, exclude: Collection[str] = ()) -> list[BootstrapPeer]:
        """Return at most so many listed peers but those with the ids in `exclude`: verified ones first, in another order each time."""
        self._registry.expire(self._clock())
        return self._registry.choose(max_count, exclude, self._random)

    @property
    def peers(self) -> Mapping[str, BootstrapPeer]:
        """All listed peers by node id, read only."""
        self._registry.expire(self._clock())
        return self._registry.peers

    @property
    def stats(self) -> dict[str, Any]:
        """The same as `get_stats()`."""
        return self.get_stats()

    def get_stats(self) -> dict[str, Any]:
        """Return counters: `active_peers`, `verified_peers`, `total_peers_seen`, `uptime_seconds` and more."""
        peers = self.peers.values()
        service = self._discovery
        return {
            "running": self.running,
            "enode": str(self.enode) if self._key is not None else None,
            "enr": format_record(service.discovery.record) if service is not None else None,
            "chain_id": self.config.chain_id,
            "active_peers": len(peers),
            "verified_peers": sum(peer.verified for peer in peers),
            "max_peers": self.config.max_peers,
            "total_peers_seen": self._registry.total_seen,
            "refused_peers": self._registry.refused,
            "uptime_seconds": 0.0 if self._started_at is None else time.monotonic() - self._started_at,
            "greetings": self._greetings,
            "table_nodes": 0 if service is None else len(service.discovery.table),
            "datagrams_received": 0 if service is None else service.datagrams_in,
            "datagrams_sent": 0 if service is None else service.datagrams_out,
            "bytes_received": 0 if service is None else service.bytes_in,
            "bytes_sent": 0 if service is None else service.bytes_out,
        }

    # Its life.

    @property
    def running(self) -> bool:
        """Whether the sockets are open and served."""
        return self._ready.is_set()

    @property
    def enode(self) -> Enode:
        """What nodes put into `bootstrap_nodes`; raises InvalidInput before the first start, when there is no key yet."""
        if self._key is None or self._own is None:
            raise InvalidInput("enode: this bootstrap node has not been started, so it has no key yet")
        port = self._own.port or self._port
        return Enode(
            node_id=NodeId(self._key.node_id),
            host=self._own.host or "127.0.0.1",
            tcp_port=port,
            udp_port=port,
        )

    @property
    def http_url(self) -> str | None:
        """Where the registry is shown; None when it is not."""
        if self._http_port is None or not self.running:
            return None
        host = self.config.http_address
        return f"http://{f'[{host}]' if ':' in host else host}:{self._http_port}"

    async def start(self) -> None:
        """Open the sockets and serve from now on; nothing happens when the node runs already.

        Raises:
            Unavailable: when a port is taken, or the disk refuses.
            InvalidInput: when another node uses `data_dir`, or its key file is none.
        """
        if self._task is not None and not self._task.done():
            return
        # An event belongs to the loop in which it is waited for, and a node may be started in another one again.
        self._ready = asyncio.Event()
        self._task = asyncio.create_task(self.run(), name="bootstrap node")
        ready = asyncio.create_task(self._ready.wait(), name="bootstrap node is ready")
        try:
            await asyncio.wait({self._task, ready}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        finally:
            ready.cancel()
        if not self._ready.is_set():
            task, self._task = self._task, None
            await task

    async def stop(self) -> None:
        """Save the registry and close the sockets; nothing happens when the node does not run. Raises what has ended it before."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def run(self) -> None:
        """Serve until cancelled: what `start` does in a task of its own.

        Raises:
            Unavailable: when a port is taken, or the disk refuses.
            InvalidInput: when another node uses `data_dir`, or its key file is none.
        """
        try:
            with ExitStack() as stack:
                if self.config.data_dir is not None:
                    stack.enter_context(storing.locked(self.config.data_dir))
                    # What can't be read was left alone until it was ours.
                    storing.load_peers(self.config.data_dir, self.config.chain_id, set_aside=True)
                await self._load_key()
                await self._serve(stack)
        except BaseExceptionGroup as group:
            # One task has failed and the others were cancelled for it: what has happened is the one.
            raise _first(group) from None
        finally:
            self._ready.clear()
            self._started_at = None
            self._discovery = self._group = None

    async def _serve(self, stack: ExitStack) -> None:
        config = self.config
        tcp = open_listener(config.listen_address, config.listen_port)
        stack.callback(tcp.close)
        self._port = tcp.getsockname()[1]
        self._own = OwnAddress(
            configured=config.advertised_address,
            port=config.advertised_port,
            listening=config.listen_address,
            local=local_addresses() if is_unspecified(config.listen_address) else (),
        )
        http = None
        if config.http_port is not None:
            http = open_listener(config.http_address, config.http_port)
            stack.callback(http.close)
            self._http_port = http.getsockname()[1]
        service = self._discovery = await self._bind_discovery(self._own)
        server = await asyncio.start_server(self._greet, sock=tcp, limit=2**14)
        stack.callback(server.close)
        self._rate = TokenBucket(
            per_s=GREETINGS_PER_S, burst=2 * GREETINGS_PER_S, now=asyncio.get_running_loop().time()
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(service.run(), name="discovery")
                group.create_task(self._check_peers(), name="checks of peers")
                group.create_task(self._follow_addresses(service, self._own), name="addresses")
                if config.data_dir is not None:
                    group.create_task(self._keep_saving(), name="saving")
                if http is not None:
                    group.create_task(web.serve(web.RegistryApplication(self), http), name="http")
                self._group = group
                self._started_at = time.monotonic()
                self._ready.set()
                log.info(
                    "bootstrap_listening", enode=str(self.enode), chain_id=config.chain_id, http=self.http_url
                )
                if config.data_dir is None:
                    log.info(
                        "bootstrap_in_memory",
                        hint="set data_dir to keep the node's key, and so its enode, over restarts",
                    )
                try:
                    await asyncio.Event().wait()
                finally:
                    # The group takes no tasks from here on. Nobody is let in any more, and who has just been is hung up on while its tasks
                    # end: a server that is closed at once forgets whom it has accepted in this turn of the loop.
                    self._ready.clear()
                    asyncio.get_running_loop().remove_reader(tcp)
        finally:
            await self._save()

    async def _bind_discovery(self, own: OwnAddress) -> DiscoveryService:
        assert self._key is not None
        config = self.config
        discovery = FrugalDiscovery(
            key=self._key,
            endpoint=await own.endpoint(tcp_port=self._port, udp_port=self._port),
            now=self._clock(),
            random=self._random,
        )
        service = DiscoveryService(
            discovery,
            host=config.listen_address,
            port=self._port,
            upon_node=self._upon_node,
            clock=self._clock,
        )
        try:
            await service.bind()
        except OSError as error:
            holder = listeners().get(self._port)
            by = "" if holder is None else f", by {describe_process(holder)}"
            raise Unavailable(f"{config.listen_address}:{self._port} (udp): {error.strerror}{by}") from None
        return service

    async def _load_key(self) -> None:
        """The key stays that of the first start: it is in `data_dir`, or in memory."""
        if self._key is not None:
            return
        if self.config.data_dir is None:
            self._key = NodeKey.generate()
        else:
            found = await asyncio.to_thread(load_node_key, self.config.data_dir / "nodekey")
            self._key = NodeKey(found.secret)

    # What comes from the network.

    def _upon_node(self, contact: Contact) -> None:
        """A node has proved its endpoint."""
        now = self._clock()
        self._registry.expire(now)
        is_listed = self._registry.prove(contact, now)
        known = self._greeted.pop(contact.node_id, None)
        if is_listed and known is not None:
            self._note(known)

    def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a caller in a task of our group."""
        now = asyncio.get_running_loop().time()
        if (
            self._group is None
            or self._rate is None
            or not self.running
            or len(self._greeting_now) >= GREETINGS_AT_ONCE
            or not self._rate.take(1, now)
        ):
            writer.transport.abort()
            return
        task = self._group.create_task(self._greet_caller(reader, writer), name="greeting")
        self._greeting_now.add(task)
        task.add_done_callback(self._greeting_now.discard)
        # A task that is cancelled before its first step runs nothing of its own.
        task.add_done_callback(lambda _: writer.close())

    async def _greet_caller(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._key is not None
        try:
            said = await greeting.greet(self._key, self._client, reader, writer)
        except Exception:
            # Our own mistake must cost one connection, not the node.
            log.exception("bootstrap_greeting_failed")
            return
        if said is None:
            return
        self._greetings += 1
        if said.node_id.hex() in self._registry.peers:
            self._note(said)
        elif said.chain_id is not None:
            self._greeted[said.node_id] = said
            self._greeted.move_to_end(said.node_id)
            if len(self._greeted) > GREETED_MAX:
                self._greeted.popitem(last=False)

    def _note(self, said: Greeting) -> None:
        """Take what a node has said of its chain."""
        if said.chain_id is None or said.genesis_hash is None:
            return
        node_id = said.node_id.hex()
        if not self._registry.greeted(
            node_id, version=said.client, chain_id=said.chain_id, genesis_hash=said.genesis_hash
        ):
            log.info("bootstrap_peer_of_another_chain", node=node_id[:16], chain_id=said.chain_id)
            if self._discovery is not None:
                self._discovery.discovery.table.remove(said.node_id)

    async def _check_peers(self) -> None:
        """Look whether listed peers are still where they were, a few at a time."""
        while True:
            now = self._clock()
            self._registry.expire(now)
            due = self._registry.due(now, CHECKS_AT_ONCE)
            async with asyncio.TaskGroup() as group:
                for peer in due:
                    group.create_task(self._check(peer), name=f"check of {peer.node_id[:16]}")
            if len(due) < CHECKS_AT_ONCE:
                await asyncio.sleep(CHECK_PAUSE_S)

    async def _check(self, peer: BootstrapPeer) -> None:
        assert self._discovery is not None
        assert self._key is not None
        ip, found = "", None
        # Nobody answers there, or somebody else does: both are no answer.
        with contextlib.suppress(PeerUnavailable, OSError):
            ip = (await resolve(peer.address))[0]
            found = await self._discovery.identify(ip, peer.udp_port)
        if found is None or found != peer.key:
            self._registry.unanswered(peer.node_id, self._clock())
            return
        self._registry.answered(peer.node_id, self._clock())
        if peer.chain_id is None and peer.port:
            said = await greeting.call(self._key, self._client, found, ip, peer.port)
            if said is not None:
                self._note(said)

    async def _follow_addresses(self, service: DiscoveryService, own: OwnAddress) -> None:
        """Find the other bootstrap nodes by their names, and notice that our own name has moved."""
        while True:
            for enode in self.config.enodes:
                try:
                    service.add_bootstrap(enode, (await resolve(enode.host))[0])
                except PeerUnavailable as error:
                    log.warning("bootstrap_node_unresolved", enode=str(enode), error=str(error)[:200])
            endpoint = await own.endpoint(tcp_port=self._port, udp_port=self._port)
            if endpoint.ip is not None and endpoint != service.discovery.endpoint:
                service.discovery.move(endpoint)
            await asyncio.sleep(ADDRESS_PAUSE_S)

    # What is kept.

    def _restore(self) -> None:
        if self.config.data_dir is None:
            return
        peers, total_seen = storing.load_peers(self.config.data_dir, self.config.chain_id)
        self._registry.restore(peers, total_seen, self._clock())
        self._saved_changes = self._registry.changes

    async def _keep_saving(self) -> None:
        while True:
            await self._save()
            await asyncio.sleep(SAVE_PAUSE_S)

    async def _save(self) -> None:
        """Save if something has changed; a disk that refuses costs what is new, not the node."""
        changes = self._registry.changes
        if self.config.data_dir is None or changes == self._saved_changes:
            return
        peers = list(self._registry.peers.values())
        try:
            await asyncio.to_thread(
                storing.save_peers,
                self.config.data_dir,
                self.config.chain_id,
                peers,
                self._registry.total_seen,
            )
        except MetanodeError as error:
            log.error("bootstrap_registry_not_saved", error=str(error)[:300])  # noqa: TRY400 - the sentence says it all
        else:
            self._saved_changes = changes


async def run_bootstrap(config: BootstrapConfig) -> None:
    """Serve as a bootstrap node until cancelled; who calls this owns the process and its signals.

    Raises:
        Unavailable: when a port is taken, or the disk refuses.
        InvalidInput: when `data_dir` is another node's, or of another chain.
    """
    await BootstrapNode(config).run()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
