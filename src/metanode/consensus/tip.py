"""Where a core stands: the latest decided block, and what people and metrics are shown of the height after it."""

from collections.abc import Mapping
from dataclasses import dataclass

from metanode.chain.certificate import Certificate
from metanode.chain.header import ConsensusHeader
from metanode.chain.state import ConsensusState
from metanode.consensus.height import Phase
from metanode.consensus.inputs import Mode
from metanode.primitives.types import Address, Hash32, Height, Round


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """The latest decided block, and every seal on it that has come so far."""

    header: ConsensusHeader
    state: ConsensusState
    """The state after it."""
    certificate: Certificate | None
    """None for the genesis block."""
    seals: dict[Address, bytes]
    """For the certificate's round and block; the next block's certificate takes them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What `ibft_getConsensusState` and the metrics show."""

    height: Height
    round: Round
    phase: Phase
    mode: Mode
    is_shared: bool
    """Whether a quorum is in the round or beyond it; else it has no deadline."""
    proposer: Address
    accepted: Hash32 | None
    prepared_round: Round | None
    prepare_weight: int
    commit_weight: int
    round_change_weight: int
    """Of those who asked for the current round."""
    quorum_weight: int
    total_power: int
    round_change_rounds: Mapping[Address, Round]
    """The highest round that each validator asked for."""
    signs: bool
    """Whether this node votes at this height."""
    silent_until: Height
    """Nothing is signed below this height."""
    missing_body: Hash32 | None
    """A proposal, or a decision, whose block has not come."""
    is_accepted_valid: bool
    """Whether the execution client has found the accepted block valid."""
    kept: int
    """Messages and bodies in memory."""
