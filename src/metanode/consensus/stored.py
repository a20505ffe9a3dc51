"""What a node's disk gives back when a life begins. Storage makes it, the driver reads it."""

from dataclasses import dataclass

from metanode.chain.certificate import Certificate
from metanode.chain.header import ConsensusHeader
from metanode.chain.state import ConsensusState
from metanode.consensus.fork import Fork
from metanode.consensus.witness import Heard
from metanode.primitives.types import Height


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What a restart finds."""

    header: ConsensusHeader
    """Of the latest decided block; the genesis header in a new store."""
    state: ConsensusState
    """The state after it."""
    certificate: Certificate | None
    """Its certificate; None for the genesis block."""
    record: bytes | None
    """The consensus record last saved, as `ConsensusRecord.encode` gives it."""
    bodies: tuple[bytes, ...]
    """Encoded blocks saved beside the record, of heights not yet decided."""
    fork: Fork | None = None
    """Why a former life halted, until an operator sets it aside."""
    heard: tuple[tuple[Height, Heard], ...] = ()
    """What everybody had signed at the latest decided heights."""
