"""A block as a node told it, before any of it is believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metanode.chain.certificate import Certificate
    from metanode.chain.header import ConsensusHeader
    from metanode.primitives.types import Address
    from sdk.testnet.services.store.meanings import Traces


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which chain a node is of."""

    chain_id: int
    genesis_hash: bytes
    consensus_genesis_hash: bytes
    """Empty where the node does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedBlock:
    """One finalized block with everything that is said of it."""

    number: int
    block: dict[str, Any]
    """With its transactions, of which there is what `rows` reads, as of the receipts."""
    receipts: list[dict[str, Any]]
    logs_missing: int
    """Receipts that came without their logs, as those are more than the node can tell at once."""
    calls: list[dict[str, Any] | None]
    """The tree of calls of each transaction; None where there is none to be had. Empty when no transaction ran code."""
    traces: Traces
    header: ConsensusHeader | None
    """None where the node does not tell it, as all below."""
    members: tuple[Address, ...]
    """The validators that decide it, by address."""
    parent_certificate: Certificate | None
    """The parent's, which this block fixes."""
    own_certificate: Certificate | None
    """Its own, as this node recorded it; of the newest block only."""
