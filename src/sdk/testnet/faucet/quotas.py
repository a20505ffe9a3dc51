"""What the limits count, asked of the database inside somebody's transaction."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, func, or_, select, update

from sdk.testnet.faucet import schema
from sdk.testnet.faucet.facts import read_fact, write_fact
from sdk.testnet.faucet.policy import (
    DAY_MS,
    Limit,
    Limits,
    RefusalCode,
    Refused,
    bucket_after,
    check_bucket,
    check_day,
    check_under_way,
    check_window,
    day_start_ms,
    first_refusal,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

    from metanode.primitives.types import Address
    from sdk.testnet.faucet.client_address import Origin

HASH_KEY_LIFE_MS: Final = 30 * DAY_MS
"""After this the networks of clients are hidden with a new key."""
OPEN: Final = ("queued", "signed", "broadcast")
"""States of payouts that are not final."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenOrigin:
    """A client's networks as keyed hashes."""

    narrow: bytes
    wide: bytes


class Allowance(Enum):
    """What an operator's list frees a request of. The day's limit holds for everybody."""

    NONE = "none"
    ADDRESS = "address"
    """The limits of the recipient. Anybody can name an address, so those of the client stay."""
    CLIENT = "client"
    """The limits of the recipient and of networks, and the proof of work: who asks is known by where it asks from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Whose limits a request is charged to."""

    address: Address
    origin: Origin | None
    """Who redeems; None asks no limits of networks."""
    asked: HiddenOrigin | None = None
    """Who asked for the challenge, when that was known."""
    pass_id: str | None = None
    """A voucher or key: its own budget stands in the place of the networks' limits."""
    allowance: Allowance = Allowance.NONE
    """Which limits do not count this."""


def hide(connection: Connection, origin: Origin, now_ms: int) -> HiddenOrigin:
    """Hide a client's networks with the key of this month, which is made if there is none: this may write."""
    found = find_hidden(connection, origin, now_ms)
    if found is None:
        new = {"key": secrets.token_hex(32), "since_ms": now_ms}
        write_fact(connection, "hash_keys", json.dumps([new, *_hash_keys(connection)][:2]))
        found = find_hidden(connection, origin, now_ms)
    assert found is not None, "a key that was just made is not too old"
    return found


def find_hidden(connection: Connection, origin: Origin, now_ms: int) -> HiddenOrigin | None:
    """Hide a client's networks with the key of this month; None while there is none."""
    found = _hash_keys(connection)
    if not found or _is_old(found[0], now_ms):
        return None
    key = bytes.fromhex(found[0]["key"])
    return HiddenOrigin(narrow=_hidden(key, origin.narrow), wide=_hidden(key, origin.wide))


def refusal(connection: Connection, limits: Limits, asker: Asker, now_ms: int) -> Refused | None:
    """Say whether a request of this kind would be refused now."""
    return first_refusal(_refusals(connection, limits, asker, now_ms))


def charge(connection: Connection, limits: Limits, asker: Asker, payout_id: int, now_ms: int) -> None:
    """Charge a payout to everybody whose limits it counts in."""
    row: dict[str, Any] = {"payout_id": payout_id, "requested_ms": now_ms, "counts": True}
    address = asker.address if asker.allowance is Allowance.NONE else None
    if asker.pass_id is not None:
        table = schema.passes
        connection.execute(update(table).where(table.c.id == asker.pass_id).values(used=table.c.used + 1))
        rows = [{"address": address, "pass_id": asker.pass_id}]
    else:
        # With an address it counts in the day and in the address's limits, without address and network in the day only,
        networks = _charged_networks(connection, asker, now_ms)
        first = networks.pop(0) if networks and address is not None else {}
        # and with a network alone in that network's limits only.
        rows = [{"address": address, **first}, *networks]
    for one in rows:
        connection.execute(schema.requests.insert().values(**row, **one))
    if limits.is_even:
        after_ms = bucket_after(bucket_due_ms(connection), limits.daily_count, now_ms)
        write_fact(connection, "bucket_due_ms", str(after_ms))
        write_fact(connection, "bucket_step_ms", str(DAY_MS // limits.daily_count))


def give_back(connection: Connection, payout_id: int) -> None:
    """Take a charge back: nothing was ever sent for it."""
    table, passes = schema.requests, schema.passes
    used = connection.scalars(
        select(table.c.pass_id).where(
            and_(table.c.payout_id == payout_id, table.c.counts, table.c.pass_id.is_not(None))
        )
    ).all()
    for pass_id in used:
        connection.execute(update(passes).where(passes.c.id == pass_id).values(used=passes.c.used - 1))
    connection.execute(update(table).where(table.c.payout_id == payout_id).values(counts=False))
    if (step_ms := read_fact(connection, "bucket_step_ms")) is not None:
        write_fact(connection, "bucket_due_ms", str(bucket_due_ms(connection) - int(step_ms)))


def paid_since(connection: Connection, since_ms: int) -> int:
    """Count payouts, in all."""
    table = schema.requests.c
    is_first = or_(table.address.is_not(None), table.narrow.is_(None))
    query = select(func.count()).where(and_(table.counts, table.requested_ms >= since_ms, is_first))
    return connection.scalar(query) or 0


def paid_to_network(connection: Connection, origin: Origin, now_ms: int) -> int:
    """Count payouts to a client's wide network in 24 hours."""
    table = schema.requests.c
    hashes = [_hidden(key, origin.wide) for key in _keys_that_count(connection, now_ms)]
    query = select(func.count(func.distinct(table.payout_id))).where(
        and_(table.counts, table.wide.in_(hashes), table.requested_ms > now_ms - DAY_MS)
    )
    return connection.scalar(query) or 0


def bucket_due_ms(connection: Connection) -> int:
    """When the next payout would be due if all went out evenly."""
    return int(read_fact(connection, "bucket_due_ms") or 0)


def _refusals(connection: Connection, limits: Limits, asker: Asker, now_ms: int) -> Iterator[Refused | None]:
    table = schema.requests.c
    if asker.allowance is Allowance.NONE:
        addresses = table.address == asker.address
        yield _window(connection, limits.address, addresses, now_ms)
        if limits.address_weekly is not None:
            yield _window(connection, limits.address_weekly, addresses, now_ms)
        under_way = _open_to(connection, asker.address)
        yield check_under_way("to this address", under_way, limits.address_under_way)
    if asker.pass_id is not None:
        yield _pass_refusal(connection, asker.pass_id, now_ms)
    elif asker.allowance is not Allowance.CLIENT:
        for narrow, wide in _networks(connection, asker, now_ms):
            yield _window(connection, limits.narrow, table.narrow.in_(narrow), now_ms)
            yield _window(connection, limits.wide, table.wide.in_(wide), now_ms)
            if limits.narrow_under_way is not None:
                yield check_under_way(
                    "for this IP address", _open_for(connection, narrow), limits.narrow_under_way
                )
    if limits.is_even:
        yield check_bucket(bucket_due_ms(connection), limits.daily_count, now_ms)
    yield check_day(limits.daily_count, paid_since(connection, day_start_ms(now_ms)), now_ms)


def _charged_networks(connection: Connection, asker: Asker, now_ms: int) -> list[dict[str, Any]]:
    """The networks in whose limits a payout counts: of who redeems, and of who asked for the challenge where that is another."""
    if asker.origin is None or asker.allowance is Allowance.CLIENT:
        return []
    networks = [hide(connection, asker.origin, now_ms)]
    if asker.asked is not None and asker.asked.narrow != networks[0].narrow:
        networks.append(asker.asked)
    return [{"narrow": one.narrow, "wide": one.wide} for one in networks]


def _networks(connection: Connection, asker: Asker, now_ms: int) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """The networks that are charged, each as narrow and wide hashes with the keys that may count."""
    if asker.origin is None:
        return
    keys = _keys_that_count(connection, now_ms)
    narrow = [_hidden(key, asker.origin.narrow) for key in keys]
    yield narrow, [_hidden(key, asker.origin.wide) for key in keys]
    if asker.asked is not None and asker.asked.narrow not in narrow:
        yield [asker.asked.narrow], [asker.asked.wide]


def _window(connection: Connection, limit: Limit, whose: Any, now_ms: int) -> Refused | None:
    table = schema.requests.c
    query = (
        select(table.requested_ms)
        .where(and_(whose, table.counts, table.requested_ms > now_ms - limit.window_ms))
        .order_by(table.requested_ms.desc())
        .limit(limit.count)
    )
    return check_window(limit, list(connection.scalars(query)), now_ms)


def _pass_refusal(connection: Connection, pass_id: str, now_ms: int) -> Refused | None:
    table, requests = schema.passes, schema.requests.c
    row = connection.execute(select(table).where(table.c.id == pass_id)).first()
    if row is None or row.revoked or (row.expires_ms is not None and now_ms >= row.expires_ms):
        return _pass_refused("This voucher or key is not valid any more", None)
    if row.uses_max is not None and row.used >= row.uses_max:
        return _pass_refused(f"This voucher has paid all its {row.uses_max:,} times", None)
    if row.daily_max is not None:
        today = connection.scalar(
            select(func.count()).where(
                and_(
                    requests.counts,
                    requests.pass_id == pass_id,
                    requests.requested_ms >= day_start_ms(now_ms),
                )
            )
        )
        if (today or 0) >= row.daily_max:
            wait_s = -(-(day_start_ms(now_ms) + DAY_MS - now_ms) // 1000)
            return _pass_refused(f"This key has paid all its {row.daily_max:,} times of today", wait_s)
    return None


def _pass_refused(reason: str, retry_after_s: int | None) -> Refused:
    return Refused(reason=reason, code=RefusalCode.PASS, retry_after_s=retry_after_s)


def _open_to(connection: Connection, address: Address) -> int:
    table = schema.payouts.c
    query = select(func.count()).where(and_(table.address == address, table.state.in_(OPEN)))
    return connection.scalar(query) or 0


def _open_for(connection: Connection, narrow: Sequence[bytes]) -> int:
    payouts, requests = schema.payouts, schema.requests
    query = (
        select(func.count(func.distinct(payouts.c.id)))
        .select_from(payouts.join(requests, requests.c.payout_id == payouts.c.id))
        .where(and_(payouts.c.state.in_(OPEN), requests.c.narrow.in_(narrow)))
    )
    return connection.scalar(query) or 0


def _keys_that_count(connection: Connection, now_ms: int) -> list[bytes]:
    """The keys that what counts in a limit may be hidden with: this month's and the one before; writes nothing."""
    found = _hash_keys(connection)
    if found and _is_old(found[0], now_ms):
        found = found[:1]  # the next charge makes a key, and this one is the one before
    return [bytes.fromhex(one["key"]) for one in found]


def _hash_keys(connection: Connection) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(read_fact(connection, "hash_keys") or "[]")
    return found


def _is_old(key: dict[str, Any], now_ms: int) -> bool:
    since_ms: int = key["since_ms"]
    return since_ms + HASH_KEY_LIFE_MS <= now_ms


def _hidden(key: bytes, network: object) -> bytes:
    return hmac.new(key, str(network).encode(), hashlib.sha256).digest()[:16]
