"""The faucet's ledger, on SQLite and on a real PostgreSQL: limits and nonces hold however many ask at once."""

from __future__ import annotations

import ipaddress
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from tests.testnet.postgresql import PostgreSQLAbsent, postgresql

from metanode.errors import InvalidInput
from metanode.primitives.types import Address
from sdk.testnet.faucet import FaucetConfig
from sdk.testnet.faucet.client_address import origin_of
from sdk.testnet.faucet.database import Database
from sdk.testnet.faucet.ledger import ChainIdentity, Ledger, Payout, PayoutState, SignedTransfer
from sdk.testnet.faucet.policy import DAY_MS, Refused, limits_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sdk.testnet.faucet.client_address import Origin

NOW_MS = 20_000 * DAY_MS + DAY_MS // 2
HOUR_MS = 3_600_000
LIMITS = limits_of(FaucetConfig())


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    try:
        with postgresql() as url:
            yield url
    except PostgreSQLAbsent as error:
        pytest.skip(str(error))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    match request.param:
        case "sqlite":
            return "sqlite://"
        case _:
            found: str = request.getfixturevalue("server")
            database = Database(found)
            with database.change() as connection:
                for table in ("requests", "transactions", "payouts", "facts", "blocked"):
                    connection.execute(text(f"DROP TABLE IF EXISTS faucet_{table}"))
            database.close()
            return found


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    ledger = Ledger(Database(url))
    yield ledger
    ledger.close()


def address(number: int) -> Address:
    return Address(number.to_bytes(20, "big"))


def client(number: int) -> Origin:
    return origin_of(ipaddress.IPv4Address(number << 8))


def promise(ledger: Ledger, who: int, origin: Origin | None = None, now_ms: int = NOW_MS) -> Payout | Refused:
    return ledger.promise(LIMITS, address(who), origin or client(who), 100, now_ms)


def sign(ledger: Ledger, payout: Payout, *, chain_nonce: int = 0, in_flight_max: int = 1000) -> Payout:
    def make(payout: Payout, nonce: int, _: int) -> SignedTransfer:
        raw = b"%d %d" % (payout.id, nonce)
        return SignedTransfer(
            hash=raw.rjust(32), nonce=nonce, raw=raw, gas=21_000, max_fee_wei=10**25, tip_wei=1
        )

    return ledger.sign(payout.id, make, chain_nonce=chain_nonce, head=7, in_flight_max=in_flight_max)


def paid(answer: Payout | Refused) -> Payout:
    assert isinstance(answer, Payout), answer
    return answer


def test_two_hundred_requests_at_once_for_one_address_get_exactly_its_limit(ledger: Ledger) -> None:
    start = threading.Barrier(20)

    def ask(number: int) -> Payout | Refused:
        if number < 20:
            start.wait()
        return promise(ledger, 1, client(number + 1))

    with ThreadPoolExecutor(max_workers=20) as pool:
        answers = list(pool.map(ask, range(200)))

    assert sum(isinstance(answer, Payout) for answer in answers) == 3
    assert ledger.totals(NOW_MS).rejected == 197


def test_a_thousand_addresses_of_one_ipv6_64_are_one_client(ledger: Ledger) -> None:
    answers = [
        promise(ledger, number + 1, origin_of(ipaddress.IPv6Address((0x20010DB8 << 96) + number)))
        for number in range(1000)
    ]

    assert sum(isinstance(answer, Payout) for answer in answers) == 5


def test_neighbours_of_an_ipv4_24_share_a_limit_of_their_own(ledger: Ledger) -> None:
    answers = [
        promise(ledger, number + 1, origin_of(ipaddress.IPv4Address(0xC6336400 + number)))
        for number in range(40)
    ]

    assert sum(isinstance(answer, Payout) for answer in answers) == 15
    (refused,) = {answer.reason for answer in answers if isinstance(answer, Refused)}
    assert refused.startswith("Too many requests from this network: 15 in 1 h at most")


def test_the_window_slides(ledger: Ledger) -> None:
    times_ms = [NOW_MS, NOW_MS + 1_000, NOW_MS + 2_000]
    for time_ms in times_ms:
        paid(promise(ledger, 1, now_ms=time_ms))

    assert isinstance(promise(ledger, 1, now_ms=NOW_MS + HOUR_MS - 1), Refused)
    paid(promise(ledger, 1, now_ms=NOW_MS + HOUR_MS))
    assert isinstance(promise(ledger, 1, now_ms=NOW_MS + HOUR_MS), Refused)


def test_the_days_limit_holds_for_everybody(url: str) -> None:
    ledger, limits = Ledger(Database(url)), limits_of(FaucetConfig(daily_limit=4))
    answers = [ledger.promise(limits, address(number), client(number), 100, NOW_MS) for number in range(1, 7)]

    assert [isinstance(answer, Payout) for answer in answers] == [True] * 4 + [False] * 2
    paid(ledger.promise(limits, address(9), client(9), 100, NOW_MS + DAY_MS // 2))
    ledger.close()


def test_a_restart_resets_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/faucet.db"
    first = Ledger(Database(url))
    for _ in range(3):
        sign(first, paid(promise(first, 1)))
    first.block("address", "ab" * 20)
    first.close()

    second = Ledger(Database(url))

    assert isinstance(promise(second, 1, now_ms=NOW_MS + 1_000), Refused)
    assert second.blocked("address") == ["ab" * 20]
    assert [payout.nonce for payout in second.in_flight()] == [0, 1, 2]
    assert second.newest_ms() == NOW_MS
    second.close()


def test_each_payout_gets_a_nonce_of_its_own_whoever_signs(ledger: Ledger) -> None:
    payouts = [paid(promise(ledger, number)) for number in range(1, 31)]

    with ThreadPoolExecutor(max_workers=10) as pool:
        signed = list(pool.map(lambda payout: sign(ledger, payout, chain_nonce=5), payouts * 2))

    assert sorted({payout.nonce for payout in signed if payout.nonce is not None}) == list(range(5, 35))
    assert len({payout.transaction_hash for payout in signed}) == 30


def test_what_is_raised_while_signing_leaves_no_trace(ledger: Ledger) -> None:
    payout = paid(promise(ledger, 1))

    def fail(*_: object) -> SignedTransfer:
        raise InvalidInput("no")

    with pytest.raises(InvalidInput):
        ledger.sign(payout.id, fail, chain_nonce=0, head=0, in_flight_max=1)

    assert ledger.payout(payout.id) == payout
    assert sign(ledger, payout).nonce == 0


def test_no_more_are_in_flight_than_may_be(ledger: Ledger) -> None:
    payouts = [paid(promise(ledger, number)) for number in range(1, 5)]

    signed = [sign(ledger, payout, in_flight_max=2).state for payout in payouts]

    assert signed == [PayoutState.SIGNED] * 2 + [PayoutState.QUEUED] * 2
    ledger.settle(payouts[0].id, b"\1" * 32, NOW_MS)
    assert sign(ledger, payouts[2], in_flight_max=2).state is PayoutState.SIGNED


def test_a_cancelled_promise_counts_in_no_limit_and_a_signed_one_cannot_be_cancelled(ledger: Ledger) -> None:
    for _ in range(10):
        assert ledger.cancel(paid(promise(ledger, 1)).id, "the faucet is empty")
    signed = sign(ledger, paid(promise(ledger, 1)))

    assert not ledger.cancel(signed.id, "too late")
    assert ledger.payout(signed.id).state is PayoutState.SIGNED


def test_a_payout_is_queued_again_once_and_then_given_up(ledger: Ledger) -> None:
    payout = sign(ledger, paid(promise(ledger, 1)))

    assert ledger.queue_again(payout.id, 0, "lost", lost_max=1).state is PayoutState.QUEUED
    # Two who saw the same loss do it once.
    assert ledger.queue_again(payout.id, 0, "lost", lost_max=1).state is PayoutState.QUEUED
    again = sign(ledger, payout, chain_nonce=1)
    assert again.nonce == 1
    assert ledger.queue_again(payout.id, 1, "lost", lost_max=1).state is PayoutState.FAILED
    assert len(ledger.signatures(payout.id)) == 2


def test_a_ledger_belongs_to_one_chain_and_one_account(ledger: Ledger) -> None:
    identity = ChainIdentity(chain_id=1337, genesis_hash=b"\1" * 32, payer=address(7))
    ledger.bind(identity)
    ledger.bind(identity)

    with pytest.raises(InvalidInput, match=r"this ledger belongs to .*1337.*, and the faucet pays on .*1338"):
        ledger.bind(ChainIdentity(chain_id=1338, genesis_hash=b"\1" * 32, payer=address(7)))


def test_cleaning_deletes_clients_and_keeps_payouts(ledger: Ledger) -> None:
    promise(ledger, 1, now_ms=NOW_MS)
    promise(ledger, 2, now_ms=NOW_MS + 8 * DAY_MS)

    assert ledger.forget_before(NOW_MS + 8 * DAY_MS, window_ms=HOUR_MS) == 1
    assert ledger.forget_before(NOW_MS + 8 * DAY_MS, window_ms=HOUR_MS) == 0
    assert len(ledger.history(None, 10)) == 2
    assert len(ledger.history(address(1), 10)) == 1


def test_a_new_key_that_hides_networks_does_not_open_their_limits(ledger: Ledger) -> None:
    month_ms = NOW_MS + 30 * DAY_MS
    promise(ledger, 99, client(99), NOW_MS)
    for number in range(5):
        paid(promise(ledger, number + 1, client(7), month_ms - 1_000))

    assert isinstance(promise(ledger, 50, client(7), month_ms + 1_000), Refused)


def test_no_ip_address_is_stored(tmp_path: Path) -> None:
    ledger = Ledger(Database(f"sqlite:///{tmp_path}/faucet.db"))
    promise(ledger, 1, origin_of(ipaddress.IPv4Address("198.51.100.77")))
    ledger.close()

    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert b"198.51.100" not in stored
    assert ipaddress.IPv4Address("198.51.100.77").packed not in stored


def test_tables_of_another_version_are_refused(url: str) -> None:
    database = Database(url)
    Ledger(database)
    with database.change() as connection:
        connection.execute(text("UPDATE faucet_facts SET value = '9' WHERE name = 'schema_version'"))

    with pytest.raises(InvalidInput, match="the faucet's tables have version 9, this program knows 1"):
        Ledger(database)
    database.close()
