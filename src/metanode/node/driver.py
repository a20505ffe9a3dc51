"""Performs what the consensus core decides, in production and in the simulator alike.

One task owns the core: inputs stand in a queue, `handle` turns each into effects, and effects are begun in their order. What takes time
happens beside it: one task writes to the disk in order and answers with Persisted, one asks the execution client, timers and fetches feed
their results back as inputs. Order of a decision: durable, then final in the execution client, then visible (`upon_finalized`).

Bytes from peers are compared with those seen before anything is decoded, and decoded once.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Final, assert_never

import structlog

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.chain.parameters import ChainRules
from metanode.consensus import wire
from metanode.consensus.effects import (
    BlockRefused,
    Broadcast,
    ChargePeer,
    CheckBlock,
    CompareDecided,
    Decided,
    Effect,
    ExtendRoundTimer,
    FallBehind,
    Finalize,
    Halt,
    HoldProposal,
    KeyInUse,
    Persist,
    PreparePayload,
    RequestBody,
    RequestPayload,
    RoundEntered,
    SaveEvidence,
    Send,
    SendDecision,
    StartBlockTimer,
    StartResendTimer,
    StartRoundTimer,
)
from metanode.consensus.evidence import Evidence, Statement
from metanode.consensus.inputs import (
    BlockImported,
    BodyReceived,
    ForkProven,
    Input,
    MessageReceived,
    Mode,
    ModeChanged,
    Persisted,
    Started,
    WishesChanged,
)
from metanode.consensus.machine import Consensus
from metanode.consensus.messages import Decision
from metanode.consensus.phases.guarding import NEVER
from metanode.consensus.record import ConsensusRecord
from metanode.consensus.relay import RelayBudget, is_of_use
from metanode.consensus.stored import Stored
from metanode.consensus.tip import Snapshot, Tip
from metanode.errors import InvalidCertificate, InvalidInput, InvalidSignature
from metanode.execution.client import ExecutionClient, Head
from metanode.node.evidence_keeper import EvidenceKeeper
from metanode.node.execution_worker import ExecutionWorker
from metanode.node.halt import ConsensusHalted, first_halt
from metanode.node.imports import ImportsAhead
from metanode.node.liveness import LiveGate
from metanode.node.past_heights import PastHeights
from metanode.node.ports import Clock, ConsensusStore, Network, Reception, Signer, Synchroniser
from metanode.node.replay import replay
from metanode.node.silence import KeySilence, Silence
from metanode.node.statistics import Statistics
from metanode.node.timers import Timers
from metanode.primitives.types import Address, Hash32, Height, Round

log = structlog.get_logger(__name__)

INPUTS_MAX: Final = 20_000
"""Inputs from peers that may wait; a height of 200 validators has 400. Beyond it messages are dropped, to be sent again."""
INPUTS_A_TURN: Final = 64
"""Inputs handled before the loop serves others: about 5 ms."""
SEEN_MAX: Final = 8_192
"""Raw messages remembered within a round."""
SEEN_WHOLE_BYTES: Final = 256
"""Longer messages are remembered by a hash."""
TIMER_EARLY_S: Final = 0.01
"""A timer may come so much before its time (uvloop counts milliseconds); what is asked only once has to be asked after it."""
BODY_RETRY_S: Final = 0.5


class Driver:
    """One node's consensus, running. Owner: the task of `run`; the other methods are called in the same event loop."""

    def __init__(
        self,
        *,
        rules: ChainRules,
        store: ConsensusStore,
        signer: Signer | None,
        network: Network,
        synchroniser: Synchroniser,
        execution: ExecutionClient,
        clock: Clock,
        fee_recipient: Address,
        may_sign_without_watermark: bool = False,
    ) -> None:
        """`signer` is None in a follower. `may_sign_without_watermark` is the operator's word that a lost watermark endangers nothing."""
        self._rules = rules
        self._store = store
        self._signer = signer
        self._network = network
        self._synchroniser = synchroniser
        self._clock = clock
        self._inputs: deque[Input] = deque()
        self._news = asyncio.Event()
        # Needs no bound: while the disk stands still nothing is released, so the core only adds one for each timeout.
        self._disk: asyncio.Queue[Persist] = asyncio.Queue()
        self._past = PastHeights(
            rules=rules,
            store=store,
            network=network,
            feed=self._feed,
            spawn=self._spawn,
        )
        self._evidence = EvidenceKeeper(store=store, spawn=self._spawn)
        self._timers = Timers(clock=clock, period_s=rules.parameters.period_s, feed=self._feed)
        self._worker = ExecutionWorker(
            client=execution,
            rules=rules,
            clock=clock,
            fee_recipient=fee_recipient,
            feed=self._feed,
            upon_finalized=self._upon_finalized,
            upon_behind=self._upon_behind,
            upon_lost=self._upon_lost,
        )
        self._core: Consensus | None = None
        self._gate = LiveGate(own=signer.address if signer else None, started_at=0.0)
        self._tasks: asyncio.TaskGroup | None = None
        self._height_tasks: dict[asyncio.Task[None], None] = {}
        self._seen: set[bytes] = set()
        self._relays = RelayBudget()
        self._wishes: dict[Address, bool] = {}
        self._is_behind = False
        self._imports = ImportsAhead()
        self._mode = Mode.SYNCING
        self._halted: ConsensusHalted | None = None
        self._silence = KeySilence(signer, may_sign_without_watermark=may_sign_without_watermark)
        self._final = Height(0)
        self._final_moved = asyncio.Event()
        self._upon_decided: list[Callable[[Decided], None]] = []
        self.statistics = Statistics()

    async def run(self) -> None:
        """Recover, then take part until cancelled; once going on could contradict what is decided, only stay to show why."""
        stored = await self._store.load()
        halted: ConsensusHalted | None = None
        try:
            await self._live(stored)
        except* ConsensusHalted as group:
            halted = first_halt(group)
        if halted is not None:
            await self._halt(halted, stored)

    async def _live(self, stored: Stored) -> None:
        head = await self._recover(stored)
        if stored.fork is not None:
            raise ConsensusHalted.by(stored.fork)
        core = self._core = self._make_core(stored, head)
        loop = asyncio.get_running_loop()
        self._gate = LiveGate.of(self._signer, started_at=loop.time())
        self._gate.raise_target(head)
        self._gate.look_for_own(stored.certificate, stored.state.last_validators)
        self._final = Height(min(head, core.tip.header.height))
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._write(), name="consensus disk")
                tasks.create_task(self._worker.run(), name="consensus execution")
                if head < core.tip.header.height:
                    self._is_behind = True
                    replaying = self._replay(head, core.tip.header.height)
                    tasks.create_task(replaying, name="consensus replay")
                loop.call_at(self._gate.waits_until + TIMER_EARLY_S, self._update_mode)
                self._feed(Started())
                self._feed(WishesChanged(wishes=self._wishes))
                self._worker.enter_height(core.height)
                self._update_mode()
                await self._serve()
        finally:
            self._timers.cancel()

    async def _halt(self, halted: ConsensusHalted, stored: Stored) -> None:
        """Keep and show why this node has halted. It signs nothing more, also in its next lives if the reason is a fork."""
        self._halted, self._mode = halted, Mode.HALTED
        self._inputs.clear()
        # As a list: a log cuts long texts, and here nothing may be missing.
        log.error("consensus_halted", reason=str(halted).split(". "), fork=halted.to_json()["fork"])
        fork = halted.fork
        if fork is not None and stored.fork is None:
            await self._store.save_fork(fork)
        await self._evidence.save()
        if self._core is None:
            self._core = self._make_core(stored, Height(0))
            self._final = Height(min(self._worker.head, stored.header.height))
        self._core.handle(ModeChanged(mode=Mode.HALTED))
        # Whoever holds one of the two blocks must hear of the other.
        for raw, message in self._proof():
            self._network.broadcast(raw, message, is_repeat=False)
        await asyncio.Event().wait()

    def _proof(self) -> list[tuple[bytes, Decision]]:
        """Both certificates of the fork that has halted this node, as messages."""
        fork = self._halted.fork if self._halted is not None else None
        decisions = [Decision(certificate=certificate) for certificate in fork.certificates] if fork else []
        return [(wire.encode(decision), decision) for decision in decisions]

    async def _serve(self) -> None:
        while True:
            for _ in range(INPUTS_A_TURN):
                if not self._inputs:
                    break
                self._handle(self._inputs.popleft())
            if self._inputs:
                await asyncio.sleep(0)
                continue
            self._news.clear()
            await self._news.wait()

    def _handle(self, event: Input) -> None:
        core = self._running()
        self.statistics.upon_input(event)
        for effect in core.handle(event):
            self._perform(effect)
        if isinstance(event, BlockImported):
            self._wake_importers()  # The next one is verified while this one is on its way to the disk.
        self.statistics.look(core, self._final)

    async def _recover(self, stored: Stored) -> Height:
        head = await self._worker.recover(stored.header, self._store)
        log.info("consensus_recovered", height=stored.header.height, head=head)
        return head

    def _make_core(self, stored: Stored, head: Height) -> Consensus:
        signer, domain = self._signer, self._rules.domain
        record = ConsensusRecord.decode(stored.record, domain) if stored.record is not None else None
        return Consensus(
            rules=self._rules,
            header=stored.header,
            state=stored.state,
            certificate=stored.certificate,
            own=signer.address if signer else None,
            sign=signer.sign if signer else None,
            watermark=signer.watermark if signer else None,
            record=record,
            bodies=[Block.decode(body) for body in stored.bodies],
            heard=stored.heard,
            silent_until=self._silence.begin(head),
        )

    async def _replay(self, head: Height, until: Height, found: Hash32 | None = None) -> None:
        async def fetch(height: Height, block_hash: Hash32) -> Block | None:
            return await self._fetch(height, block_hash, (), until=None)

        await replay(self._worker, self._store, fetch, head=head, until=until, found=found)
        self._upon_behind(is_behind=False)

    # --- what the rest of the node calls -----------------------------------------------------------------------------------------------

    def receive(self, raw: bytes, peer: str) -> Reception:
        """Take the bytes of a consensus message from a peer, and tell what p2p does with them."""
        core = self._running()
        if self._halted is not None:
            return Reception.DROP
        key = raw if len(raw) <= SEEN_WHOLE_BYTES else hashlib.blake2b(raw, digest_size=32).digest()
        if key in self._seen:
            self.statistics.reject(raw, "duplicate")
            return Reception.DROP
        if len(self._inputs) >= INPUTS_MAX:
            self.statistics.reject(raw, "overload")
            return Reception.DROP
        try:
            message = wire.decode(raw, self._rules.domain, may_author=core.may_author)
        except wire.Unwelcome:
            self.statistics.reject(raw, "not_validator")
            return Reception.DROP
        except InvalidInput as error:
            self.statistics.reject(
                raw, "bad_signature" if isinstance(error, InvalidSignature) else "malformed"
            )
            log.debug("consensus_message_malformed", peer=peer, reason=str(error)[:200])
            return Reception.MALFORMED
        now_ms = self._clock.wall_ms()
        is_wanted = is_of_use(message, height=core.height, round=core.round)
        self.statistics.take(message, core, is_wanted=is_wanted, now_ms=now_ms)
        if len(self._seen) >= SEEN_MAX:
            self._seen.clear()
        self._seen.add(key)
        self._feed(MessageReceived(message=message, peer=peer, now_ms=now_ms))
        if not is_wanted or isinstance(message, Decision) or not self._relays.take(message.author):
            return Reception.DROP
        return Reception.RELAY

    def upon_peer_status(
        self,
        peer: str,
        *,
        validator: Address | None,
        certificate: Certificate | None,
        height: Height | None = None,
    ) -> None:
        """Note what a new peer says of itself: the validator that it has proven to be, its tip, and the height that it claims to have."""
        if validator is not None and self._signer is not None and validator == self._signer.address:
            self._meet_own_key(peer)
        elif validator is not None:
            claimed = height if height is not None else certificate.height if certificate else Height(0)
            self._gate.see(peer, validator, claimed)
        if certificate is not None:
            self.upon_certificate(certificate, peer)
        self._update_mode()

    def upon_peer_gone(self, peer: str) -> None:
        """Note that a peer is not connected any more."""
        self._gate.lose(peer)

    def upon_certificate(self, certificate: Certificate, peer: str) -> None:
        """Take a certificate that a peer has announced; one for the current height decides it, one for another block than ours halts."""
        if len(self._inputs) >= INPUTS_MAX:
            return
        decision = Decision(certificate=certificate)
        self._feed(MessageReceived(message=decision, peer=peer, now_ms=self._clock.wall_ms()))

    def own_messages(self) -> list[bytes]:
        """Return what a new connection is sent at once: our own messages of the current height, or why we have halted."""
        if self._halted is not None:
            return [raw for raw, _ in self._proof()]
        return [wire.encode_again(message) for message in self._running().own_messages]

    def find_body(self, block_hash: Hash32) -> bytes | None:
        """Return an undecided block of the current height, or the tip, encoded."""
        block = self._running().find_body(block_hash)
        return block.encode() if block is not None else None

    async def import_decided(self, block: Block, certificate: Certificate) -> None:
        """Take the next block of the chain from sync; return when it is durable and soon final. A halted node imports nothing: it waits.

        Raises InvalidCertificate, and InvalidInput for a block that is not the next one.
        """
        core = self._running()
        height = block.height
        if certificate.height != height or certificate.block_hash != block.hash:
            raise InvalidCertificate(f"import: the certificate of height {height} is of another block")
        if height <= core.tip.header.height:
            fork = await self._past.find_fork(certificate)
            if fork is not None:
                self._feed(ForkProven(fork=fork, heard=await self._store.heard(height)))
                await asyncio.Event().wait()
            return
        if height != core.height:
            raise InvalidInput(f"import: height {core.height} comes next, found {height}")
        if self._halted is not None:
            await asyncio.Event().wait()
        core.verify_import(block, certificate)
        self._gate.look_for_own(certificate, core.electorate.validators)
        self.statistics.import_block(height)
        self._imports.add(height, len(block.execution_rlp))
        self._feed(BlockImported(block=block, certificate=certificate))
        while core.tip.header.height < height or self._imports.is_full(self._final):
            await self._final_moved.wait()

    def hold_back(self, *, is_behind: bool) -> None:
        """Take part in nothing while sync imports certified blocks of others, whatever is known about how far they are."""
        self._gate.is_held_back = is_behind
        self._update_mode()

    def set_wishes(self, wishes: Mapping[Address, bool]) -> None:
        """Replace the operator's wishes on membership: True to add, False to drop."""
        self._wishes = dict(wishes)
        if self._core is not None:
            self._feed(WishesChanged(wishes=self._wishes))

    @property
    def wishes(self) -> Mapping[Address, bool]:
        """The operator's wishes that stand."""
        return dict(self._wishes)

    @property
    def is_running(self) -> bool:
        """Tell whether recovery is over."""
        return self._core is not None

    @property
    def tip(self) -> Tip:
        """The latest decided block; it may be on its way to the disk."""
        return self._running().tip

    @property
    def final_height(self) -> Height:
        """The latest height that is durable, executed and visible."""
        return self._final

    @property
    def view(self) -> tuple[Height, Round]:
        """The height that is open, and its round."""
        return self._running().view

    @property
    def snapshot(self) -> Snapshot:
        """The core's state for ibft_getConsensusState."""
        return self._running().snapshot

    @property
    def kept(self) -> int:
        """How many messages and bodies the core holds in memory."""
        return self._running().kept

    @property
    def mode(self) -> Mode:
        """How far this node takes part."""
        return Mode.HALTED if self._halted is not None else self._running().mode

    @property
    def halted(self) -> ConsensusHalted | None:
        """Why this node has stopped taking part for good."""
        return self._halted

    @property
    def statements(self) -> Sequence[tuple[Address, Statement]]:
        """What every validator has signed at the open height, of each kind and round the first that came."""
        core = self._running()
        return list(core.statements(core.height))

    @property
    def silence(self) -> Silence | None:
        """Why this node's key signs nothing at the open height."""
        return self._silence.reason(self._running())

    @property
    def is_key_shared(self) -> bool:
        """Tell whether another process was seen to sign with this node's key."""
        return self._silence.is_key_shared

    @property
    def target(self) -> Height:
        """The highest height that is known to be decided."""
        return self._gate.target

    @property
    def engine(self) -> ExecutionWorker:
        """How far the execution client is."""
        return self._worker

    @property
    def timers_ms(self) -> Mapping[str, int | None]:
        """How long until the slot, the round's deadline, the next resending; None for what does not run, as the deadline of a round that waits for a quorum."""
        timers = self._timers.left_ms()
        return timers if self._running().is_round_shared else {**timers, "round": None}

    @property
    def is_timer_armed(self) -> bool:
        """Tell whether the current slot or round has a deadline: true in every live state."""
        return self._timers.is_armed or bool(self._inputs)

    def subscribe(self, upon_decided: Callable[[Decided], None]) -> None:
        """Call back after each block that has become visible."""
        self._upon_decided.append(upon_decided)

    def subscribe_evidence(self, upon_evidence: Callable[[Evidence], None]) -> None:
        """Call back with each new proof that a validator lied."""
        self._evidence.subscribe(upon_evidence)

    # --- effects -----------------------------------------------------------------------------------------------------------------------

    def _perform(self, effect: Effect) -> None:  # noqa: C901, PLR0912 - one line for each effect
        match effect:
            case Persist():
                self._disk.put_nowait(effect)
            case Broadcast():
                self._broadcast(effect)
            case Send():
                self.statistics.send(effect.message)
                self._network.send(effect.peer, wire.encode_again(effect.message), effect.message)
            case SendDecision():
                self._past.send_decision(effect.peer, effect.height)
            case StartBlockTimer():
                self._enter_height(effect)
            case StartRoundTimer():
                self.statistics.start_round(after_ms=effect.after_ms, now_ms=self._clock.wall_ms())
                self._timers.start_round(effect)
            case ExtendRoundTimer():
                self.statistics.round_timeout_ms = effect.after_ms
                self._timers.extend_round(effect)
            case StartResendTimer():
                # What others repeat is heard, and handed on, as often as we repeat ours: somebody may have come since. In round 0 too: a follower
                # between two validators leaves it when others do, whom it may not hear.
                self._forget_messages()
                self._timers.start_resend(effect)
            case PreparePayload():
                self._spawn_for_height(self._worker.build_early(self._running().tip))
            case RequestPayload():
                self._request_payload(effect)
            case CheckBlock():
                self._worker.check(effect.block)
            case RequestBody():
                self._spawn_for_height(self._request_body(effect))
            case Finalize():
                own = self._signer.address if self._signer else None
                self.statistics.decide(effect.decided, own=own, now_ms=self._clock.wall_ms())
                self._worker.finalize(effect.decided)
                self._wake_importers()
                self._evidence.keep_heard(self._running(), effect.decided.block.height)
            case HoldProposal():
                self._hold(effect)
            case FallBehind():
                self._gate.raise_target(effect.height)
                self._update_mode()
                self._synchroniser.fall_behind(effect.height)
            case CompareDecided():
                self._past.compare(effect.certificate, effect.peer)
            case ChargePeer():
                self._past.charge(effect.peer, effect.reason)
            case SaveEvidence():
                self._evidence.keep(effect.evidence)
            case RoundEntered():
                self._enter_round(effect)
            case BlockRefused():
                if self.statistics.refuse_block(effect, current=self._running().round):
                    reason = effect.reason[:200]
                    log.warning("block_refused", height=effect.height, round=effect.round, reason=reason)
            case KeyInUse():
                log.error("validator_key_in_use", height=effect.height, round=effect.round)
                self._silence.is_key_shared = True
            case Halt():
                raise ConsensusHalted(effect.reason, effect.fork)
            case _:
                assert_never(effect)

    def _broadcast(self, effect: Broadcast) -> None:
        raw = wire.encode_again(effect.message) if effect.is_repeat else wire.encode(effect.message)
        self.statistics.send(effect.message)
        self._network.broadcast(raw, effect.message, is_repeat=effect.is_repeat)

    def _forget_messages(self) -> None:
        self._seen.clear()
        self._relays.renew()

    def _enter_height(self, effect: StartBlockTimer) -> None:
        for task in list(self._height_tasks):
            task.cancel()
        self._forget_messages()
        self._worker.enter_height(effect.height)
        self._timers.start_block(effect)
        self._update_mode()

    def _enter_round(self, effect: RoundEntered) -> None:
        # What was dropped for want of room in an earlier round may be what this one needs.
        self._forget_messages()
        self.statistics.enter_round(effect)
        if effect.round > 0:
            log.info(
                "round_entered",
                height=effect.height,
                round=effect.round,
                proposer="0x" + effect.proposer.hex(),
            )

    def _request_payload(self, effect: RequestPayload) -> None:
        tip = self._running().tip
        timeouts = self._rules.parameters.fork(tip.header.timestamp).timeouts
        within_s = timeouts.propose_ms(effect.round) / 1000
        self._spawn_for_height(self._worker.build(tip, effect.round, within_s))

    async def _request_body(self, effect: RequestBody) -> None:
        block = await self._fetch(effect.height, effect.block_hash, effect.holders, until=effect.height)
        if block is not None:
            self._feed(BodyReceived(block=block))

    async def _fetch(
        self, height: Height, block_hash: Hash32, holders: tuple[Address, ...], *, until: Height | None
    ) -> Block | None:
        """Ask peers for a block until one gives the right one, or until the height `until` is over."""
        while until is None or self._running().height <= until:
            raw = await self._network.request_block(height, block_hash, holders)
            if raw is not None:
                try:
                    block = Block.decode(raw, expected=block_hash)
                except InvalidInput as error:
                    log.warning("body_malformed", height=height, reason=str(error)[:200])
                else:
                    if block.hash == block_hash:
                        return block
            await asyncio.sleep(BODY_RETRY_S)
        return None

    def _hold(self, effect: HoldProposal) -> None:
        def give_again() -> None:
            now_ms = self._clock.wall_ms()
            self._feed(MessageReceived(message=effect.proposal, peer=effect.peer, now_ms=now_ms))

        log.warning("proposal_ahead_of_clock", height=effect.proposal.height, ms=effect.after_ms)
        asyncio.get_running_loop().call_later(effect.after_ms / 1000, give_again)

    async def _write(self) -> None:
        """Make Persist effects durable, one after the other: the signer's file first."""
        while True:
            effect = await self._disk.get()
            loop = asyncio.get_running_loop()
            begun = loop.time()
            if effect.signatures and self._signer is not None:
                await self._signer.advance(effect.signatures)
                self.statistics.signer_append.observe(loop.time() - begun)
                begun = loop.time()
            await self._store.save(
                record=effect.record.encode(),
                bodies=[(block.height, block.hash, block.encode()) for block in effect.bodies],
                decided=effect.decided,
            )
            self.statistics.node_save.observe(loop.time() - begun)
            self._feed(Persisted(number=effect.number))

    # --- small parts -------------------------------------------------------------------------------------------------------------------

    def _feed(self, event: Input) -> None:
        if self._halted is not None:
            return
        self._inputs.append(event)
        self._news.set()

    def _upon_finalized(self, decided: Decided) -> None:
        self._final = decided.block.height
        self._wake_importers()
        for callback in self._upon_decided:
            callback(decided)
        self.statistics.look(self._running(), self._final)
        self._update_mode()

    def _upon_behind(self, is_behind: bool) -> None:  # noqa: FBT001 - a callback of one fact
        self._is_behind = is_behind
        self._update_mode()

    def _upon_lost(self, head: Head, until: Height) -> None:
        self._spawn(self._replay(Height(head.number), until, head.hash))

    def _update_mode(self) -> None:
        core = self._core
        if core is None or self._halted is not None:
            return
        now = asyncio.get_running_loop().time()
        if not self._gate.is_open(core.tip.header.height, core.electorate, now):
            mode = Mode.SYNCING
        elif self._is_behind:
            mode = Mode.CATCHING_UP
        else:
            mode = Mode.LIVE
        silent_until = self._silence.find_end(core, self._gate, now) if mode is Mode.LIVE else None
        if mode is not self._mode or silent_until is not None:
            if mode is not self._mode:
                log.info("mode_changed", mode=mode.value, height=core.height)
            self._mode = mode
            self._feed(ModeChanged(mode=mode, silent_until=silent_until))

    def _meet_own_key(self, peer: str) -> None:
        """A peer has proven to hold our key: of the two whoever came last signs nothing."""
        if asyncio.get_running_loop().time() < self._gate.waits_until and not self.is_key_shared:
            self._silence.is_key_shared = True
            log.error("validator_key_met", peer=peer)
            self._feed(ModeChanged(mode=self._mode, silent_until=NEVER))

    def _wake_importers(self) -> None:
        self._final_moved.set()
        self._final_moved = asyncio.Event()

    def _running(self) -> Consensus:
        assert self._core is not None, "the driver is asked before it has recovered"
        return self._core

    def _spawn(self, coroutine: Coroutine[object, object, None]) -> asyncio.Task[None]:
        assert self._tasks is not None
        return self._tasks.create_task(coroutine)

    def _spawn_for_height(self, coroutine: Coroutine[object, object, None]) -> None:
        """Run something that ends, at the latest, with the height."""
        task = self._spawn(coroutine)
        self._height_tasks[task] = None
        task.add_done_callback(lambda done: self._height_tasks.pop(done, None))
