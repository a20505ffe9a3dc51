"""What the driver counts since its start, for metrics and for `ibft_getConsensusState`."""

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from metanode.consensus import wire
from metanode.consensus.effects import BlockRefused, Decided, RoundEntered
from metanode.consensus.inputs import Input, RoundTimeout, Started
from metanode.consensus.messages import Commit, Decision, Message, Proposal, step_of
from metanode.node.round_watch import Core, RoundWatch
from metanode.primitives.types import Address, Height, Round
from metanode.telemetry.metrics import DATABASE_BUCKETS_S, DELAY_BUCKETS_S
from metanode.telemetry.tally import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class LastMessage:
    """The last thing heard of a validator."""

    kind: str
    height: Height
    round: Round
    at_ms: int
    """Wall clock."""
    at_s: float
    """Monotonic."""


def _delays() -> Tally:
    return Tally(DELAY_BUCKETS_S)


def _operations() -> Tally:
    return Tally(DATABASE_BUCKETS_S)


@dataclass(slots=True, kw_only=True)
class Statistics:
    """Counters since the start, for metrics. The driver says what happens, as it happens."""

    received: Counter[str] = field(default_factory=Counter)
    """Taken in, by type of message."""
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By type of message and reason."""
    sent: Counter[str] = field(default_factory=Counter)
    """By type of message."""
    decided: Counter[str] = field(default_factory=Counter)
    """By where the block is from: "proposed" by this node, "gossip" or "sync"."""
    rounds_entered: int = 0
    round_changes: Counter[str] = field(default_factory=Counter)
    """By reason."""
    missed: Counter[Address] = field(default_factory=Counter)
    """Rounds that ended without a decision, by their proposer."""
    round_started_ms: int = 0
    """Wall clock."""
    round_timeout_ms: int = 0
    """From the start of the latest round to its deadline."""
    decision_delay: Tally = field(default_factory=_delays)
    """From the start of its round to a decision."""
    propagation: defaultdict[Address, Tally] = field(default_factory=lambda: defaultdict(_delays))
    """Between a fresh block's timestamp and this clock when its proposal was here, by who proposed it: validators only, the messages of others are not taken."""
    signer_append: Tally = field(default_factory=_operations)
    """Making signatures durable in signer.log."""
    node_save: Tally = field(default_factory=_operations)
    """Saving consensus' record, bodies and decisions in node.db."""
    last_messages: dict[Address, LastMessage] = field(default_factory=dict)
    last_by_kind: dict[tuple[Address, str], LastMessage] = field(default_factory=dict)
    """The last message of each kind, of each validator."""
    last_seals: dict[Address, Height] = field(default_factory=dict)
    """The latest block that holds each validator's seal, of those decided in this life."""
    began_at_s: float | None = None
    """When this life began, by the event loop's clock."""
    decided_at_s: float = 0.0
    """When the last block became visible, or this life began."""
    final: Height = Height(0)  # noqa: RUF009 - an int
    """The height up to which all is visible."""
    watch: RoundWatch = field(default_factory=RoundWatch)
    _handled: Input | None = None
    """What the core was given last, whose effects are performed."""
    _round: RoundEntered | None = None
    """The round that was entered last."""
    _refused_in: tuple[Height, Round] | None = None
    """Where a proposal was refused last."""
    _refusals_told: set[Round | None] = field(default_factory=set)
    """Rounds of that height of which it was said; None for all that were not ours."""
    _importing: set[Height] = field(default_factory=set)
    """Heights that sync has handed in and that are not final."""

    def upon_input(self, event: Input) -> None:
        """Note what the core is given."""
        self._handled = event

    def look(self, core: Core, final: Height) -> None:
        """Note where the core stands; `final` is the height up to which all is visible."""
        now = asyncio.get_running_loop().time()
        if self.began_at_s is None:
            self.began_at_s = self.decided_at_s = now
        elif final > self.final:
            self.decided_at_s = now
        self.final = final
        self.watch.observe(core, final=final, now=now)

    def reject(self, raw: bytes, reason: str) -> None:
        """Count a message that is not decoded, or could not be."""
        self.rejected[wire.kind_of(raw), reason] += 1

    def take(self, message: Message, core: Core, *, is_wanted: bool, now_ms: int) -> None:
        """Count a message that was decoded; one that nobody needs is refused, though its author may get an answer."""
        kind = kind_of(message)
        if isinstance(message, Decision):
            self.received[kind] += 1
            return
        heard = LastMessage(
            kind=kind,
            height=message.height,
            round=message.round,
            at_ms=now_ms,
            at_s=asyncio.get_running_loop().time(),
        )
        self.last_messages[message.author] = self.last_by_kind[message.author, kind] = heard
        if isinstance(message, Commit):
            self.watch.upon_commit(message.author, message.height, asyncio.get_running_loop().time())
        is_late_seal = isinstance(message, Commit) and message.height == core.height - 1
        if not (is_wanted or is_late_seal):
            is_past = (message.height, message.round) < (core.height, core.round)
            self.rejected[kind, "old" if is_past else "future"] += 1
            return
        self.received[kind] += 1
        if isinstance(message, Proposal) and message.block is not None:
            is_fresh = message.justification is None or message.justification.prepared is None
            if is_fresh:
                # What a clock ahead of ours has sent is before its time, and as far away from it.
                self.propagation[message.author].observe(abs(now_ms / 1000 - message.header.timestamp))

    def send(self, message: Message) -> None:
        """Count a message that leaves."""
        self.sent[kind_of(message)] += 1

    def start_round(self, *, after_ms: int, now_ms: int) -> None:
        """Note that a round's timer starts."""
        self.round_started_ms, self.round_timeout_ms = now_ms, after_ms

    def enter_round(self, effect: RoundEntered) -> None:
        """Count a round, and why the one before it was left."""
        self.rounds_entered += 1
        before, self._round = self._round, effect
        if effect.round == 0:
            return
        self.round_changes[self._round_change_reason(before)] += 1
        if before is not None and before.height == effect.height:
            self.missed[before.proposer] += 1

    def refuse_block(self, effect: BlockRefused, *, current: Round) -> bool:
        """Note that a proposal breaks a rule; return whether that is news.

        It is once in each round that we come to, and once at a height for all other rounds: a liar proposes in as many as it likes.
        """
        if self._refused_in is None or self._refused_in[0] != effect.height:
            self._refusals_told.clear()
        self._refused_in = (effect.height, effect.round)
        place = effect.round if effect.round == current else None
        is_news = place not in self._refusals_told
        self._refusals_told.add(place)
        return is_news

    def import_block(self, height: Height) -> None:
        """Note that sync hands in a block."""
        self._importing.add(height)

    def decide(self, decided: Decided, *, own: Address | None, now_ms: int) -> None:
        """Count a decision that is durable."""
        height = decided.block.height
        for signer in decided.certificate.addresses(decided.state.last_validators):
            self.last_seals[signer] = height
        if height in self._importing:
            self._importing.discard(height)
            self.decided["sync"] += 1
            return
        self.decided["proposed" if decided.block.header.proposer == own else "gossip"] += 1
        self.decision_delay.observe(max(0, now_ms - self.round_started_ms) / 1000)

    def _round_change_reason(self, before: RoundEntered | None) -> str:
        if isinstance(self._handled, Started):
            return "restart"
        if before is not None and self._refused_in == (before.height, before.round):
            return "invalid_proposal"
        # Else others have left the round, or a proposal is justified by them.
        return "timeout" if isinstance(self._handled, RoundTimeout) else "quorum_rc"


def kind_of(message: Message) -> str:
    """Return the type of a message, as metrics name it."""
    return "decision" if isinstance(message, Decision) else step_of(message).name.lower()
