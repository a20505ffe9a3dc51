"""How blocks were decided, from their consensus headers and certificates, whose hashes, order and seals are checked here.

Two things are taken on a node's word, as nodes tell members without their powers: who is in the set, and that a certificate's seals are a quorum.

A block's seals are final when the next block has fixed them: `parent_certificate_hash` of its header names exactly one certificate. Until then
they are one node's record, and nothing is counted from them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from metanode.chain.proposers import proposer_order
from metanode.chain.quorum import QuorumRule
from metanode.chain.signing import SigningDomain, recover_signer
from metanode.chain.validators import ValidatorSet
from metanode.errors import InvalidCertificate, InvalidSignature, Unavailable
from metanode.primitives.types import ZERO_ADDRESS, Address, Hash32
from sdk.testnet.services.indexer import writing
from sdk.testnet.services.store.meanings import Counter
from sdk.testnet.services.store.tables import (
    accounts,
    block_seals,
    blocks,
    round_skips,
    validator_set_changes,
    validators,
    votes,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from metanode.chain.certificate import Certificate
    from metanode.chain.header import ConsensusHeader
    from sdk.testnet.services.indexer.fetched import FetchedBlock, Identity
    from sdk.testnet.services.indexer.rows import Batch

SKIPS_MAX: Final = 256
"""Failed rounds of one block that become rows: after an outage of hours there may be hundreds, all alike."""
ADDRESS_BYTES: Final = 20


@dataclass(slots=True)
class _Record:
    """A row of `validators`."""

    account_id: int
    is_member: bool
    since_number: int
    last_active: int
    proposed_count: int = 0
    sealed_count: int = 0
    member_blocks: int = 0
    missed_turns: int = 0
    vote_count: int = 0
    last_proposed: int | None = None
    last_sealed: int | None = None
    last_missed: int | None = None

    def row(self) -> tuple[Any, ...]:
        return (
            self.account_id, self.is_member, self.since_number, self.last_active, self.proposed_count,
            self.sealed_count, self.member_blocks, self.missed_turns, self.vote_count, self.last_proposed,
            self.last_sealed, self.last_missed,
        )  # fmt: skip


@dataclass(slots=True)
class _Parent:
    """What the last block's settlement needs."""

    number: int
    consensus_hash: bytes
    timestamp: int
    proposer: Address
    members: tuple[Address, ...]
    order: tuple[Address, ...]
    """Who could propose it, in turn; empty where that can't be derived."""


@dataclass(slots=True)
class ConsensusBatch:
    """Rows of one batch."""

    seals: dict[int, list[tuple[Any, ...]]] = field(default_factory=dict)
    skips: list[tuple[Any, ...]] = field(default_factory=list)
    votes: list[tuple[Any, ...]] = field(default_factory=list)
    set_changes: list[tuple[Any, ...]] = field(default_factory=list)
    settled: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    """Round, seals, invalid seals of a block of an earlier batch."""
    invalid: dict[int, int] = field(default_factory=dict)
    """By block how many seals of its certificate are wrong, of those that the chain has fixed; not those with none."""
    dirty: set[Address] = field(default_factory=set)


class ConsensusBook:
    """The validators and the last block. What it remembers is what the database has; after a failed transaction it is thrown away."""

    def __init__(
        self, connection: Connection, identity: Identity, *, number: int | None, order: bytes
    ) -> None:
        genesis = identity.consensus_genesis_hash
        self._domain = (
            SigningDomain(chain_id=identity.chain_id, genesis_hash=Hash32(genesis)) if genesis else None
        )
        self._records: dict[Address, _Record] = {}
        for row in connection.execute(
            select(validators, accounts.c.address).join(accounts, accounts.c.id == validators.c.account_id)
        ):
            self._records[Address(bytes(row[-1]))] = _Record(*row[:-1])
        self._members = tuple(sorted(who for who, record in self._records.items() if record.is_member))
        self._parent = None if number is None else self._load_parent(connection, number, order)

    @property
    def order(self) -> bytes:
        """Who could propose the last block, in turn, as `index_state` keeps it."""
        return b"".join(self._parent.order) if self._parent else b""

    def add_block(self, batch: Batch, consensus: ConsensusBatch, fetched: FetchedBlock) -> None:
        """Take the block's facts, and settle its parent's.

        Raises:
            Unavailable: when the node's answers do not belong together; nothing is kept of such a batch.
        """
        header = fetched.header
        if header is None:
            self._parent = None
            return
        if header.execution_hash != batch.blocks[fetched.number]["hash"]:
            raise Unavailable(f"the node tells a consensus header of another block {fetched.number}")
        timestamp = batch.blocks[fetched.number]["timestamp"]
        if fetched.number == 0:
            self._parent = _Parent(0, header.hash, timestamp, ZERO_ADDRESS, (), ())
            return
        parent = self._parent
        if parent is not None and header.parent_hash != parent.consensus_hash:
            raise Unavailable(
                f"the node tells a consensus header {fetched.number} that follows another block"
            )
        self._take_members(batch, consensus, fetched)
        order = self._derive_order(header, parent)
        if parent is not None and parent.number > 0:
            self._settle(batch, consensus, parent, header, fetched.parent_certificate)
        self._count_proposal(batch, consensus, header)
        self._parent = _Parent(fetched.number, header.hash, timestamp, header.proposer, self._members, order)
        own = fetched.own_certificate
        if own is not None:
            seals, invalid = self._verified(own, self._parent)
            consensus.seals[fetched.number] = seals
            batch.blocks[fetched.number].update(
                round=own.round, seals_count=len(seals), seals_invalid=invalid
            )

    def write(self, connection: Connection, consensus: ConsensusBatch) -> None:
        """Write a batch's rows; the blocks' own come first."""
        earlier = list(consensus.settled)
        for number in earlier:
            connection.execute(block_seals.delete().where(block_seals.c.number == number))
        writing.insert(connection, block_seals, [row for rows in consensus.seals.values() for row in rows])
        writing.insert(connection, round_skips, consensus.skips)
        writing.insert(connection, votes, consensus.votes)
        writing.insert(connection, validator_set_changes, consensus.set_changes)
        writing.update(
            connection,
            blocks,
            ("round = {}", "seals_count = {}", "seals_invalid = {}", "is_canonical = {}"),
            ("round", "seals_count", "seals_invalid", "is_canonical"),
            [(number, *facts, True) for number, facts in consensus.settled.items()],
        )
        writing.upsert(connection, validators, [self._records[who].row() for who in sorted(consensus.dirty)])

    def _load_parent(self, connection: Connection, number: int, order: bytes) -> _Parent | None:
        row = connection.execute(
            select(blocks.c.consensus_hash, blocks.c.timestamp, accounts.c.address)
            .select_from(blocks)
            .outerjoin(accounts, accounts.c.id == blocks.c.proposer_id)
            .where(blocks.c.number == number)
        ).one()
        if row[0] is None:
            return None
        turns = tuple(Address(order[i : i + ADDRESS_BYTES]) for i in range(0, len(order), ADDRESS_BYTES))
        proposer = ZERO_ADDRESS if row[2] is None else Address(bytes(row[2]))
        return _Parent(number, bytes(row[0]), row[1], proposer, self._members, turns)

    def _take_members(self, batch: Batch, consensus: ConsensusBatch, fetched: FetchedBlock) -> None:
        if fetched.members == self._members:
            return
        number, ids = fetched.number, batch.accounts.ids
        before, after = set(self._members), set(fetched.members)
        for who in sorted(after - before):
            batch.accounts.touch(ids[who], number)
            record = self._records.get(who)
            if record is None:
                record = self._records[who] = _Record(ids[who], True, number, number - 1)  # noqa: FBT003 - a row, in its columns' order
            # The block before let it in, and that counts as a sign of life.
            record.is_member, record.since_number, record.last_active = True, number, number - 1
            consensus.set_changes.append((number, record.account_id, True))
        for who in sorted(before - after):
            self._records[who].is_member = False
            consensus.set_changes.append((number, self._records[who].account_id, False))
        consensus.dirty |= before ^ after
        self._members = fetched.members

    def _derive_order(self, header: ConsensusHeader, parent: _Parent | None) -> tuple[Address, ...]:
        """Who could propose this block, in turn; empty with proof of stake, whose schedule depends on what nodes do not tell."""
        if parent is None or not self._members:
            return ()
        order = proposer_order(
            validators=ValidatorSet.of_addresses(self._members),
            last_active={who: self._records[who].last_active for who in self._members},
            last_proposer=parent.proposer,
            height=header.height,
            epoch_start=0,
            rule=QuorumRule.AUTHORITY,
        )
        # The rule is right where it names who did propose.
        return order if order[header.proposal_round % len(order)] == header.proposer else ()

    def _settle(
        self,
        batch: Batch,
        consensus: ConsensusBatch,
        parent: _Parent,
        header: ConsensusHeader,
        certificate: Certificate | None,
    ) -> None:
        if certificate is None or certificate.hash != header.parent_certificate_hash:
            raise Unavailable(
                f"the node tells a certificate of block {parent.number} that is not in the chain"
            )
        seals, invalid = self._verified(certificate, parent)
        consensus.seals[parent.number] = seals
        row = batch.blocks.get(parent.number)
        if row is None:
            consensus.settled[parent.number] = (certificate.round, len(seals), invalid)
        else:
            row.update(
                round=certificate.round, seals_count=len(seals), seals_invalid=invalid, is_canonical=True
            )
        batch.series.count(Counter.INVALID_SEALS, invalid)
        if invalid:
            consensus.invalid[parent.number] = invalid
        if certificate.round:
            batch.series.count(Counter.LATE_BLOCKS, 1)
            for sums in batch.series.at(parent.timestamp):
                sums.late_blocks += 1
                sums.round_sum += certificate.round
        for who in parent.members:
            self._records[who].member_blocks += 1
        consensus.dirty.update(parent.members)
        signers = ValidatorSet.of_addresses(parent.members)
        for who in certificate.addresses(signers):
            record = self._records[who]
            record.sealed_count += 1
            record.last_sealed = parent.number
            # Who left with this very block has its seal in it all the same.
            record.last_active = header.height
        if parent.order:
            for round_ in range(min(certificate.round, SKIPS_MAX)):
                record = self._records[parent.order[round_ % len(parent.order)]]
                record.missed_turns += 1
                record.last_missed = parent.number
                consensus.skips.append((parent.number, round_, record.account_id))

    def _verified(self, certificate: Certificate, block: _Parent) -> tuple[list[tuple[Any, ...]], int]:
        """A certificate's seals as rows, each checked, and how many are wrong."""
        if certificate.height != block.number or certificate.block_hash != block.consensus_hash:
            raise Unavailable(f"the node tells a certificate of another block {block.number}")
        assert self._domain is not None
        digest = self._domain.commit(
            height=certificate.height, round=certificate.round, block_hash=certificate.block_hash
        )
        try:
            signers = certificate.addresses(ValidatorSet.of_addresses(block.members))
        except InvalidCertificate as error:
            raise Unavailable(f"the node tells a certificate of other validators: {error}") from None
        rows = []
        invalid = 0
        for who, seal in zip(signers, certificate.seals, strict=True):
            try:
                is_valid = recover_signer(digest, seal) == who
            except InvalidSignature:
                is_valid = False
            invalid += not is_valid
            rows.append((block.number, self._records[who].account_id, seal, is_valid))
        return rows, invalid

    def _count_proposal(self, batch: Batch, consensus: ConsensusBatch, header: ConsensusHeader) -> None:
        if header.proposer not in self._members:
            raise Unavailable(
                f"the node tells a proposer of block {header.height} that is no validator of it"
            )
        record = self._records[header.proposer]
        record.proposed_count += 1
        record.last_proposed = header.height
        record.last_active = header.height
        consensus.dirty.add(header.proposer)
        if header.vote is not None:
            subject = batch.accounts.ids[header.vote.subject]
            batch.accounts.touch(subject, header.height)
            record.vote_count += 1
            consensus.votes.append((header.height, record.account_id, subject, header.vote.add))
