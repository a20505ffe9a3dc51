"""What consensus did to decide blocks: seals, rounds that failed, votes, and who came and went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Select, func, select, true

from sdk.testnet.services.queries.paging import FIRST, Page, Slice, bounded, ordered, page_of
from sdk.testnet.services.queries.parties import Party, account_id, accounts_as, known_party, party_columns
from sdk.testnet.services.store.tables import (
    block_seals,
    round_skips,
    validator_set_changes,
    validators,
    votes,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Connection

SPAN_MAX: Final = 1_000
"""Blocks whose seals or failed rounds are asked for at once: a strip shows a few hundred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealRow:
    """One commit seal."""

    validator: Party
    signature: bytes
    is_valid: bool
    """The signer recovered from it is this validator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipRow:
    """A round that did not decide, and whose turn it was."""

    number: int
    round: int
    validator: Party


@dataclass(frozen=True, slots=True, kw_only=True)
class SetChangeRow:
    """A validator that came or went."""

    number: int
    """First block that the changed set decides."""
    validator: Party
    added: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteRow:
    """A vote that a proposer cast in its block."""

    number: int
    voter: Party
    subject: Party
    add: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockConsensus:
    """How a block was decided."""

    seals: tuple[SealRow, ...]
    skips: tuple[SkipRow, ...]
    vote: VoteRow | None
    set_changes: tuple[SetChangeRow, ...]
    """Of the set that decides this block, against the one before."""


def block_consensus(connection: Connection, number: int) -> BlockConsensus:
    """Return seals, rounds that failed, vote and changes of the set of one block."""
    return BlockConsensus(
        seals=seals_of(connection, number, number).get(number, ()),
        skips=_skips(connection, round_skips.c.number == number),
        vote=next(iter(_votes(connection, votes.c.number == number)), None),
        set_changes=_set_changes(connection, validator_set_changes.c.number == number),
    )


def seals_of(connection: Connection, first: int, last: int) -> dict[int, tuple[SealRow, ...]]:
    """Return the seals of blocks `first` to `last` (at most 1,000), by address; blocks without seals are left out."""
    assert last - first < SPAN_MAX
    who = accounts_as("who")
    statement = (
        select(block_seals.c.number, block_seals.c.signature, block_seals.c.is_valid, *party_columns(who))
        .join(who, who.c.id == block_seals.c.validator_id)
        .where(block_seals.c.number.between(first, last))
        .order_by(block_seals.c.number, who.c.address)
    )
    found: dict[int, list[SealRow]] = {}
    for row in connection.execute(statement):
        seal = SealRow(validator=known_party(row, 3), signature=bytes(row[1]), is_valid=bool(row[2]))
        found.setdefault(row[0], []).append(seal)
    return {number: tuple(seals) for number, seals in found.items()}


def skips_of(connection: Connection, first: int, last: int) -> tuple[SkipRow, ...]:
    """Return the failed rounds of blocks `first` to `last` (at most 1,000)."""
    assert last - first < SPAN_MAX
    return _skips(connection, round_skips.c.number.between(first, last))


def skips_among(connection: Connection, numbers: Collection[int]) -> tuple[SkipRow, ...]:
    """Return the failed rounds of these blocks (at most 1,000)."""
    assert len(numbers) <= SPAN_MAX
    return _skips(connection, round_skips.c.number.in_(numbers))


def set_changes_of(connection: Connection, first: int, last: int) -> tuple[SetChangeRow, ...]:
    """Return who came and who went with blocks `first` to `last` (at most 1,000)."""
    assert last - first < SPAN_MAX
    return _set_changes(connection, validator_set_changes.c.number.between(first, last))


def list_votes(
    connection: Connection, which: Slice = FIRST, *, voter: bytes | None = None, subject: bytes | None = None
) -> Page[VoteRow]:
    """Return votes on membership; of one voter, or on one subject."""
    chosen = select(votes)
    for address, column in ((voter, votes.c.voter_id), (subject, votes.c.subject_id)):
        if address is not None:
            chosen = chosen.where(column == (account_id(connection, address) or -1))
    statement = _votes_statement(bounded(chosen, (votes.c.number,), (int,), which), which)
    return page_of(connection, statement, which, _vote, lambda row: (row.number,))


def votes_since(connection: Connection, number: int) -> tuple[VoteRow, ...]:
    """Return the votes of blocks `number` and later, the newest first; at most 1,000."""
    chosen = select(votes).where(votes.c.number >= number).order_by(votes.c.number.desc()).limit(SPAN_MAX)
    return tuple(_vote(row) for row in connection.execute(_votes_statement(chosen, FIRST)))


def set_changes_since(connection: Connection, number: int) -> tuple[SetChangeRow, ...]:
    """Return who came and who went with block `number` and later, oldest first."""
    return _set_changes(connection, validator_set_changes.c.number >= number)


def list_set_changes(
    connection: Connection, which: Slice = FIRST, *, validator: bytes | None = None
) -> Page[SetChangeRow]:
    """Return who came and went; of one validator."""
    table = validator_set_changes
    chosen = select(table)
    if validator is not None:
        chosen = chosen.where(table.c.validator_id == (account_id(connection, validator) or -1))
    inner = bounded(chosen, (table.c.number, table.c.validator_id), (int, int), which).subquery()
    who = accounts_as("who")
    order = [inner.c.number, inner.c.validator_id]
    statement = (
        select(inner.c.number, inner.c.validator_id, inner.c.added, *party_columns(who))
        .join(who, who.c.id == inner.c.validator_id)
        .order_by(*ordered(which, *order))
    )
    return page_of(connection, statement, which, _set_change, lambda row: (row.number, row.validator_id))


def list_skips(
    connection: Connection, which: Slice = FIRST, *, validator: bytes | None = None
) -> Page[SkipRow]:
    """Return rounds that failed; of one validator's turns."""
    chosen = select(round_skips)
    if validator is not None:
        chosen = chosen.where(round_skips.c.validator_id == (account_id(connection, validator) or -1))
    inner = bounded(chosen, (round_skips.c.number, round_skips.c.round), (int, int), which).subquery()
    who = accounts_as("who")
    order = [inner.c.number, inner.c.round]
    statement = (
        select(inner.c.number, inner.c.round, *party_columns(who))
        .join(who, who.c.id == inner.c.validator_id)
        .order_by(*ordered(which, *order))
    )
    return page_of(connection, statement, which, _skip, lambda row: (row.number, row.round))


def members_of(connection: Connection, number: int) -> tuple[Party, ...]:
    """Return the validators that decided a block, by address: the changes of the set up to it, added up."""
    table = validator_set_changes
    newest = (
        select(table.c.validator_id, func.max(table.c.number).label("number"))
        .where(table.c.number <= number)
        .group_by(table.c.validator_id)
        .subquery()
    )
    who = accounts_as("who")
    statement = (
        select(*party_columns(who))
        .select_from(newest)
        .join(table, (table.c.validator_id == newest.c.validator_id) & (table.c.number == newest.c.number))
        .join(who, who.c.id == table.c.validator_id)
        .where(table.c.added == true())
        .order_by(who.c.address)
    )
    return tuple(known_party(row, 0) for row in connection.execute(statement))


def current_members(connection: Connection) -> tuple[Party, ...]:
    """Return the validators of the block after the newest, by address."""
    who = accounts_as("who")
    statement = (
        select(*party_columns(who))
        .select_from(validators)
        # An outer join, for its order stays: from some validators to their accounts, never from all accounts.
        .outerjoin(who, who.c.id == validators.c.account_id)
        .where(validators.c.is_member == true())
        .order_by(who.c.address)
    )
    return tuple(known_party(row, 0) for row in connection.execute(statement))


def _skips(connection: Connection, where: Any) -> tuple[SkipRow, ...]:
    who = accounts_as("who")
    statement = (
        select(round_skips.c.number, round_skips.c.round, *party_columns(who))
        .join(who, who.c.id == round_skips.c.validator_id)
        .where(where)
        .order_by(round_skips.c.number, round_skips.c.round)
    )
    return tuple(_skip(row) for row in connection.execute(statement))


def _skip(row: Any) -> SkipRow:
    return SkipRow(number=row.number, round=row.round, validator=known_party(row, 2))


def _votes(connection: Connection, where: Any) -> tuple[VoteRow, ...]:
    statement = _votes_statement(select(votes).where(where), FIRST)
    return tuple(_vote(row) for row in connection.execute(statement))


def _votes_statement(chosen: Select[Any], which: Slice) -> Select[Any]:
    inner = chosen.subquery()
    voter, subject = accounts_as("voter"), accounts_as("subject")
    return (
        select(inner.c.number, inner.c.add, *party_columns(voter), *party_columns(subject))
        .select_from(inner)
        .join(voter, voter.c.id == inner.c.voter_id)
        .join(subject, subject.c.id == inner.c.subject_id)
        .order_by(*ordered(which, inner.c.number))
    )


def _vote(row: Any) -> VoteRow:
    return VoteRow(
        number=row.number, voter=known_party(row, 2), subject=known_party(row, 5), add=bool(row.add)
    )


def _set_changes(connection: Connection, where: Any) -> tuple[SetChangeRow, ...]:
    table = validator_set_changes
    who = accounts_as("who")
    statement = (
        select(table.c.number, table.c.validator_id, table.c.added, *party_columns(who))
        .join(who, who.c.id == table.c.validator_id)
        .where(where)
        .order_by(table.c.number, who.c.address)
    )
    return tuple(_set_change(row) for row in connection.execute(statement))


def _set_change(row: Any) -> SetChangeRow:
    return SetChangeRow(number=row.number, validator=known_party(row, 3), added=bool(row.added))
