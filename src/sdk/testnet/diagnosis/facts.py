"""What is known of a network at one moment, node by node: what a diagnosis goes by. Pure; addresses are lower-case text, as nodes send them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Trouble(Enum):
    """Why there is no consensus state of a node."""

    NOT_RUNNING = "not running"
    """Its process is not there; known of local nodes only."""
    SUSPENDED = "suspended"
    """Its process was stopped by a signal and waits for another one; local nodes only."""
    UNREACHABLE = "unreachable"
    """Nobody listens there."""
    MUTE = "mute"
    """Somebody listens, and does not answer in time."""
    NO_JSON_RPC = "no JSON-RPC"
    """What answers speaks something else."""
    OTHER_CLIENT = "another client"
    """An execution client that is not ours."""
    NOT_OFFERED = "ibft_ is not offered"
    """A node of ours whose listener does not offer the namespace."""
    UNREADABLE = "unreadable"
    """A consensus state of another version's shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastMessage:
    """The last thing that was heard of a validator."""

    kind: str
    height: int
    round: int
    seconds_ago: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorView:
    """One validator as one node sees it."""

    address: str
    power: int
    is_own: bool
    is_connected: bool
    clock_skew_ms: int | None
    """Its clock less the viewer's."""
    round_wanted: int | None
    signed: dict[str, int] = field(default_factory=dict)
    """The highest round of each kind that it has signed at the open height."""
    last_message: LastMessage | None
    last_active: int
    is_skipped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkView:
    """Two decided blocks at one height."""

    height: int
    sealed_both: tuple[str, ...]
    sealed_both_weight: int
    total_weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedPeer:
    """A node of another chain that the viewer has met."""

    address: str
    reason: str
    genesis_hash: str
    validator: str | None
    seconds_ago: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusView:
    """A node's `ibft_getConsensusState`."""

    network: str
    genesis_hash: str
    period_s: int
    validator: str | None
    signs: bool
    silence: str | None
    mode: str
    halted: str | None
    fork: ForkView | None
    head: int
    since_decision_s: float
    up_s: float
    sync_target: int
    engine_head: int
    engine_backlog: int
    engine_trouble: str | None
    height: int
    round: int
    phase: str
    proposer: str
    has_proposal: bool
    is_proposal_valid: bool
    is_block_missing: bool
    prepare_weight: int
    commit_weight: int
    round_change_weight: int
    quorum_weight: int
    total_weight: int
    slot_ms: int | None
    round_ms: int | None
    clock_offset_ms: int | None
    validators: tuple[ValidatorView, ...]
    strangers: tuple[str, ...]
    refused: tuple[RefusedPeer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accusation:
    """A verified proof that a node shows."""

    rule: str
    height: int
    validator: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """A local node's process."""

    pid: int | None
    restarts: int
    last_words: str | None
    """The end of its log, when it does not run; of one that was started again, an error at the end of its log."""
    up_s: float | None = None
    """How long it has been running; None when it does not, or when that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """One node that was asked."""

    name: str
    """As the plan calls it; of a node elsewhere its URL."""
    url: str
    role: str | None = None
    """The plan's."""
    key: str | None = None
    """The address in its key file, of local nodes."""
    home: str | None = None
    """Its directory, of local nodes."""
    trouble: Trouble | None = None
    detail: str = ""
    """What it said instead."""
    process: ProcessFacts | None = None
    consensus: ConsensusView | None = None
    accusations: tuple[Accusation, ...] = ()
    wishes: dict[str, bool] | None = None
    """Whom its validator votes for (True) and against, also those whom the set has or has not by now; None where it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalNetwork:
    """The directory whose nodes were asked."""

    path: str
    is_supervised: bool
    command: str
    """How a command is typed for it, with `{}` for the command's name."""
    start: str
    """The command that starts it, as `status` says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFacts:
    """Everything at one moment."""

    nodes: tuple[NodeFacts, ...]
    local: LocalNetwork | None = None
