"""The consensus header: what validators sign, and all that a light client needs.

The hash is keccak256 of the canonical RLP of the fields in the order below. It holds neither the current round nor the block's own
certificate: a block that is proposed again in a later round keeps its bytes and its hash, and two nodes that saw different commits agree.
"""

from dataclasses import dataclass, field
from typing import Final

from metanode.chain.voting import Vote
from metanode.crypto.hashing import keccak256
from metanode.primitives import rlp
from metanode.primitives.types import Address, Hash32, Height, Round

EMPTY_EVIDENCE_ROOT: Final = keccak256(rlp.encode([]))
"""Version 1 carries no evidence in blocks: it travels as transactions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusHeader:
    """One height's header. `height` here is the execution header's `number`."""

    version: int
    """Rules that made the block; dispatch on it. 1 is the first."""
    chain_tag: Hash32
    """Hash of the network's consensus parameters (genesis.py)."""
    height: Height
    parent_hash: Hash32
    """Consensus hash of the parent; zero in the genesis header."""
    execution_hash: Hash32
    """Hash of the execution block."""
    requests_hash: Hash32
    """EIP-7685 hash of the execution requests, the same as in the execution header."""
    timestamp: int
    """Seconds since the Unix epoch; greater than the parent's, equal to the execution header's."""
    proposer: Address
    """Who made the block, fixed for ever; zero in the genesis header."""
    proposal_round: Round
    """Round in which the block was made, not the one in which it was decided."""
    validators_hash: Hash32
    """Set that decides this height."""
    next_validators_hash: Hash32
    """Set that decides the next height."""
    consensus_state_root: Hash32
    """Root of the consensus state after the parent."""
    parent_certificate_hash: Hash32
    """Hash of the parent's certificate in the body; zero at heights 0 and 1."""
    vote: Vote | None
    """The proposer's vote on membership."""
    evidence_root: Hash32
    """Always EMPTY_EVIDENCE_ROOT in version 1."""

    hash: Hash32 = field(init=False, compare=False)
    """The consensus hash."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "hash", keccak256(self.encode()))

    def to_item(self) -> rlp.Item:
        """Return the fields as RLP."""
        return [
            rlp.integer(self.version),
            self.chain_tag,
            rlp.integer(self.height),
            self.parent_hash,
            self.execution_hash,
            self.requests_hash,
            rlp.integer(self.timestamp),
            self.proposer,
            rlp.integer(self.proposal_round),
            self.validators_hash,
            self.next_validators_hash,
            self.consensus_state_root,
            self.parent_certificate_hash,
            self.vote.to_item() if self.vote else [],
            self.evidence_root,
        ]

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return rlp.encode(self.to_item())

    @classmethod
    def from_item(cls, item: rlp.Decoded) -> "ConsensusHeader":
        """Return the header of decoded RLP; raises InvalidEncoding that names the field."""
        fields = rlp.Reader(item, "header")
        header = cls(
            version=fields.integer("version"),
            chain_tag=fields.hash32("chain_tag"),
            height=Height(fields.integer("height")),
            parent_hash=fields.hash32("parent_hash"),
            execution_hash=fields.hash32("execution_hash"),
            requests_hash=fields.hash32("requests_hash"),
            timestamp=fields.integer("timestamp"),
            proposer=fields.address("proposer"),
            proposal_round=Round(fields.integer("proposal_round")),
            validators_hash=fields.hash32("validators_hash"),
            next_validators_hash=fields.hash32("next_validators_hash"),
            consensus_state_root=fields.hash32("consensus_state_root"),
            parent_certificate_hash=fields.hash32("parent_certificate_hash"),
            vote=Vote.from_item(fields.list("vote", length_max=2)),
            evidence_root=fields.hash32("evidence_root"),
        )
        fields.end()
        return header

    @classmethod
    def decode(cls, data: bytes) -> "ConsensusHeader":
        """Return the header of its canonical bytes; raises InvalidEncoding for any others."""
        return cls.from_item(rlp.decode(data, items_max=32))
