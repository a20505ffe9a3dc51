"""The certificate of a block, verified again before it is shown: by the chain's own verifier, from what the index keeps.

What it does not say is as important: a certificate closes at the quorum, so a validator whose seal is not in it may have voted just as well; and of the
newest block it is what one node recorded, until the next block fixes it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from metanode.chain.certificate import Certificate, verify_certificate
from metanode.chain.quorum import QuorumRule
from metanode.chain.signing import SigningDomain, recover_signer
from metanode.chain.validators import ValidatorSet
from metanode.errors import InvalidCertificate, InvalidSignature, MetanodeError
from metanode.primitives.hexadecimal import decode_data, decode_quantity
from metanode.primitives.types import Address, Hash32, Height, Round
from sdk.testnet.services.explorer.reading import LIVE_TIMEOUT_S
from sdk.testnet.services.queries.consensus import SealRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk.testnet.services.explorer.record import Record
    from sdk.testnet.services.node_pool import NodePool
    from sdk.testnet.services.queries.blocks import BlockRow
    from sdk.testnet.services.queries.consensus import BlockConsensus
    from sdk.testnet.services.queries.parties import Party


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRule:
    """What the seals of a chain are verified by."""

    domain: SigningDomain
    rule: QuorumRule | None
    """None of a chain by stake: the weights of past sets are not in the index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealView:
    """One validator of the height's set, and its seal if the certificate has one."""

    validator: Party
    signature: bytes | None
    is_valid: bool | None
    """Recovered here and compared; None without a seal, or where that could not be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateView:
    """A certificate as a page shows it."""

    verdict: Literal["valid", "invalid", "unverified", "none"]
    sentence: str
    seals: tuple[SealView, ...]
    quorum: int | None
    """Seals that decide."""
    recorded_by: str | None = None
    """The node whose record this is, while no next block has fixed one; None of what is fixed, or where no node tells."""

    @property
    def sealed_count(self) -> int:
        """How many seals there are."""
        return sum(seal.signature is not None for seal in self.seals)


@dataclass(slots=True)
class ChainRules:
    """The rule of the chain, asked of a node once. Owned by the event loop."""

    nodes: NodePool
    _found: ChainRule | None = field(default=None)

    async def rule(self) -> ChainRule | None:
        """Return the rule; None while no node tells it."""
        if self._found is None:
            try:
                async with asyncio.timeout(LIVE_TIMEOUT_S):
                    self._found = _read_rule(await self.nodes.call("ibft_getConsensusState"))
            except (TimeoutError, MetanodeError, KeyError, TypeError):
                return None
        return self._found


def _read_rule(state: dict[str, Any]) -> ChainRule:
    domain = SigningDomain(
        chain_id=decode_quantity(state["chainId"]),
        genesis_hash=Hash32(decode_data(state["genesisHash"], length=32)),
    )
    powers = {decode_quantity(validator["power"]) for validator in state["validators"]}
    return ChainRule(domain=domain, rule=QuorumRule.AUTHORITY if powers <= {1} else None)


def view_record(
    block: BlockRow,
    consensus: BlockConsensus,
    members: Sequence[Party],
    chain: ChainRule | None,
    record: Record | None,
) -> CertificateView:
    """Return the certificate of a block without a child: with the seals that a node has recorded of the same decision, else with those of the index."""
    if record is None or (record.block_hash, record.round) != (block.consensus_hash, block.round):
        return view_certificate(block, consensus, members, chain)
    seals = tuple(
        # Whether it is valid is found out where it is shown.
        SealRow(validator=member, signature=record.seals[member.address], is_valid=False)
        for member in members
        if member.address in record.seals
    )
    view = view_certificate(block, replace(consensus, seals=seals), members, chain)
    return replace(view, recorded_by=record.node)


def view_certificate(
    block: BlockRow, consensus: BlockConsensus, members: Sequence[Party], chain: ChainRule | None
) -> CertificateView:
    """Return a block's certificate, with every seal verified."""
    if block.number == 0:
        return CertificateView(
            verdict="none",
            sentence="The first block was agreed on before the chain began; nobody sealed it.",
            seals=(),
            quorum=None,
        )
    by_address = {seal.validator.address: seal for seal in consensus.seals}
    total = len(members)
    quorum = QuorumRule.AUTHORITY.quorum_weight(total) if chain and chain.rule and total else None
    if chain is None or block.consensus_hash is None or block.round is None or not consensus.seals:
        return CertificateView(
            verdict="unverified",
            sentence="No node tells this chain's consensus data, so the seals could not be verified here.",
            seals=tuple(_seal(member, by_address.get(member.address), None) for member in members),
            quorum=quorum,
        )
    height, round_, block_hash = Height(block.number), Round(block.round), Hash32(block.consensus_hash)
    digest = chain.domain.commit(height=height, round=round_, block_hash=block_hash)
    views = tuple(_seal(member, by_address.get(member.address), digest) for member in members)
    wrong = [view for view in views if view.is_valid is False]
    strangers = len(by_address.keys() - {member.address for member in members})
    if wrong or strangers:
        sentence = (
            f"{len(wrong) + strangers} of {len(by_address)} seals are not of a validator of this height."
        )
        return CertificateView(verdict="invalid", sentence=sentence, seals=views, quorum=quorum)
    if chain.rule is None:
        sentence = f"All {len(by_address)} seals are genuine. Weights of stake are not in the index, so the quorum is not computed here."
        return CertificateView(verdict="valid", sentence=sentence, seals=views, quorum=None)
    validators = ValidatorSet.of_addresses(Address(member.address) for member in members)
    certificate = Certificate.of(
        height=height,
        round=round_,
        block_hash=block_hash,
        seals={Address(seal.validator.address): seal.signature for seal in consensus.seals},
        validators=validators,
    )
    try:
        verify_certificate(
            certificate, height=height, block_hash=block_hash, validators=validators, rule=chain.rule, domain=chain.domain
        )  # fmt: skip
    except InvalidCertificate as error:
        return CertificateView(verdict="invalid", sentence=str(error), seals=views, quorum=quorum)
    sentence = f"{len(by_address)} of {total} validators sealed this block, {quorum} decide; every seal was verified just now."
    return CertificateView(verdict="valid", sentence=sentence, seals=views, quorum=quorum)


def _seal(member: Party, seal: SealRow | None, digest: Hash32 | None) -> SealView:
    if seal is None:
        return SealView(validator=member, signature=None, is_valid=None)
    is_valid = None
    if digest is not None:
        try:
            is_valid = recover_signer(digest, seal.signature) == member.address
        except InvalidSignature:
            is_valid = False
    return SealView(validator=member, signature=seal.signature, is_valid=is_valid)
