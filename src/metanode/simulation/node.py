"""One simulated node: the real core and driver, on a disk and a network that the scenario controls."""

import asyncio
import random
from collections.abc import Callable
from functools import partial

from metanode.chain.certificate import Certificate
from metanode.chain.execution_header import ExecutionHeader
from metanode.chain.parameters import ChainRules
from metanode.consensus import wire
from metanode.consensus.inputs import Mode
from metanode.consensus.messages import Message
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import Unavailable
from metanode.node.driver import Driver
from metanode.node.round_watch import Core
from metanode.node.statistics import Statistics
from metanode.node.sync import ChainSync
from metanode.primitives.types import Address, Hash32, Height
from metanode.simulation.disk import Disk
from metanode.simulation.engine import EngineModel, SimulatedEngine
from metanode.simulation.life import Killed, Life
from metanode.simulation.network import NodeNetwork, SimulatedNetwork
from metanode.simulation.peers import Answers, SimulatedPeers
from metanode.simulation.watched_engine import WatchedEngine


class SimulatedClock:
    """Wall time: virtual time from the genesis on, with this node's own error. Timers use virtual time itself, as real ones a monotonic clock."""

    def __init__(self, genesis_time: int) -> None:
        self._genesis_ms = genesis_time * 1000
        self.offset_ms = 0
        self._drift_ppm = 0
        self._drifts_from_s = 0.0

    def wall_ms(self) -> int:
        """See Clock."""
        now_s = asyncio.get_running_loop().time()
        drifted_ms = round((now_s - self._drifts_from_s) * self._drift_ppm / 1000)
        return self._genesis_ms + round(now_s * 1000) + self.offset_ms + drifted_ms

    def step(self, by_ms: int) -> None:
        """Move at once, as an operator or a time server does."""
        self.offset_ms += by_ms

    def set_drift(self, ppm: int) -> None:
        """Run fast or slow from now on; what has come together so far stays. Before a run: from its beginning on."""
        try:
            now_s = asyncio.get_running_loop().time()
        except RuntimeError:
            now_s = 0.0
        self.offset_ms += round((now_s - self._drifts_from_s) * self._drift_ppm / 1000)
        self._drift_ppm, self._drifts_from_s = ppm, now_s


class _WatchedStatistics(Statistics):
    """Also tells of every event that the core has handled, its effects performed."""

    def __init__(self, upon_handled: Callable[[], None]) -> None:
        super().__init__()
        self._upon_handled = upon_handled

    def look(self, core: Core, final: Height) -> None:
        """See Statistics."""
        super().look(core, final)
        self._upon_handled()


class SimulatedNode:
    """Owner: the cluster's task group."""

    def __init__(
        self,
        *,
        index: int,
        key: PrivateKey,
        is_validator: bool,
        rules: ChainRules,
        disk: Disk,
        execution_genesis: ExecutionHeader,
        network: SimulatedNetwork,
        seed: random.Random,
        upon_life: Callable[["SimulatedNode"], None],
        upon_valid: Callable[["SimulatedNode", Hash32], None],
        upon_head: Callable[["SimulatedNode", int], None],
        upon_handled: Callable[["SimulatedNode"], None],
    ) -> None:
        self.index = index
        self.key = key
        self.rules = rules
        self.disk = disk
        self.clock = SimulatedClock(rules.parameters.genesis_time)
        self.is_byzantine = False
        self.mischief: Callable[[Message], list[tuple[int, Message]]] | None = None
        """In a byzantine node: what goes to whom in place of a message of its own."""
        self.serves: Callable[[Height, Hash32], bool] = lambda _height, _block_hash: True
        """Whether the node answers when it is asked for this block."""
        self.answers = Answers()
        self.fee_recipient = key.address
        self.engine_model = EngineModel()
        self.crash_at: Callable[[str], bool] = lambda _: False
        """Asked at each of `life.BOUNDARIES`; True kills the node there."""
        self.lives = 0
        self.refusal: Unavailable | None = None
        """Why the node did not start: what it found on its disk."""
        self.failure: BaseException | None = None
        self.may_sign_without_watermark = False
        """The operator's word, for the next life."""
        self._is_validator = is_validator
        self._execution_genesis = execution_genesis
        self._network = network
        self._random = seed
        self._upon_life = upon_life
        self._upon_valid = partial(upon_valid, self)
        self._upon_head = partial(upon_head, self)
        self._upon_handled = partial(upon_handled, self)
        self._life = Life(seed, self._crashes_at)
        self._running: asyncio.Task[None] | None = None
        self._sync: asyncio.Task[None] | None = None
        self._chain_sync = ChainSync()
        self._driver: Driver | None = None
        self.engine = self._make_engine()

    @property
    def address(self) -> Address | None:
        """The validator's address, None for a follower."""
        return self.key.address if self._is_validator else None

    @property
    def driver(self) -> Driver:
        """The driver of the current, or the last, life."""
        assert self._driver is not None
        return self._driver

    @property
    def is_up(self) -> bool:
        """Tell whether the node has a life, though it may still recover."""
        return self._running is not None and not self._running.done()

    @property
    def is_running(self) -> bool:
        """Tell whether the node is up and has recovered."""
        # Asked for every link and every message: the cheapest question first, and none through another property.
        running, driver = self._running, self._driver
        return (
            running is not None
            and driver is not None
            and not self._life.has_ended
            and not running.done()
            and driver.is_running
        )

    @property
    def is_halted(self) -> bool:
        """Tell whether the node is up, and has stopped taking part for good."""
        return self.is_running and self.driver.halted is not None

    @property
    def is_live(self) -> bool:
        """Tell whether the node takes part."""
        return self.is_running and self.driver.mode is Mode.LIVE

    @property
    def is_engine_available(self) -> bool:
        """Whether the execution client is there."""
        return self.engine_model.is_available

    @is_engine_available.setter
    def is_engine_available(self, is_available: bool) -> None:
        self.engine_model.is_available = is_available

    @property
    def tip_certificate(self) -> Certificate | None:
        """What the node says of its tip when a connection begins."""
        if self.is_running:
            return self.driver.tip.certificate
        return self.disk.certificates[-1] if self.disk.certificates else None

    def own_messages(self) -> list[tuple[bytes, Message]]:
        """Return what the node sends when a connection begins."""
        if self.is_byzantine:
            return []
        return [(raw, wire.decode(raw, self.rules.domain)) for raw in self.driver.own_messages()]

    def find_block(self, height: Height, block_hash: Hash32) -> bytes | None:
        """Return an encoded block that the node has, decided or not."""
        if not self.serves(height, block_hash):
            return None
        if 0 < height <= self.disk.tip and self.disk.blocks[height - 1].hash == block_hash:
            return self.disk.blocks[height - 1].encode()
        return self.driver.find_body(block_hash)

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Begin a life with what the disk holds."""
        assert not self.is_up
        self.lives += 1
        self.engine = self._make_engine()
        self._chain_sync = ChainSync()
        life = self._life = Life(self._random, self._crashes_at)
        try:
            signer = self.disk.open_signer(life, self.key) if self._is_validator else None
            store = self.disk.open_store(life)
        except Unavailable as error:
            self.refusal = error
            self.disk.cut_power(self._random)
            return
        self.refusal = None
        self.disk.read_payload = self.engine.finalized
        self._driver = Driver(
            rules=self.rules,
            store=store,
            signer=signer,
            network=NodeNetwork(self._network, self.index, life),
            synchroniser=self,
            execution=WatchedEngine(self.engine, life, self._upon_valid, self._upon_head),
            clock=self.clock,
            fee_recipient=self.fee_recipient,
            may_sign_without_watermark=self.may_sign_without_watermark,
        )
        self._driver.statistics = _WatchedStatistics(self._upon_handled)
        self._upon_life(self)
        self._running = tasks.create_task(self._live(self._driver, life), name=f"node {self.index}")

    def crash(self) -> None:
        """Kill the node at once."""
        for task in (self._sync, self._running):
            if task is not None:
                task.cancel()
        self._die(self._life)

    def fall_behind(self, height: Height) -> None:
        """See Synchroniser."""
        self._chain_sync.fall_behind(height)

    async def _live(self, driver: Driver, life: Life) -> None:
        asyncio.get_running_loop().call_soon(self._connect, driver)
        try:
            await driver.run()
        except Killed:
            pass
        except BaseExceptionGroup as error:
            # Whatever a node says while it is being killed is nobody's business.
            if not life.has_ended:
                self.failure = error
        finally:
            self._die(life)

    def _die(self, life: Life) -> None:
        """Leave behind what is durable, once."""
        life.has_ended = True
        if life.is_buried:
            return
        life.is_buried = True
        self.disk.payloads = self.engine.decided
        self.disk.cut_power(self._random)
        self._network.disconnect(self.index)

    def _connect(self, driver: Driver) -> None:
        if driver is not self._driver or not self.is_up:
            return
        if not driver.is_running:
            asyncio.get_running_loop().call_later(0.001, self._connect, driver)
            return
        peers = SimulatedPeers(self, driver, self._network)
        loop = asyncio.get_running_loop()
        self._sync = loop.create_task(self._chain_sync.run(peers, peers), name=f"sync {self.index}")
        self._sync.add_done_callback(self._upon_sync_ended)
        self._network.connect(self.index)

    def _upon_sync_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, BaseExceptionGroup):
            error = error.split(Killed)[1]
        if error is not None and not isinstance(error, Killed):
            self.failure = error

    def _crashes_at(self, boundary: str) -> bool:
        return self.crash_at(boundary)

    def _make_engine(self) -> SimulatedEngine:
        return SimulatedEngine(
            self._execution_genesis, decided=self.disk.payloads, model=self.engine_model, seed=self._random
        )
