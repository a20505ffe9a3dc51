"""What the faucet remembers: who got what, what is under way, who is shut out. The database is the truth; nothing is cached here.

Every method blocks for the length of a database transaction: on the event loop it is called by a thread.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy import and_, case, delete, func, insert, or_, select, update

from metanode.errors import InvalidInput, StorageFailed
from sdk.testnet.faucet import quotas, schema
from sdk.testnet.faucet.counts import Channel, Counts
from sdk.testnet.faucet.facts import read_fact, record, write_fact
from sdk.testnet.faucet.payout import (
    IN_FLIGHT,
    PAID,
    AddressTotals,
    NetworkStanding,
    Payout,
    PayoutKind,
    PayoutState,
    QueueStanding,
    Redeemed,
    SignedTransfer,
    Totals,
)
from sdk.testnet.faucet.policy import DAY_MS, WEEK_MS, Refused, day_start_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet

    from sqlalchemy import Connection, Row

    from metanode.primitives.types import Address
    from sdk.testnet.faucet.client_address import Origin
    from sdk.testnet.faucet.database import Database
    from sdk.testnet.faucet.payout import ChainIdentity, Claim
    from sdk.testnet.faucet.policy import Limits
    from sdk.testnet.faucet.quotas import Asker

log = structlog.get_logger(__name__)

REQUEST_LIFE_MS: Final = WEEK_MS
"""At least this long a request is kept for the limits."""
REFUSED_IN_BATCH: Final = (
    "the recipient did not take its coins from the contract that pays many; it is paid alone"
)
HISTORY_MAX: Final = 10_000
"""Payouts of one answer."""
HOUR_MS: Final = 3_600_000
RECENT: Final = 50
"""Payouts that the median time to funds is taken of."""


class Ledger:
    """The faucet's memory in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rejected = 0
        self.counts = Counts()
        with database.change() as connection:
            schema.metadata().create_all(connection)
            found = read_fact(connection, "schema_version")
            if found is None:
                write_fact(connection, "schema_version", str(schema.SCHEMA_VERSION))
            elif found != str(schema.SCHEMA_VERSION):
                raise InvalidInput(
                    f"database_url: the faucet's tables have version {found}, this program knows {schema.SCHEMA_VERSION}; use the release "
                    "that wrote them, or another database"
                )

    def close(self) -> None:
        """Close the database; where it is away, the newest refusals are counted by nobody."""
        try:
            with self._database.change() as connection:
                self._save_rejected(connection)
        except StorageFailed as failed:
            log.warning("faucet_unavailable", reason=str(failed))
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
            found = read_fact(connection, "chain")
            if found is None:
                write_fact(connection, "chain", said)
            elif found != said:
                raise InvalidInput(
                    f"database_url: this ledger belongs to {found}, and the faucet pays on {said}; give the new chain a database of its own, "
                    "or delete the old one together with its chain"
                )

    def genesis_hash(self) -> bytes | None:
        """Return the hash of the first block of the chain that this ledger is of; None while it is of none."""
        with self._database.look() as connection:
            found = read_fact(connection, "chain")
        return None if found is None else bytes.fromhex(json.loads(found)["genesis_hash"][2:])

    def newest_ms(self) -> int:
        """When the newest request was, so that a clock set back does not reopen a window; 0 when there was none."""
        with self._database.look() as connection:
            return connection.scalar(select(func.max(schema.payouts.c.requested_ms))) or 0

    # -- limits ---------------------------------------------------------------------------------------------------------------------------

    def find_refusal(self, limits: Limits, asker: Asker, now_ms: int) -> Refused | None:
        """Say whether a request would be refused now; promises nothing. Without an origin its limits are not asked."""
        with self._database.look() as connection:
            return quotas.refusal(connection, limits, asker, now_ms)

    def promise(
        self, limits: Limits, asker: Asker, amount_gwei: int, now_ms: int, claim: Claim | None = None
    ) -> Payout | Refused | Redeemed:
        """Queue a payout and charge it to the limits, or refuse: in one step, however many ask at once.

        A claim is redeemed in the same step; who comes second gets what the first one got.
        """
        with self._database.change() as connection:
            if claim is not None and (redeemed := _redeemed(connection, claim)) is not None:
                return redeemed
            refused = quotas.refusal(connection, limits, asker, now_ms)
            if refused is not None:
                self.count_rejected(refused.code)
                return refused
            self._save_rejected(connection)
            payout_id = _insert(
                connection,
                address=asker.address,
                amount_gwei=amount_gwei,
                requested_ms=now_ms,
                kind=PayoutKind.PAYOUT,
                claim_id=None if claim is None else claim.id,
                idempotency=None if claim is None else claim.idempotency,
            )
            quotas.charge(connection, limits, asker, payout_id, now_ms)
            promised = _payout(connection, payout_id)
        self.counts.promised(
            Channel.PASS if asker.pass_id is not None else Channel.PROGRAM if claim is None else Channel.WEB
        )
        return promised

    def queue_contract(self, address: Address, now_ms: int, *, attempts_max: int) -> bool:
        """Queue the deployment of the contract that pays many, unless one is under way; False after so many attempts."""
        table = schema.payouts.c
        with self._database.change() as connection:
            states = connection.scalars(select(table.state).where(table.kind == PayoutKind.CONTRACT)).all()
            if any(state in quotas.OPEN for state in states):
                return True
            if len(states) >= attempts_max:
                return False
            _insert(connection, address=address, amount_gwei=0, requested_ms=now_ms, kind=PayoutKind.CONTRACT)
            return True

    def redeemed(self, claim: Claim) -> Redeemed | None:
        """Return what a claim was answered with before."""
        with self._database.look() as connection:
            return _redeemed(connection, claim)

    def network_standing(self, origin: Origin, now_ms: int) -> NetworkStanding:
        """Return what the difficulty of a client's puzzles is made of."""
        with self._database.look() as connection:
            hidden = quotas.find_hidden(connection, origin, now_ms)
            grants = quotas.paid_to_network(connection, origin, now_ms)
            paid_last_hour = quotas.paid_since(connection, now_ms - HOUR_MS)
        if hidden is None:  # once a month
            with self._database.change() as connection:
                hidden = quotas.hide(connection, origin, now_ms)
        return NetworkStanding(origin=hidden, grants=grants, paid_last_hour=paid_last_hour)

    def count_rejected(self, reason: str) -> None:
        """Count a request that was refused, for one of `counts.REASONS`.

        It reaches the disk with the next one that is paid: a flood of refusals writes nothing.
        """
        self._rejected += 1
        self.counts.refused(reason)

    def paid_last_hour(self, now_ms: int) -> int:
        """Count the payouts of the last hour."""
        with self._database.look() as connection:
            return quotas.paid_since(connection, now_ms - HOUR_MS)

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
        payout_ids: Sequence[int],
        make: Callable[[Sequence[Payout], int, int], SignedTransfer],
        *,
        chain_nonce: int,
        head: int,
        in_flight_max: int,
    ) -> list[Payout]:
        """Give queued payouts the next nonce together, sign one transaction for them and store its bytes, all or nothing.

        Those that are not queued any more are left out; without room, or without any that is left, nothing changes.

        Args:
            payout_ids: Which.
            make: Signs payouts, in the order of their ids, with a nonce, told how many gwei are signed for others and not final; what it raises
                undoes everything.
            chain_nonce: Transactions of the account in the newest finalized state.
            head: Number of that state's block.
            in_flight_max: As many signed transactions may be open.

        Returns:
            All of them, as they are now.
        """
        table = schema.payouts.c
        with self._database.change() as connection:
            open_count = connection.scalar(
                select(func.count()).where(and_(table.state.in_(IN_FLIGHT), _is_first(table)))
            )
            open_gwei = connection.scalar(
                select(func.sum(table.amount_gwei)).where(table.state.in_(IN_FLIGHT))
            )
            asked = _payouts(connection, payout_ids)
            payouts = [one for one in asked if one.state is PayoutState.QUEUED]
            if not payouts or (open_count or 0) >= in_flight_max:
                return asked
            # A key that is used elsewhere too moves the chain's nonce past ours.
            nonce = max(int(read_fact(connection, "next_nonce") or 0), chain_nonce)
            signed = make(payouts, nonce, int(open_gwei or 0))
            first_id = payouts[0].id
            _store(connection, first_id, signed)
            connection.execute(
                update(schema.payouts)
                .where(table.id.in_([one.id for one in payouts]))
                .values(
                    state=PayoutState.SIGNED,
                    nonce=nonce,
                    signed_at_number=head,
                    sent_at_number=None,
                    transaction_hash=signed.hash,
                    error=None,
                    batch_id=first_id if len(payouts) > 1 else None,
                )
            )
            write_fact(connection, "next_nonce", str(nonce + 1))
            return _payouts(connection, payout_ids)

    def replace(self, payout_id: int, signed: SignedTransfer, *, instead_of: bytes) -> bool:
        """Store another signature with the same nonce for a payout, the first of its transaction.

        False when it waits for that nonce no more, or its newest signature is not `instead_of` any more: another process was faster.
        """
        with self._database.change() as connection:
            payout = _payout(connection, payout_id)
            if (
                payout.state not in IN_FLIGHT
                or payout.nonce != signed.nonce
                or payout.transaction_hash != instead_of
            ):
                return False
            _store(connection, payout_id, signed)
            _set(connection, payout_id, transaction_hash=signed.hash)
            return True

    def mark_sent(self, payout_id: int, head: int) -> None:
        """A node took the transaction."""
        with self._database.change() as connection:
            if _payout(connection, payout_id).state in IN_FLIGHT:
                _set(connection, payout_id, state=PayoutState.BROADCAST, sent_at_number=head, error=None)

    def note_error(self, payout_id: int, error: str) -> None:
        """Remember why the last attempt came to nothing."""
        with self._database.change() as connection:
            _set(connection, payout_id, error=error[:500])

    def settle(
        self,
        payout_id: int,
        transaction_hash: bytes,
        now_ms: int,
        *,
        refused: AbstractSet[int] = frozenset(),
        lost_max: int = 1,
    ) -> None:
        """The transaction is final.

        `refused` are the places of those in a batch who did not take their coins: each is paid alone, or given up after it was lost
        `lost_max` times. Of a payout alone it means nothing: its success is all that the chain says of it, and a recipient with code
        can have such events written.
        """
        with self._database.change() as connection:
            payouts = _unit(connection, payout_id)
            if payouts[0].state not in IN_FLIGHT:
                return
            is_batch = payouts[0].batch_id is not None
            paid = []
            for place, payout in enumerate(payouts):
                if is_batch and place in refused:
                    _set_one(
                        connection,
                        payout.id,
                        state=PayoutState.FAILED if payout.lost >= lost_max else PayoutState.QUEUED,
                        lost=payout.lost + 1,
                        batch_id=None,
                        error=REFUSED_IN_BATCH,
                    )
                else:
                    _set_one(
                        connection,
                        payout.id,
                        state=PayoutState.SETTLED,
                        settled_ms=now_ms,
                        transaction_hash=transaction_hash,
                        error=None,
                    )
                    paid.append(payout)
        for payout in paid:
            if payout.kind is PayoutKind.PAYOUT:
                self.counts.until_funds.note((now_ms - payout.requested_ms) / 1000)

    def queue_again(self, payout_id: int, nonce: int, error: str, *, lost_max: int) -> Payout:
        """No transaction of this nonce can ever pay: queue what it was for once more, each alone, or give it up after `lost_max` times."""
        with self._database.change() as connection:
            payouts = _unit(connection, payout_id)
            if payouts[0].state not in IN_FLIGHT or payouts[0].nonce != nonce:
                return payouts[0]
            for payout in payouts:
                state = PayoutState.FAILED if payout.lost >= lost_max else PayoutState.QUEUED
                if payout.kind is PayoutKind.CONTRACT:
                    state = PayoutState.CANCELLED  # it is tried anew when many wait again
                _set_one(
                    connection, payout.id, state=state, lost=payout.lost + 1, batch_id=None, error=error[:500]
                )
            return _payout(connection, payout_id)

    def retry(self, payout_id: int, *, actor: str, now_ms: int) -> bool:
        """Queue a payout once more that was given up; False when it was not."""
        with self._database.change() as connection:
            payouts = _payouts(connection, [payout_id])
            if not payouts or payouts[0].state is not PayoutState.FAILED:
                return False
            _set_one(connection, payout_id, state=PayoutState.QUEUED, error=None)
            record(connection, actor, "retry payout", str(payout_id), now_ms)
            return True

    def stuck(self, limit: int) -> list[Payout]:
        """Return what was given up, and what waits unsigned; the oldest first."""
        table = schema.payouts.c
        states = (PayoutState.FAILED, PayoutState.QUEUED)
        query = select(schema.payouts).where(table.state.in_(states)).order_by(table.id).limit(limit)
        with self._database.look() as connection:
            return [_to_payout(row) for row in connection.execute(query)]

    def cancel(self, payout_id: int, error: str, *, actor: str | None = None, now_ms: int = 0) -> bool:
        """Take back a promise that is not signed, and its place in the limits; False when it was signed meanwhile.

        What was signed and lost before keeps its place: it has cost the faucet something.
        """
        with self._database.change() as connection:
            payouts = _payouts(connection, [payout_id])
            if not payouts or payouts[0].state is not PayoutState.QUEUED:
                return False
            payout = payouts[0]
            if actor is not None:
                record(connection, actor, "cancel payout", str(payout_id), now_ms)
            _set_one(connection, payout_id, state=PayoutState.CANCELLED, error=error[:500])
            if not payout.lost:
                quotas.give_back(connection, payout_id)
            return True

    def payout(self, payout_id: int) -> Payout:
        """Return it as it is now."""
        with self._database.look() as connection:
            return _payout(connection, payout_id)

    def claimed(self, claim_id: bytes) -> Payout | None:
        """Return the payout of a claim."""
        with self._database.look() as connection:
            row = connection.execute(
                select(schema.payouts).where(schema.payouts.c.claim_id == claim_id)
            ).first()
            return None if row is None else _to_payout(row)

    def unit(self, payout_id: int) -> list[Payout]:
        """Return the payouts of the transaction that this one is the first of, in their order in it."""
        with self._database.look() as connection:
            return _unit(connection, payout_id)

    def in_flight(self) -> list[Payout]:
        """Return what is signed and not final, by nonce; of payouts in one transaction the first."""
        table = schema.payouts.c
        query = (
            select(schema.payouts)
            .where(and_(table.state.in_(IN_FLIGHT), _is_first(table)))
            .order_by(table.nonce)
            .limit(HISTORY_MAX)
        )
        with self._database.look() as connection:
            return [_to_payout(row) for row in connection.execute(query)]

    def queued(self, limit: int) -> list[Payout]:
        """Return what waits the longest, the contract that pays many before all others."""
        table = schema.payouts.c
        query = select(schema.payouts).where(table.state == PayoutState.QUEUED)
        query = query.order_by(table.kind != PayoutKind.CONTRACT, table.id).limit(limit)
        with self._database.look() as connection:
            return [_to_payout(row) for row in connection.execute(query)]

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
        table = schema.payouts.c
        query = select(schema.payouts).where(table.kind == PayoutKind.PAYOUT)
        query = query.order_by(table.id.desc()).limit(min(limit, HISTORY_MAX))
        if address is not None:
            query = query.where(schema.payouts.c.address == address)
        with self._database.look() as connection:
            return [_to_payout(row) for row in connection.execute(query)]

    def totals_of(self, address: Address) -> AddressTotals:
        """Count everything of one address."""
        table = schema.payouts.c
        received = func.sum(case((table.state.in_(PAID), table.amount_gwei), else_=0))
        query = select(func.count(), received, func.max(table.requested_ms)).where(
            and_(
                table.address == address,
                table.kind == PayoutKind.PAYOUT,
                table.state != PayoutState.CANCELLED,
            )
        )
        with self._database.look() as connection:
            requests, gwei, last_ms = connection.execute(query).one()
        return AddressTotals(requests=requests, received_gwei=int(gwei or 0), last_request_ms=last_ms)

    def totals(self, now_ms: int) -> Totals:
        """Count everything."""
        table = schema.payouts.c
        with self._database.look() as connection:
            by_state = {
                PayoutState(row.state): row
                for row in connection.execute(
                    select(
                        table.state, func.count().label("number"), func.sum(table.amount_gwei).label("gwei")
                    )
                    .where(table.kind == PayoutKind.PAYOUT)
                    .group_by(table.state)
                )
            }
            rejected = int(read_fact(connection, "rejected") or 0) + self._rejected
            unique = connection.scalar(
                select(func.count(func.distinct(table.address))).where(table.state.in_(PAID))
            )
            today = quotas.paid_since(connection, day_start_ms(now_ms))
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

    def queue_standing(self) -> QueueStanding:
        """Return what waits, and how long things took."""
        table = schema.payouts.c
        waiting = table.state.in_((PayoutState.QUEUED, PayoutState.SIGNED))
        recent = (
            select(table.settled_ms - table.requested_ms)
            .where(and_(table.state == PayoutState.SETTLED, table.kind == PayoutKind.PAYOUT))
            .order_by(table.id.desc())
            .limit(RECENT)
        )
        with self._database.look() as connection:
            count, oldest_ms = connection.execute(
                select(func.count(), func.min(table.requested_ms)).where(
                    and_(waiting, table.kind == PayoutKind.PAYOUT)
                )
            ).one()
            gwei = connection.scalar(select(func.sum(table.amount_gwei)).where(table.state.in_(quotas.OPEN)))
            return QueueStanding(
                waiting=count,
                oldest_ms=oldest_ms,
                promised_gwei=int(gwei or 0),
                times_to_funds_ms=tuple(connection.scalars(recent)),
            )

    def _save_rejected(self, connection: Connection) -> None:
        if count := self._rejected:
            write_fact(connection, "rejected", str(int(read_fact(connection, "rejected") or 0) + count))
            self._rejected -= count


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


def _insert(connection: Connection, **values: Any) -> int:
    query = (
        insert(schema.payouts)
        .values(state=PayoutState.QUEUED, lost=0, **values)
        .returning(schema.payouts.c.id)
    )
    payout_id: int = connection.execute(query).scalar_one()
    return payout_id


def _redeemed(connection: Connection, claim: Claim) -> Redeemed | None:
    table = schema.payouts.c
    row = connection.execute(select(schema.payouts).where(table.claim_id == claim.id)).first()
    if row is None and claim.idempotency is not None:
        row = connection.execute(select(schema.payouts).where(table.idempotency == claim.idempotency)).first()
    if row is None:
        return None
    known = None if row.idempotency is None else bytes(row.idempotency)
    return Redeemed(payout=_to_payout(row), is_same_request=known is not None and known == claim.idempotency)


def _is_first(table: Any) -> Any:
    return or_(table.batch_id.is_(None), table.batch_id == table.id)


def _in_unit(payout_id: int) -> Any:
    """A payout, and those that wait for the same transaction; who was paid by an earlier one with it has gone its way."""
    table = schema.payouts.c
    return or_(table.id == payout_id, and_(table.batch_id == payout_id, table.state.in_(IN_FLIGHT)))


def _set(connection: Connection, payout_id: int, **values: Any) -> None:
    """Set a payout and those that are paid by the same transaction."""
    connection.execute(update(schema.payouts).where(_in_unit(payout_id)).values(**values))


def _set_one(connection: Connection, payout_id: int, **values: Any) -> None:
    connection.execute(update(schema.payouts).where(schema.payouts.c.id == payout_id).values(**values))


def _unit(connection: Connection, payout_id: int) -> list[Payout]:
    query = select(schema.payouts).where(_in_unit(payout_id)).order_by(schema.payouts.c.id)
    rows = connection.execute(query)
    return [_to_payout(row) for row in rows]


def _payouts(connection: Connection, payout_ids: Sequence[int]) -> list[Payout]:
    table = schema.payouts.c
    rows = connection.execute(select(schema.payouts).where(table.id.in_(payout_ids)).order_by(table.id))
    return [_to_payout(row) for row in rows]


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
        kind=PayoutKind(row.kind),
        batch_id=row.batch_id,
        claim_id=None if row.claim_id is None else bytes(row.claim_id),
    )
