"""What one look at the nodes gave. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from metanode.chain.header import ConsensusHeader
from metanode.errors import InvalidInput
from metanode.primitives.hexadecimal import decode_data, decode_quantity, encode_data

if TYPE_CHECKING:
    from sdk.testnet.diagnosis.facts import NetworkFacts
    from sdk.testnet.monitoring.page import MetricsPage

HASH_LENGTH = 66


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A finalized block, as the strip of blocks shows it."""

    number: int
    hash: str
    timestamp: int
    transactions: int
    gas_used: int
    gas_limit: int
    fee_recipient: str
    round: int | None
    """In which it was decided; None when the node has no certificate of it any more."""
    sealed_by: tuple[str, ...] = ()
    """Addresses in its certificate, lower case."""
    proposer: str | None = None
    """Who made it, lower case, whoever gets its fees; None when the node tells no header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """All nodes at one moment."""

    at_s: float
    """On the monitor's own steady clock."""
    facts: NetworkFacts
    pages: dict[str, MetricsPage] = field(default_factory=dict)
    """By the names of nodes; only of those whose page was read."""
    blocks: tuple[Block, ...] = ()
    """New ones, in their order."""
    hashes: dict[str, str] = field(default_factory=dict)
    """By node the hash of the block at `hashes_at`."""
    hashes_at: int = 0


def read_block(block: Any, certificate: Any, header: Any) -> Block:
    """A block, its certificate and its consensus header (None or an error where it has none), as a node gives them; raises InvalidInput."""
    try:
        sealed_by: tuple[str, ...] = ()
        decided = None
        if isinstance(certificate, dict):
            decided = decode_quantity(certificate["round"])
            sealed_by = tuple(str(seal["validator"]).lower() for seal in certificate["seals"])
        return Block(
            number=decode_quantity(block["number"]),
            hash=read_hash(block),
            timestamp=decode_quantity(block["timestamp"]),
            transactions=len(block["transactions"]),
            gas_used=decode_quantity(block["gasUsed"]),
            gas_limit=decode_quantity(block["gasLimit"]),
            fee_recipient=str(block["miner"])[:42],
            round=decided,
            sealed_by=sealed_by,
            proposer=_proposer_of(header) if isinstance(header, str) else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"block: unknown shape: {type(error).__name__} {error}") from None


def _proposer_of(header: str) -> str | None:
    """Who made a block; None of the genesis block, which nobody made."""
    proposer = ConsensusHeader.decode(decode_data(header, field="header")).proposer
    return encode_data(proposer) if any(proposer) else None


def read_hash(block: Any) -> str:
    """The hash of a block as a node gives it; raises InvalidInput."""
    found = block.get("hash") if isinstance(block, dict) else None
    if not isinstance(found, str) or len(found) != HASH_LENGTH:
        raise InvalidInput(f"block hash: found {found!r:.80}; expected 32 bytes in hexadecimal")
    return found
