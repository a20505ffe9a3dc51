"""The composition root: opens every part of a node in order, hands each the others, and closes them in reverse.

Nothing is decided here. `run_node` is what `metanode node` calls; it returns when SIGTERM or SIGINT has been obeyed, and
raises when a part could not be opened. A node that had to halt stays up, signs nothing, and shows why.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import platform
import signal
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog
import uvloop

from metanode import __version__
from metanode.crypto.addresses import format_address
from metanode.errors import MetanodeError, StorageFailed, Unavailable
from metanode.execution.client import TransactionsPending
from metanode.execution.embedded import EmbeddedOptions, open_embedded
from metanode.node.clock_offset import clock_offset_s
from metanode.node.clock_watch import ClockState, ClockWatch
from metanode.node.data_directory import check_no_import
from metanode.node.disk_fault import explain_disk_fault
from metanode.node.driver import Driver
from metanode.node.genesis_source import find_genesis
from metanode.node.keys import load_node_key, load_validator_key
from metanode.node.listening import explain_taken_ports, local_addresses, open_listener
from metanode.node.measurements import Measurements
from metanode.node.operator_http import OperatorApplication, serve
from metanode.node.peering import ConsensusLink, PeerHandlers, PeerStatus
from metanode.node.service_manager import notify_ready, notify_stopping
from metanode.node.services import ServiceWatch
from metanode.node.shedding import Shedding
from metanode.node.sync import ChainSync
from metanode.node.views import Administration, ChainView
from metanode.p2p.advertising import is_unspecified
from metanode.p2p.network import Network, NetworkConfig
from metanode.p2p.rlpx.handshake import NodeKey
from metanode.primitives.types import ZERO_ADDRESS
from metanode.rpc.admin import admin_methods
from metanode.rpc.ibft import ibft_methods
from metanode.rpc.server import Listener, RPCLimits, RPCServerConfig, open_server
from metanode.storage.node_store import NodeStore
from metanode.storage.signer import FileSigner
from metanode.storage.signer_log import make_signer_log
from metanode.telemetry.logs import configure_logs

if TYPE_CHECKING:
    from pathlib import Path

    from prometheus_client import CollectorRegistry

    from metanode.chain.block import Block
    from metanode.chain.certificate import Certificate
    from metanode.chain.genesis import Genesis
    from metanode.consensus.effects import Decided
    from metanode.crypto.secp256k1 import PrivateKey
    from metanode.execution.embedded import EmbeddedExecution
    from metanode.node.config import NodeConfig
    from metanode.node.sync import SyncProgress
    from metanode.primitives.types import Address, Height
    from metanode.rpc.server import RPCServer

log = structlog.get_logger(__name__)

LAG_INTERVAL_S: Final = 0.1
"""How often the loop's lateness is measured."""
RECOVERY_POLL_S: Final = 0.005
EXTRA_DATA: Final = b"metanode"


def run_node(
    config: NodeConfig, *, home: Path, genesis_file: Path | None, sign_without_watermark: bool = False
) -> None:
    """Run one node until SIGTERM or SIGINT.

    `sign_without_watermark` is the operator's word that a lost signer.log endangers nothing (docs/spec/consensus.md, Starting again).

    Raises:
        MetanodeError: when a part can't be opened. A node whose going on could contradict what is decided stays up, and shows why.
    """
    configure_logs(level=config.log.level, output_format=config.log.format)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(
            _run_until_signalled(
                config, home=home, genesis_file=genesis_file, sign_without_watermark=sign_without_watermark
            )
        )


async def _run_until_signalled(
    config: NodeConfig, *, home: Path, genesis_file: Path | None, sign_without_watermark: bool
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    opened = await _open_inputs(
        config, home=home, genesis_file=genesis_file, sign_without_watermark=sign_without_watermark
    )
    try:
        async with asyncio.TaskGroup() as tasks:
            node = tasks.create_task(_run(opened), name="node")
            await _first_of(stop, node)
            notify_stopping()
            node.cancel()
    except* asyncio.CancelledError:
        pass
    except* Exception as group:  # noqa: BLE001 - unwrapped and raised again
        error = _explained(_innermost(group), config, data=opened.data)
        if isinstance(error, MetanodeError):
            log.error("node_failed", reason=str(error))  # noqa: TRY400 - a sentence for an operator, no trace
        raise error from None
    log.info("node_stopped")


async def _first_of(stop: asyncio.Event, node: asyncio.Task[None]) -> None:
    """Wait for the signal; the node's own end cancels the wait through the group."""
    waiting = asyncio.ensure_future(stop.wait())  # noqa: TID251 - raced with the node, cancelled below
    try:
        await asyncio.wait({waiting, node}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


def _innermost(group: BaseExceptionGroup[Any]) -> BaseException:
    """The first cause, for the one sentence that the command line prints."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _explained(error: BaseException, config: NodeConfig, *, data: Path) -> BaseException:
    """A port that another process has, in a sentence that names both; a disk that is full or fails, with what to do; any other error as it is."""
    if isinstance(error, StorageFailed):
        return explain_disk_fault(error, data)
    if not isinstance(error, (OSError, Unavailable)) or "address already in use" not in str(error).lower():
        return error
    ports = {"p2p.listen_address": config.p2p.listen_address.port}
    for key in ("rpc_port", "ws_port", "private_port", "metrics_port", "api_port", "dashboard_port"):
        port = getattr(config.server, key)
        if port:
            ports[f"server.{key}"] = port
    return Unavailable(explain_taken_ports(ports, own_pid=os.getpid()) or str(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inputs:
    """What a node starts from, all checked."""

    config: NodeConfig
    home: Path
    data: Path
    genesis: Genesis
    genesis_document: bytes
    validator_key: PrivateKey | None
    node_key: NodeKey
    sign_without_watermark: bool

    @property
    def own(self) -> Address | None:
        """The validator's address; None when this node only follows."""
        return self.validator_key.address if self.validator_key else None

    @property
    def role(self) -> str:
        """For metrics and logs."""
        return "validator" if self.validator_key else "follower"


async def _open_inputs(
    config: NodeConfig, *, home: Path, genesis_file: Path | None, sign_without_watermark: bool
) -> _Inputs:
    key, key_warnings = await asyncio.to_thread(load_validator_key, config.validator, home=home)
    found = find_genesis(
        config, home=home, genesis_file=genesis_file, own_address=key.address if key else None
    )
    for warning in (*key_warnings, *found.warnings, *_rpc_warnings(config)):
        log.warning("configuration_warning", text=warning)
    node_key = load_node_key(home / (config.p2p.node_key or "nodekey"))
    data = home / (config.storage.directory or "data")
    check_no_import(data)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    return _Inputs(
        config=config,
        home=home,
        data=data,
        genesis=found.genesis,
        genesis_document=found.document,
        validator_key=key if config.mining.enabled else None,
        node_key=NodeKey(node_key.secret),
        sign_without_watermark=sign_without_watermark,
    )


async def _run(inputs: _Inputs) -> None:
    """Open everything, serve until cancelled, close everything."""
    config, genesis = inputs.config, inputs.genesis
    kind = config.network.network
    client = f"metanode/v{__version__}-{kind}/{sys.platform}-{platform.machine()}/python{platform.python_version()}"
    log.info(
        "node_starting", role=inputs.role, kind=kind, network=genesis.network_name, chain_id=genesis.chain_id,
        genesis="0x" + genesis.hash.hex(), validator=None if inputs.own is None else format_address(inputs.own),
    )  # fmt: skip
    async with contextlib.AsyncExitStack() as stack:
        is_new = not any((inputs.data / name).exists() for name in ("node.db", "signer.log", "engine"))
        store = await asyncio.to_thread(NodeStore.open, inputs.data / "node.db", genesis)
        stack.push_async_callback(asyncio.to_thread, store.close)
        signer = None
        if inputs.validator_key is not None:
            signer = await asyncio.to_thread(_open_signer, inputs, is_new=is_new)
            stack.push_async_callback(asyncio.to_thread, signer.close)
        execution = await stack.enter_async_context(
            open_embedded(inputs.genesis_document, _engine_options(inputs, client=client))
        )
        link = ConsensusLink()
        sync = ChainSync(partial(_tell_syncing, execution))
        driver = Driver(
            rules=genesis.rules, store=store, signer=signer, network=link, synchroniser=sync, execution=execution,
            clock=_WallClock(), fee_recipient=config.validator.coinbase or inputs.own or ZERO_ADDRESS,
            may_sign_without_watermark=inputs.sign_without_watermark,
        )  # fmt: skip
        network = Network(
            _network_config(inputs, client=client),
            chain=PeerStatus(genesis, driver),
            handlers=PeerHandlers(
                driver=driver, store=store, execution=execution, is_validator=inputs.validator_key is not None
            ),
            signer=signer,
            store=store,
        )
        link.attach(network)
        name = inputs.home.name
        services = ServiceWatch(config.database)
        chain = ChainView(genesis=genesis, driver=driver, store=store, network=network, own=inputs.own)
        administration = Administration(
            name=name, network_kind=kind, client=client, genesis=genesis, driver=driver, network=network,
            services=services, own=inputs.own,
        )  # fmt: skip
        measurements = Measurements(
            name=name, role=inputs.role, network_kind=kind, genesis=genesis, driver=driver, network=network, execution=execution,
            data=inputs.data, own=inputs.own, peer_limit=config.p2p.max_peers,
        )  # fmt: skip
        driver.subscribe(lambda decided: _announce(link, decided))
        driver.subscribe(administration.upon_decided)
        driver.subscribe(measurements.upon_decided)
        driver.subscribe_evidence(measurements.upon_evidence)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(driver.run(), name="consensus")
            # Peers and readers may come when the past is known.
            while not driver.is_running:  # noqa: ASYNC110 - a start of milliseconds, once
                await asyncio.sleep(RECOVERY_POLL_S)
            tasks.create_task(sync.run(network, _SyncTarget(driver)), name="sync")
            tasks.create_task(network.run(), name="peers")
            tasks.create_task(_gossip(execution, network), name="gossip")
            tasks.create_task(services.run(), name="services")
            rpc_config = _rpc_config(inputs, client=client)
            methods = {**ibft_methods(chain), **admin_methods(administration)}
            server = await stack.enter_async_context(
                open_server(rpc_config, methods, engine=execution.engine)
            )
            measurements.rpc = server
            tasks.create_task(_watch(server, network, measurements), name="watch")
            view = _OperatorView(measurements, administration)
            for host, port, page in _operator_listeners(config):
                # Open before the node says that it is ready; who connects right then waits for the import of the server.
                listener = stack.enter_context(open_listener(host, port))
                tasks.create_task(serve(OperatorApplication(view, page=page), listener), name=f"http {port}")
            await network.ready.wait()
            administration.endpoints.update(_endpoints(server, config))
            log.info("node_ready", enode=str(network.enode), **administration.endpoints)
            notify_ready(f"height {driver.final_height}")


def _open_signer(inputs: _Inputs, *, is_new: bool) -> FileSigner:
    """The validator's signer. A node without any data has signed nothing; one that lost only this file can't know."""
    key, path, genesis_hash = inputs.validator_key, inputs.data / "signer.log", inputs.genesis.hash
    assert key is not None, "a follower signs nothing"
    if is_new:
        make_signer_log(path, address=key.address, genesis_hash=genesis_hash)
    return FileSigner.open(path, key, genesis_hash=genesis_hash)


def _announce(link: ConsensusLink, decided: Decided) -> None:
    link.announce(decided.block, decided.certificate)
    block = decided.block
    log.info(
        "block_finalized", height=block.height, round=decided.certificate.round, hash="0x" + block.header.execution_hash.hex(),
        transactions=block.execution.transaction_count, gas=block.execution.header.gas_used,
        seals=len(decided.certificate.seals), proposer="0x" + block.header.proposer.hex(),
    )  # fmt: skip


def _tell_syncing(execution: EmbeddedExecution, progress: SyncProgress | None) -> None:
    if progress is None:
        execution.set_syncing(starting=0, current=0, highest=None)
    else:
        execution.set_syncing(starting=progress.starting, current=progress.current, highest=progress.highest)


async def _gossip(execution: EmbeddedExecution, network: Network) -> None:
    """Hand transactions that entered our pool to the peers."""
    async for event in execution.events():
        if isinstance(event, TransactionsPending):
            network.broadcast_transactions(event.transactions_rlp)


async def _watch(server: RPCServer, network: Network, measurements: Measurements) -> None:
    """Measure how late the loop runs, and tell the RPC server what it answers for us."""
    loop = asyncio.get_running_loop()
    shedding, clock = Shedding(), ClockWatch()
    while True:
        due = loop.time() + LAG_INTERVAL_S
        await asyncio.sleep(LAG_INTERVAL_S)
        lag_s = max(0.0, loop.time() - due)
        measurements.observe_lag(lag_s)
        if shedding.observe(lag_s):
            server.set_shedding(shedding=shedding.is_active)
        peers = network.peers()
        server.set_peer_count(len(peers))
        offset_s = clock_offset_s(peers)
        if clock.observe(offset_s):
            _tell_clock(clock.state, offset_s or 0.0)


def _tell_clock(state: ClockState, offset_s: float) -> None:
    log.log(
        {
            ClockState.GOOD: logging.INFO,
            ClockState.WARNING: logging.WARNING,
            ClockState.ERROR: logging.ERROR,
        }[state],
        "clock_offset",
        state=state.value,
        offset_ms=round(offset_s * 1000),
        than="the median of the validators",
    )


def _engine_options(inputs: _Inputs, *, client: str) -> EmbeddedOptions:
    storage, pool = inputs.config.storage, inputs.config.txpool
    return EmbeddedOptions(
        path=inputs.data / "engine",
        cache_bytes=storage.cache_mib << 20,
        history_blocks=storage.history_blocks,
        pool_pending_max=pool.pending_max,
        pool_queued_max=pool.queued_max,
        pool_tip_min_wei=pool.minimum_tip_wei,
        client_version=client,
        extra_data=EXTRA_DATA,
        relays_transactions=inputs.validator_key is None,
    )


def _network_config(inputs: _Inputs, *, client: str) -> NetworkConfig:
    peers = inputs.config.p2p
    advertised = peers.advertised_address
    return NetworkConfig(
        key=inputs.node_key,
        client=client,
        listen_host=peers.listen_address.host,
        listen_port=peers.listen_address.port,
        advertised_host=advertised.host if advertised else None,
        advertised_port=advertised.port if advertised else None,
        local_addresses=local_addresses() if is_unspecified(peers.listen_address.host) else (),
        sentries=peers.sentries if inputs.validator_key is not None else (),
        peers=peers.bootstrap_nodes,
        discovers=peers.discovery,
        max_peers=peers.max_peers,
    )


def _rpc_config(inputs: _Inputs, *, client: str) -> RPCServerConfig:
    config = inputs.config
    public = partial(
        Listener,
        address=config.rpc_host,
        cors_origins=config.network.cors_origins,
        namespaces=config.server.namespaces,
        hosts=_rpc_hosts(config),
    )
    listeners = [public(port=config.server.rpc_port)]
    if config.server.ws_port is not None:
        listeners.append(public(port=config.server.ws_port, http=False))
    if config.server.private_port is not None:
        listeners.append(Listener(port=config.server.private_port, private=True))
    return RPCServerConfig(
        listeners=tuple(listeners),
        limits=RPCLimits(
            connections_max=config.server.connections_max,
            connections_per_address_max=config.server.connections_per_address_max,
            requests_per_address_per_second=config.server.requests_per_address_per_second,
            trusted_proxies=config.server.trusted_proxies,
        ),
        client_version=client,
        network_id=inputs.genesis.chain_id,
    )


def _rpc_hosts(config: NodeConfig) -> tuple[str, ...]:
    """The Host headers that are answered. Checking them keeps a page of a foreign origin out; nothing to keep out where all may in."""
    if config.server.allowed_hosts is not None:
        return config.server.allowed_hosts
    return ("*",) if "*" in config.network.cors_origins else ("localhost",)


def _rpc_warnings(config: NodeConfig) -> tuple[str, ...]:
    """What the owner of a public RPC finds out late: it is reached by a name, and answers to none that it was not told."""
    is_public = not ipaddress.ip_address(config.rpc_host).is_loopback
    if not is_public or _rpc_hosts(config) != ("localhost",):
        return ()
    text = (
        f"server.allowed_hosts: not set while RPC listens on {config.rpc_host}; requests that come by a host name are refused with "
        '403. Name the hosts, such as ["rpc.example.org"], or give ["*"] behind a proxy that checks them'
    )
    return (text,)


def _operator_listeners(config: NodeConfig) -> list[tuple[str, int, bool]]:
    """Address, port, and whether / is a page, of each HTTP listener for operators."""
    server = config.server
    listeners = []
    if server.metrics_port is not None:
        listeners.append((server.metrics_address, server.metrics_port, False))
    if server.api_port is not None:
        listeners.append((server.bind_address, server.api_port, False))
    if server.dashboard_port is not None:
        listeners.append((server.bind_address, server.dashboard_port, True))
    return listeners


def _endpoints(server: RPCServer, config: NodeConfig) -> dict[str, str]:
    names = ["rpc", *(["ws"] if config.server.ws_port is not None else []), "private"]
    found = {
        name: f"{'ws' if name == 'ws' else 'http'}://{host}:{port}"
        for name, (host, port) in zip(names, server.addresses, strict=False)
    }
    for name, port in (
        ("metrics", config.server.metrics_port),
        ("api", config.server.api_port),
        ("dashboard", config.server.dashboard_port),
    ):
        if port is not None:
            found[name] = (
                f"http://{config.server.metrics_address if name == 'metrics' else config.server.bind_address}:{port}"
            )
    return found


class _OperatorView:
    """`operator_http.NodeView`: metrics and status together."""

    def __init__(self, measurements: Measurements, administration: Administration) -> None:
        self._measurements = measurements
        self._administration = administration

    @property
    def registry(self) -> CollectorRegistry:
        """The metrics, those that are read on demand brought up to date."""
        self._measurements.refresh()
        return self._measurements.registry

    def unready_reason(self) -> str | None:
        """Why the node should get no traffic."""
        return self._administration.unready_reason(time.time())

    def unhealthy_reason(self) -> str | None:
        """Why an operator must look at this node."""
        return self._administration.unhealthy_reason()

    def status(self) -> dict[str, Any]:
        """The node in one glance."""
        return dict(self._administration.status())


class _WallClock:
    """`node.ports.Clock` of the operating system."""

    def wall_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000


class _SyncTarget:
    """`node.sync.Importer`: the driver."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    @property
    def decided_height(self) -> Height:
        """The height of the latest decided block."""
        return self._driver.tip.header.height

    async def import_decided(self, block: Block, certificate: Certificate) -> None:
        """Take the next block."""
        await self._driver.import_decided(block, certificate)

    def hold_back(self, *, is_behind: bool) -> None:
        """Take no part while others are known to be ahead."""
        self._driver.hold_back(is_behind=is_behind)
