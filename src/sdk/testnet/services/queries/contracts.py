"""Contracts, and what is known of their sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import null, select

from sdk.testnet.services.queries.paging import FIRST, Page, Slice, bounded, page_of
from sdk.testnet.services.queries.parties import Party, known_party, party_columns
from sdk.testnet.services.store.tables import accounts, contracts, signatures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractRow:
    """A contract that a transaction created."""

    account_id: int
    """Its number in the index."""
    contract: Party
    code_hash: bytes | None
    """keccak256 of its code when it was looked at, a moment after its creation; None until then."""
    code_size_bytes: int | None
    created_at: int
    """Number of the block that created it."""
    match: str | None
    """None while nobody has shown its source; "match" or "exact_match"."""
    verified_at: int | None
    """Seconds since 1970."""
    verified_name: str | None
    compiler_version: str | None
    language: str | None
    abi: str | None
    """As JSON."""
    standard_json: str | None
    """What the compiler was given."""
    metadata: str | None
    """The compiler's own, as JSON; None where it gives none."""
    constructor_arguments: bytes | None
    """As the transaction had them; None where they are not known."""
    runtime_match: str | None
    """As `match`, of the code on the chain."""
    creation_match: str | None
    """As `match`, of the code that made it."""
    source_path: str | None
    """Of `verified_name` among the sources."""
    details: str | None
    """As JSON: what differed and was allowed to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureRow:
    """What a selector or an event's topic may mean."""

    selector: bytes
    text: str
    source: str


def get_contract(connection: Connection, address: bytes, *, with_sources: bool = False) -> ContractRow | None:
    """Return a contract by its address; None when no transaction created it.

    What may be megabytes (`standard_json`, `metadata`, `details`) is None unless it is asked for.
    """
    chosen = _with_account(() if with_sources else _SOURCES)
    row = connection.execute(chosen.where(accounts.c.address == address)).first()
    return None if row is None else _contract(row)


def list_contracts(
    connection: Connection, which: Slice = FIRST, *, verified_only: bool = False
) -> Page[ContractRow]:
    """Return contracts by the block that created them; or the verified ones by the time of their verification.

    Without what is bulky: the sources, the ABI, the compiler's metadata and the details of a row are None.
    """
    first = contracts.c.verified_at if verified_only else contracts.c.created_at_number
    chosen = _with_account((*_SOURCES, "abi"))
    if verified_only:
        chosen = chosen.where(contracts.c.verified_at.is_not(None))
    statement = bounded(chosen, (first, contracts.c.account_id), (int, int), which)
    return page_of(
        connection,
        statement,
        which,
        _contract,
        lambda row: (row.verified_at if verified_only else row.created_at_number, row.account_id),
    )


def verified_twin(
    connection: Connection, code_hash: bytes | None, *, with_sources: bool = False
) -> ContractRow | None:
    """Return a verified contract with the same code, as `get_contract` does; None of code that nobody has looked at yet."""
    if code_hash is None:
        return None
    row = connection.execute(
        _with_account(() if with_sources else _SOURCES)
        .where(contracts.c.code_hash == code_hash, contracts.c.match.is_not(None))
        .order_by(contracts.c.account_id)
        .limit(1)
    ).first()
    return None if row is None else _contract(row)


def find_signatures(connection: Connection, selector: bytes) -> tuple[SignatureRow, ...]:
    """Return what a selector of 4 bytes or a topic of 32 may mean; at most 10."""
    rows = connection.execute(
        select(signatures).where(signatures.c.selector == selector).order_by(signatures.c.text).limit(10)
    )
    return tuple(SignatureRow(selector=bytes(row.selector), text=row.text, source=row.source) for row in rows)


_SOURCES: Final = ("standard_json", "metadata", "details")


def _with_account(left_out: Sequence[str]) -> Any:
    """Contracts with their accounts; columns that are left out are null."""
    columns = [null().label(column.name) if column.name in left_out else column for column in contracts.c]
    return select(*party_columns(accounts), *columns).join(accounts, accounts.c.id == contracts.c.account_id)


def _contract(row: Any) -> ContractRow:
    arguments = row.constructor_arguments
    return ContractRow(
        account_id=row.account_id,
        contract=known_party(row, 0),
        code_hash=None if row.code_hash is None else bytes(row.code_hash),
        code_size_bytes=row.code_size,
        created_at=row.created_at_number,
        match=row.match,
        verified_at=row.verified_at,
        verified_name=row.verified_name,
        compiler_version=row.compiler_version,
        language=row.language,
        abi=row.abi,
        standard_json=row.standard_json,
        metadata=row.metadata,
        constructor_arguments=None if arguments is None else bytes(arguments),
        runtime_match=row.runtime_match,
        creation_match=row.creation_match,
        source_path=row.source_path,
        details=row.details,
    )
