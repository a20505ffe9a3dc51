"""Validators by what the chain says of them. Who is online now, the monitor says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select, true

from sdk.testnet.services.queries.parties import Party, known_party, party_columns
from sdk.testnet.services.store.tables import accounts, block_seals, blocks, round_skips, validators

if TYPE_CHECKING:
    from sqlalchemy import Connection

PERFORMANCE_BLOCKS_MAX: Final = 1_000
"""Half an hour of blocks; each is one search."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorRow:
    """A validator, of today or of the past."""

    account: Party
    is_member: bool
    """Whether it is in the set that decides the next block."""
    since_number: int
    """First block of its present or last membership."""
    last_active: int
    """Block of its last sign of life in the chain: it proposed it, or the block holds its seal on the parent."""
    proposed_count: int
    sealed_count: int
    """Canonical certificates with its seal. A certificate holds a quorum, not everybody: no seal is no fault."""
    member_blocks: int
    """Canonical certificates of the blocks that it was a member for."""
    missed_turns: int
    """Rounds that were its turn and did not decide."""
    vote_count: int
    last_proposed: int | None
    last_sealed: int | None
    last_missed: int | None

    @property
    def seal_share(self) -> float | None:
        """Share of certificates with its seal, about quorum / validators for a healthy one; None before the first."""
        return self.sealed_count / self.member_blocks if self.member_blocks else None


def list_validators(connection: Connection, *, members_only: bool = False) -> tuple[ValidatorRow, ...]:
    """Return members by address, then former ones; at most 2,000."""
    statement = _with_account().order_by(validators.c.is_member.desc(), accounts.c.address).limit(2_000)
    if members_only:
        statement = statement.where(validators.c.is_member == true())
    return tuple(_validator(row) for row in connection.execute(statement))


def get_validator(connection: Connection, address: bytes) -> ValidatorRow | None:
    """Return a validator; None for who never was one."""
    row = connection.execute(_with_account().where(accounts.c.address == address)).first()
    return None if row is None else _validator(row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """What a validator did in the last blocks."""

    first_block: int
    last_block: int
    proposed_count: int
    sealed_count: int
    """Canonical certificates with its seal."""
    certificate_count: int
    """Canonical certificates of these blocks."""
    missed_turns: int
    """Rounds that were its turn and did not decide."""

    @property
    def seal_share(self) -> float | None:
        """Share of certificates with its seal, about quorum / validators for a healthy one; None of none."""
        return self.sealed_count / self.certificate_count if self.certificate_count else None


def performance(connection: Connection, address: bytes, count: int) -> Performance | None:
    """Return what a validator did in the last `count` blocks (1 to 1,000); None for who never was one."""
    assert 1 <= count <= PERFORMANCE_BLOCKS_MAX
    who = connection.execute(
        select(validators.c.account_id)
        .join(accounts, accounts.c.id == validators.c.account_id)
        .where(accounts.c.address == address)
    ).scalar()
    last = connection.execute(select(func.max(blocks.c.number))).scalar()
    if who is None or last is None:
        return None
    first = max(1, last - count + 1)

    def number_of_rows(statement: Any) -> int:
        return int(connection.execute(statement).scalar_one())

    settled = blocks.c.number.between(first, last) & (blocks.c.is_canonical == true())
    return Performance(
        first_block=first,
        last_block=last,
        proposed_count=number_of_rows(
            select(func.count()).where(blocks.c.proposer_id == who, blocks.c.number.between(first, last))
        ),
        # Each block's seal of this validator is one search by the key.
        sealed_count=number_of_rows(
            select(func.count())
            .select_from(blocks)
            .join(
                block_seals,
                (block_seals.c.number == blocks.c.number) & (block_seals.c.validator_id == who),
            )
            .where(settled)
        ),
        certificate_count=number_of_rows(select(func.count()).select_from(blocks).where(settled)),
        missed_turns=number_of_rows(
            select(func.count()).where(
                round_skips.c.validator_id == who, round_skips.c.number.between(first, last)
            )
        ),
    )


def _with_account() -> Any:
    # An outer join, for its order stays: from some validators to their accounts, never from all accounts.
    return (
        select(*party_columns(accounts), validators)
        .select_from(validators)
        .outerjoin(accounts, accounts.c.id == validators.c.account_id)
    )


def _validator(row: Any) -> ValidatorRow:
    return ValidatorRow(
        account=known_party(row, 0),
        is_member=bool(row.is_member),
        since_number=row.since_number,
        last_active=row.last_active,
        proposed_count=row.proposed_count,
        sealed_count=row.sealed_count,
        member_blocks=row.member_blocks,
        missed_turns=row.missed_turns,
        vote_count=row.vote_count,
        last_proposed=row.last_proposed,
        last_sealed=row.last_sealed,
        last_missed=row.last_missed,
    )
