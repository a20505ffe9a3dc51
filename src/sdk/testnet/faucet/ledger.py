"""What the faucet remembers: who got what, what is under way, who is shut out. The database is the truth; nothing is cached here.

Every method blocks for the length of a database transaction: on the event loop it is called by a thread.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, delete, func, insert, select, update

from metanode.errors import InvalidInput
from sdk.testnet.faucet import schema
from sdk.testnet.faucet.policy import (
    DAY_MS,
    WEEK_MS,
    Limit,
    Limits,
    Refused,
    check_day,
    check_window,
    day_start_ms,
    first_refusal,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Row

    from metanode.primitives.types import Address
    from sdk.testnet.faucet.client_address import Origin
    from sdk.testnet.faucet.database import Database

HASH_KEY_LIFE_MS: Final = 30 * DAY_MS
"""After this the networks of clients are hidden with a new key."""
REQUEST_LIFE_MS: Final = WEEK_MS
"""At least this long a request is kept for the limits."""
HISTORY_MAX: Final = 1_000


class PayoutState(StrEnum):
    """How far a payout is."""

    QUEUED = "queued"
    """Promised; nothing is signed."""
    SIGNED = "signed"
    """Its transaction is stored; whether a node has it is not known."""
    BROADCAST = "broadcast"
    """A node took the transaction."""
    SETTLED = "settled"
    """The transaction is in a finalized block."""
    FAILED = "failed"
    """Its nonces were used by others' transactions, or it was reverted, more than once: an operator decides."""
    CANCELLED = "cancelled"
    """Never signed; it counts in no limit."""


IN_FLIGHT: Final = (PayoutState.SIGNED, PayoutState.BROADCAST)
PAID: Final = (PayoutState.BROADCAST, PayoutState.SETTLED)
"""What counts as successful: with a node that took the transaction, the rest is the network's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainIdentity:
    """The chain and the account that a ledger belongs to."""

    chain_id: int
    genesis_hash: bytes
    payer: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """A promise, and how far it is."""

    id: int
    address: Address
    amount_gwei: int
    state: PayoutState
    requested_ms: int
    settled_ms: int | None
    nonce: int | None
    signed_at_number: int | None
    """The head's number when it was signed first with this nonce."""
    sent_at_number: int | None
    """The head's number when it was sent last."""
    transaction_hash: bytes | None
    """Of the newest signature."""
    lost: int
    """How often it had to be queued again."""
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTransfer:
    """A signature that was made for a payout."""

    hash: bytes
    nonce: int
    raw: bytes
    gas: int
    max_fee_wei: int
    tip_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Counts over the life of a ledger."""

    requests: int
    successful: int
    rejected: int
    under_way: int
    failed: int
    distributed_gwei: int
    unique_addresses: int
    paid_today: int


class Ledger:
    """The faucet's memory in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rejected = 0
        with database.change() as connection:
            schema.metadata().create_all(connection)
            found = _fact(connection, "schema_version")
            if found is None:
                _set_fact(connection, "schema_version", str(schema.SCHEMA_VERSION))
            elif found != str(schema.SCHEMA_VERSION):
                raise InvalidInput(
                    f"database_url: the faucet's tables have version {found}, this program knows {schema.SCHEMA_VERSION}; use the release "
                    "that wrote them, or another database"
                )

    def close(self) -> None:
        """Close the database."""
        try:
            with self._database.change() as connection:
                self._save_rejected(connection)
        finally:
            self._database.close()

    def bind(self, identity: ChainIdentity) -> None:
        """Tie an empty ledger to its chain and account.

        Raises:
            InvalidInput: when it belongs to another chain or account: its nonces and payouts mean nothing there.
        """
        said = json.dumps(
            {
                "chain_id": identity.chain_id,
                "genesis_hash": "0x" + identity.genesis_hash.hex(),
                "payer": "0x" + identity.payer.hex(),
            }
        )
        with self._database.change() as connection:
            found = _fact(connection, "chain")
            if found is None:
                _set_fact(connection, "chain", said)
            elif found != said:
                raise InvalidInput(
                    f"database_url: this ledger belongs to {found}, and the faucet pays on {said}; give the new chain a database of its own, "
                    "or delete the old one together with its chain"
                )

    def newest_ms(self) -> int:
        """When the newest request was, so that a clock set back does not reopen a window; 0 when there was none."""
        with self._database.look() as connection:
            return connection.scalar(select(func.max(schema.payouts.c.requested_ms))) or 0

    # -- limits ---------------------------------------------------------------------------------------------------------------------------

    def find_refusal(
        self, limits: Limits, address: Address, origin: Origin | None, now_ms: int
    ) -> Refused | None:
        """Say whether a request would be refused now; promises nothing. Without an origin its limits are not asked."""
        with self._database.look() as connection:
            return _refusal(connection, limits, address, origin, now_ms)

    def promise(
        self, limits: Limits, address: Address, origin: Origin, amount_gwei: int, now_ms: int
    ) -> Payout | Refused:
        """Queue a payout and charge it to the limits, or refuse: in one step, however many ask at once."""
        with self._database.change() as connection:
            refused = _refusal(connection, limits, address, origin, now_ms)
            if refused is not None:
                self._rejected += 1
                return refused
            self._save_rejected(connection)
            payout_id = connection.execute(
                insert(schema.payouts)
                .values(
                    address=address,
                    amount_gwei=amount_gwei,
                    state=PayoutState.QUEUED,
                    requested_ms=now_ms,
                    lost=0,
                )
                .returning(schema.payouts.c.id)
            ).scalar_one()
            key = _hash_keys(connection, now_ms)[0]
            connection.execute(
                insert(schema.requests).values(
                    payout_id=payout_id,
                    address=address,
                    narrow=_hidden(key, origin.narrow),
                    wide=_hidden(key, origin.wide),
                    requested_ms=now_ms,
                    counts=True,
                )
            )
            return _payout(connection, payout_id)

    def count_rejected(self) -> None:
        """Count a request that was refused before its limits were asked.

        It reaches the disk with the next one that is paid: a flood of refusals writes nothing.
        """
        self._rejected += 1

    def forget_before(self, now_ms: int, *, window_ms: int) -> int:
        """Delete what is too old to count in any limit; payouts stay. Returns how many requests are gone."""
        edge_ms = now_ms - max(window_ms, REQUEST_LIFE_MS, DAY_MS)
        with self._database.change() as connection:
            return connection.execute(
                delete(schema.requests).where(schema.requests.c.requested_ms <= edge_ms)
            ).rowcount

    # -- payouts --------------------------------------------------------------------------------------------------------------------------

    def sign(
        self,
        payout_id: int,
        make: Callable[[Payout, int, int], SignedTransfer],
        *,
        chain_nonce: int,
        head: int,
        in_flight_max: int,
    ) -> Payout:
        """Give a queued payout the next nonce, sign it and store the bytes, all or nothing; another state, or no room, changes nothing.

        Args:
            payout_id: Which.
            make: Signs a payout with a nonce, told how many gwei are signed for others and not final; what it raises undoes everything.
            chain_nonce: Transactions of the account in the newest finalized state.
            head: Number of that state's block.
            in_flight_max: As many signed transactions may be open.
        """
        with self._database.change() as connection:
            payout = _payout(connection, payout_id)
            open_count, open_gwei = connection.execute(
                select(func.count(), func.sum(schema.payouts.c.amount_gwei)).where(
                    schema.payouts.c.state.in_(IN_FLIGHT)
                )
            ).one()
            if payout.state is not PayoutState.QUEUED or open_count >= in_flight_max:
                return payout
            # A key that is used elsewhere too moves the chain's nonce past ours.
            nonce = max(int(_fact(connection, "next_nonce") or 0), chain_nonce)
            signed = make(payout, nonce, int(open_gwei or 0))
            _store(connection, payout_id, signed)
            _set(
                connection,
                payout_id,
                state=PayoutState.SIGNED,
                nonce=nonce,
                signed_at_number=head,
                sent_at_number=None,
                transaction_hash=signed.hash,
                error=None,
            )
            _set_fact(connection, "next_nonce", str(nonce + 1))
            return _payout(connection, payout_id)

    def replace(self, payout_id: int, signed: SignedTransfer) -> None:
        """Store another signature with the same nonce, if the payout still waits for that nonce."""
        with self._database.change() as connection:
            payout = _payout(connection, payout_id)
            if payout.state in IN_FLIGHT and payout.nonce == signed.nonce:
                _store(connection, payout_id, signed)
                _set(connection, payout_id, transaction_hash=signed.hash)

    def mark_sent(self, payout_id: int, head: int) -> None:
        """A node took the transaction."""
        with self._database.change() as connection:
            if _payout(connection, payout_id).state in IN_FLIGHT:
                _set(connection, payout_id, state=PayoutState.BROADCAST, sent_at_number=head, error=None)

    def note_error(self, payout_id: int, error: str) -> None:
        """Remember why the last attempt came to nothing."""
        with self._database.change() as connection:
            _set(connection, payout_id, error=error[:500])

    def settle(self, payout_id: int, transaction_hash: bytes, now_ms: int) -> None:
        """The transaction is final."""
        with self._database.change() as connection:
            _set(
                connection,
                payout_id,
                state=PayoutState.SETTLED,
                settled_ms=now_ms,
                transaction_hash=transaction_hash,
                error=None,
            )

    def queue_again(self, payout_id: int, nonce: int, error: str, *, lost_max: int) -> Payout:
        """No transaction of this payout with this nonce can ever pay: queue it once more, or give it up after `lost_max` times."""
        with self._database.change() as connection:
            payout = _payout(connection, payout_id)
            if payout.state not in IN_FLIGHT or payout.nonce != nonce:
                return payout
            state = PayoutState.FAILED if payout.lost >= lost_max else PayoutState.QUEUED
            _set(connection, payout_id, state=state, lost=payout.lost + 1, error=error[:500])
            return _payout(connection, payout_id)

    def cancel(self, payout_id: int, error: str) -> bool:
        """Take back a promise that was never signed, and its place in the limits; False when it was signed meanwhile."""
        with self._database.change() as connection:
            if _payout(connection, payout_id).state is not PayoutState.QUEUED:
                return False
            _set(connection, payout_id, state=PayoutState.CANCELLED, error=error[:500])
            connection.execute(
                update(schema.requests).where(schema.requests.c.payout_id == payout_id).values(counts=False)
            )
            return True

    def payout(self, payout_id: int) -> Payout:
        """Return it as it is now."""
        with self._database.look() as connection:
            return _payout(connection, payout_id)

    def in_flight(self) -> list[Payout]:
        """Return what is signed and not final, by nonce."""
        return self._payouts_in(IN_FLIGHT, schema.payouts.c.nonce, limit=HISTORY_MAX)

    def queued(self, limit: int) -> list[Payout]:
        """Return the payouts that wait the longest."""
        return self._payouts_in((PayoutState.QUEUED,), schema.payouts.c.id, limit=limit)

    def signatures(self, payout_id: int) -> list[SignedTransfer]:
        """Return every signature made for a payout, the one with the highest fee of its newest nonce last."""
        with self._database.look() as connection:
            rows = connection.execute(
                select(schema.transactions).where(schema.transactions.c.payout_id == payout_id)
            ).all()
        found = [
            SignedTransfer(
                hash=bytes(row.hash),
                nonce=row.nonce,
                raw=bytes(row.raw),
                gas=row.gas,
                max_fee_wei=int(row.max_fee_wei),
                tip_wei=int(row.tip_wei),
            )
            for row in rows
        ]
        return sorted(found, key=lambda one: (one.nonce, one.max_fee_wei))

    def history(self, address: Address | None, limit: int) -> list[Payout]:
        """Return the newest payouts first, of one address or of all."""
        query = select(schema.payouts).order_by(schema.payouts.c.id.desc()).limit(min(limit, HISTORY_MAX))
        if address is not None:
            query = query.where(schema.payouts.c.address == address)
        with self._database.look() as connection:
            return [_to_payout(row) for row in connection.execute(query)]

    def totals(self, now_ms: int) -> Totals:
        """Count everything."""
        table = schema.payouts.c
        with self._database.look() as connection:
            by_state = {
                PayoutState(row.state): row
                for row in connection.execute(
                    select(
                        table.state, func.count().label("number"), func.sum(table.amount_gwei).label("gwei")
                    ).group_by(table.state)
                )
            }
            rejected = int(_fact(connection, "rejected") or 0) + self._rejected
            unique = connection.scalar(
                select(func.count(func.distinct(table.address))).where(table.state.in_(PAID))
            )
            today = _paid_today(connection, now_ms)
        counts = {state: int(by_state[state].number) if state in by_state else 0 for state in PayoutState}
        return Totals(
            requests=sum(counts.values()) + rejected,
            successful=sum(counts[state] for state in PAID),
            rejected=rejected + counts[PayoutState.CANCELLED],
            under_way=counts[PayoutState.QUEUED] + counts[PayoutState.SIGNED],
            failed=counts[PayoutState.FAILED],
            distributed_gwei=sum(int(by_state[state].gwei) for state in PAID if state in by_state),
            unique_addresses=unique or 0,
            paid_today=today,
        )

    # -- who is shut out ------------------------------------------------------------------------------------------------------------------

    def block(self, kind: str, value: str) -> None:
        """Shut out; twice is once."""
        with self._database.change() as connection:
            if connection.execute(_blocked_row(kind, value)).first() is None:
                connection.execute(insert(schema.blocked).values(kind=kind, value=value))

    def unblock(self, kind: str, value: str) -> bool:
        """Let in again; False when it was not shut out."""
        table = schema.blocked
        with self._database.change() as connection:
            gone = connection.execute(delete(table).where(and_(table.c.kind == kind, table.c.value == value)))
            return gone.rowcount > 0

    def blocked(self, kind: str) -> list[str]:
        """Return everything of this kind that is shut out."""
        with self._database.look() as connection:
            rows = connection.execute(
                select(schema.blocked.c.value)
                .where(schema.blocked.c.kind == kind)
                .order_by(schema.blocked.c.value)
            )
            return [row.value for row in rows]

    def _save_rejected(self, connection: Connection) -> None:
        if count := self._rejected:
            _set_fact(connection, "rejected", str(int(_fact(connection, "rejected") or 0) + count))
            self._rejected -= count

    def _payouts_in(self, states: Sequence[PayoutState], order: Any, *, limit: int) -> list[Payout]:
        query = select(schema.payouts).where(schema.payouts.c.state.in_(states)).order_by(order).limit(limit)
        with self._database.look() as connection:
            return [_to_payout(row) for row in connection.execute(query)]


def _refusal(
    connection: Connection, limits: Limits, address: Address, origin: Origin | None, now_ms: int
) -> Refused | None:
    table = schema.requests.c
    checks: list[tuple[Limit, Any]] = [(limits.address, table.address == address)]
    if limits.address_weekly is not None:
        checks.append((limits.address_weekly, table.address == address))
    if origin is not None:
        keys = _hash_keys(connection, now_ms)
        checks += [
            (limits.narrow, table.narrow.in_([_hidden(key, origin.narrow) for key in keys])),
            (limits.wide, table.wide.in_([_hidden(key, origin.wide) for key in keys])),
        ]
    return first_refusal(
        [
            *(
                check_window(limit, _times(connection, whose, limit, now_ms), now_ms)
                for limit, whose in checks
            ),
            check_day(limits.daily_count, _paid_today(connection, now_ms), now_ms),
        ]
    )


def _times(connection: Connection, whose: Any, limit: Limit, now_ms: int) -> list[int]:
    table = schema.requests.c
    query = (
        select(table.requested_ms)
        .where(and_(whose, table.counts, table.requested_ms > now_ms - limit.window_ms))
        .order_by(table.requested_ms.desc())
        .limit(limit.count)
    )
    return list(connection.scalars(query))


def _paid_today(connection: Connection, now_ms: int) -> int:
    table = schema.requests.c
    query = select(func.count()).where(and_(table.counts, table.requested_ms >= day_start_ms(now_ms)))
    return connection.scalar(query) or 0


def _hash_keys(connection: Connection, now_ms: int) -> list[bytes]:
    """The key that hides networks now and, as long as it may count, the one before; a new one each month."""
    found = json.loads(_fact(connection, "hash_keys") or "[]")
    if not found or found[0]["since_ms"] + HASH_KEY_LIFE_MS <= now_ms:
        found = [{"key": secrets.token_hex(32), "since_ms": now_ms}, *found][:2]
        _set_fact(connection, "hash_keys", json.dumps(found))
    return [bytes.fromhex(one["key"]) for one in found]


def _hidden(key: bytes, network: object) -> bytes:
    return hmac.new(key, str(network).encode(), hashlib.sha256).digest()[:16]


def _fact(connection: Connection, name: str) -> str | None:
    return connection.scalar(select(schema.facts.c.value).where(schema.facts.c.name == name))


def _set_fact(connection: Connection, name: str, value: str) -> None:
    changed = connection.execute(update(schema.facts).where(schema.facts.c.name == name).values(value=value))
    if changed.rowcount == 0:
        connection.execute(insert(schema.facts).values(name=name, value=value))


def _blocked_row(kind: str, value: str) -> Any:
    table = schema.blocked
    return select(table.c.kind).where(and_(table.c.kind == kind, table.c.value == value))


def _store(connection: Connection, payout_id: int, signed: SignedTransfer) -> None:
    connection.execute(
        insert(schema.transactions).values(
            hash=signed.hash,
            payout_id=payout_id,
            nonce=signed.nonce,
            raw=signed.raw,
            gas=signed.gas,
            max_fee_wei=str(signed.max_fee_wei),
            tip_wei=str(signed.tip_wei),
        )
    )


def _set(connection: Connection, payout_id: int, **values: Any) -> None:
    connection.execute(update(schema.payouts).where(schema.payouts.c.id == payout_id).values(**values))


def _payout(connection: Connection, payout_id: int) -> Payout:
    row = connection.execute(select(schema.payouts).where(schema.payouts.c.id == payout_id)).one()
    return _to_payout(row)


def _to_payout(row: Row[Any]) -> Payout:
    return Payout(
        id=row.id,
        address=bytes(row.address),  # type: ignore[arg-type]
        amount_gwei=row.amount_gwei,
        state=PayoutState(row.state),
        requested_ms=row.requested_ms,
        settled_ms=row.settled_ms,
        nonce=row.nonce,
        signed_at_number=row.signed_at_number,
        sent_at_number=row.sent_at_number,
        transaction_hash=None if row.transaction_hash is None else bytes(row.transaction_hash),
        lost=row.lost,
        error=row.error,
    )
