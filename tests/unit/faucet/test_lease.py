"""One process of several pays; and a ledger that knows less than the chain says so before it signs."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import pytest

from metanode.primitives.types import Address
from sdk.testnet.faucet import FaucetConfig
from sdk.testnet.faucet.client_address import origin_of
from sdk.testnet.faucet.database import Database
from sdk.testnet.faucet.facts import write_fact
from sdk.testnet.faucet.lease import LEASE_MS, RENEW_MS, SigningLease
from sdk.testnet.faucet.ledger import Ledger
from sdk.testnet.faucet.operation import Operation
from sdk.testnet.faucet.payout import Payout
from sdk.testnet.faucet.policy import limits_of
from sdk.testnet.faucet.quotas import Asker

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW_MS = 1_000_000
CONFIG = FaucetConfig()


@pytest.fixture
def database() -> Iterator[Database]:
    database = Database("sqlite://")
    ledger = Ledger(database)
    yield database
    ledger.close()


def test_one_has_the_lease_until_it_renews_no_more(database: Database) -> None:
    first, second = SigningLease(database), SigningLease(database)
    assert first.hold(NOW_MS)
    assert not second.hold(NOW_MS + 1)
    assert first.hold(NOW_MS + RENEW_MS)
    assert not second.hold(NOW_MS + LEASE_MS), "it was renewed"
    assert second.hold(NOW_MS + RENEW_MS + LEASE_MS)
    assert not first.hold(NOW_MS + RENEW_MS + LEASE_MS + 1), (
        "who was away too long sees that it has it no more"
    )


def test_who_ends_lets_the_next_begin_at_once(database: Database) -> None:
    first, second = SigningLease(database), SigningLease(database)
    assert first.hold(NOW_MS)
    second.release()
    assert not second.hold(NOW_MS)
    first.release()
    assert second.hold(NOW_MS)


def test_nobody_waits_for_the_end_that_a_clock_far_ahead_has_written(database: Database) -> None:
    """The first was killed on a machine that was a year ahead."""
    year_ms = 365 * 86_400_000
    first, second = SigningLease(database), SigningLease(database)
    assert first.hold(NOW_MS + year_ms)

    assert not second.hold(NOW_MS)
    assert first.hold(NOW_MS + year_ms + RENEW_MS)
    assert not second.hold(NOW_MS + LEASE_MS), "who renews is there"
    assert not second.hold(NOW_MS + 2 * LEASE_MS - 1)
    assert second.hold(NOW_MS + 2 * LEASE_MS)


def promise(database: Database) -> None:
    asker = Asker(address=Address(b"\1" * 20), origin=origin_of(ipaddress.ip_address("198.51.100.1")))
    assert isinstance(Ledger(database).promise(limits_of(CONFIG), asker, 100, NOW_MS), Payout)


@pytest.mark.parametrize("waits", [True, False])
def test_transactions_that_the_ledger_does_not_know_are_told_once_and_stop_what_waits(
    database: Database, *, waits: bool
) -> None:
    operation, lease = Operation(database, CONFIG), SigningLease(database)
    assert lease.note_unknown_nonces(7, NOW_MS) is None, "a ledger that has signed nothing knows nothing"
    with database.change() as connection:
        write_fact(connection, "next_nonce", "5")
    if waits:
        promise(database)

    assert lease.note_unknown_nonces(5, NOW_MS) is None
    assert (lease.note_unknown_nonces(7, NOW_MS) is not None) == waits
    assert lease.note_unknown_nonces(7, NOW_MS) is None, "once"
    assert (operation.settings().paused is not None) == waits
    (entry,) = operation.audit()
    assert entry.action == "unknown transactions"
    assert "has sent 2 transactions that this ledger does not know" in entry.detail
    operation.resume(actor="operator", now_ms=NOW_MS)
    assert operation.settings().paused is None


def test_a_faucet_that_drains_stops_when_its_ledger_knows_too_little(database: Database) -> None:
    """Who was paid already may wait in it: nobody is paid again because somebody wanted an empty queue."""
    operation, lease = Operation(database, CONFIG), SigningLease(database)
    with database.change() as connection:
        write_fact(connection, "next_nonce", "5")
    promise(database)
    operation.pause("the end", drains=True, actor="operator", now_ms=NOW_MS)
    assert operation.settings().is_signing

    assert lease.note_unknown_nonces(7, NOW_MS) is not None

    assert operation.settings().paused == "the end"
    assert not operation.settings().is_signing
