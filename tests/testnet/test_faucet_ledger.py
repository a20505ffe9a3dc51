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
from sdk.testnet.faucet.ledger import Ledger
from sdk.testnet.faucet.operation import Operation
from sdk.testnet.faucet.payout import (
    AddressTotals,
    ChainIdentity,
    Claim,
    Payout,
    PayoutState,
    Redeemed,
    SignedTransfer,
)
from sdk.testnet.faucet.policy import DAY_MS, RefusalCode, Refused, limits_of
from sdk.testnet.faucet.quotas import HASH_KEY_LIFE_MS, Allowance, Asker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
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
            return _emptied(request.getfixturevalue("server"))


def _emptied(url: str) -> str:
    database = Database(url)
    with database.change() as connection:
        for table in (
            "requests",
            "transactions",
            "payouts",
            "facts",
            "blocked",
            "allowed",
            "passes",
            "audit",
        ):
            connection.execute(text(f"DROP TABLE IF EXISTS faucet_{table}"))
    database.close()
    return url


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
    return answered(ledger.promise(LIMITS, asker(who, origin), 100, now_ms))


def answered(answer: Payout | Refused | Redeemed) -> Payout | Refused:
    assert not isinstance(answer, Redeemed)
    return answer


def asker(who: int, origin: Origin | None = None) -> Asker:
    return Asker(address=address(who), origin=origin or client(who))


def sign(ledger: Ledger, payout: Payout, *, chain_nonce: int = 0, in_flight_max: int = 1000) -> Payout:
    def make(payouts: Sequence[Payout], nonce: int, _: int) -> SignedTransfer:
        raw = b"%d %d" % (payouts[0].id, nonce)
        return SignedTransfer(
            hash=raw.rjust(32), nonce=nonce, raw=raw, gas=21_000, max_fee_wei=10**25, tip_wei=1
        )

    (signed,) = ledger.sign([payout.id], make, chain_nonce=chain_nonce, head=7, in_flight_max=in_flight_max)
    return signed


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


def test_forty_64s_of_one_ipv6_48_are_one_site(ledger: Ledger) -> None:
    """Who has a /48 has 65,536 customers' networks, or pretends to: the maximum of the /48 holds, and the next /48 has its own."""
    base = 0x20010DB8 << 96
    answers = [
        promise(ledger, number + 1, origin_of(ipaddress.IPv6Address(base + (number << 64) + 1)))
        for number in range(40)
    ]

    assert [isinstance(answer, Payout) for answer in answers] == [True] * 15 + [False] * 25
    (refused,) = {answer.reason for answer in answers if isinstance(answer, Refused)}
    assert refused.startswith("Too many requests from this network: 15 in 1 h at most")
    paid(promise(ledger, 99, origin_of(ipaddress.IPv6Address(base + (1 << 80)))))


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
    answers = [ledger.promise(limits, asker(number), 100, NOW_MS) for number in range(1, 7)]

    assert [isinstance(answer, Payout) for answer in answers] == [True] * 4 + [False] * 2
    paid(answered(ledger.promise(limits, asker(9), 100, NOW_MS + DAY_MS // 2)))
    ledger.close()


@pytest.mark.parametrize(
    ("allowance", "paid_by_one_client"), [(Allowance.NONE, 3), (Allowance.ADDRESS, 5), (Allowance.CLIENT, 7)]
)
def test_who_is_allowed_is_counted_in_the_day_and_not_in_the_limits_it_is_freed_of(
    url: str, allowance: Allowance, paid_by_one_client: int
) -> None:
    """Of three payouts an address, five a client and seven a day; what is taken back leaves the day too."""
    ledger, limits = Ledger(Database(url)), limits_of(FaucetConfig(daily_limit=7))
    who = Asker(address=address(1), origin=client(1), allowance=allowance)

    answers = [answered(ledger.promise(limits, who, 100, NOW_MS)) for _ in range(8)]

    assert [isinstance(answer, Payout) for answer in answers] == [
        number < paid_by_one_client for number in range(8)
    ]
    assert ledger.totals(NOW_MS).paid_today == paid_by_one_client
    assert ledger.cancel(paid(answers[0]).id, "taken back")
    assert ledger.totals(NOW_MS).paid_today == paid_by_one_client - 1
    paid(answered(ledger.promise(limits, who, 100, NOW_MS)))
    ledger.close()


def test_an_allowed_client_that_gives_a_voucher_uses_it_up(url: str) -> None:
    database = Database(url)
    ledger, operation = Ledger(database), Operation(database, FaucetConfig())
    made = operation.make_pass(
        label="two", uses_max=2, daily_max=None, expires_ms=None, actor="test", now_ms=NOW_MS
    )
    who = Asker(
        address=address(1), origin=client(1), pass_id=operation.find_pass(made), allowance=Allowance.CLIENT
    )

    answers = [answered(ledger.promise(LIMITS, who, 100, NOW_MS)) for _ in range(3)]

    assert [isinstance(answer, Payout) for answer in answers] == [True, True, False]
    assert ledger.totals(NOW_MS).paid_today == 2
    ledger.close()


def test_a_ledger_from_before_there_was_a_list_of_who_is_allowed_gets_one(tmp_path: Path, url: str) -> None:
    url = f"sqlite:///{tmp_path}/faucet.db" if url == "sqlite://" else url
    first = Ledger(Database(url))
    paid(promise(first, 1))
    first.close()
    database = Database(url)
    with database.change() as connection:
        connection.execute(text("DROP TABLE faucet_allowed"))
    database.close()

    database = Database(url)
    second, operation = Ledger(database), Operation(database, FaucetConfig())
    operation.allow("ip", "10.1.0.0/16")

    assert operation.allowed("ip") == ["10.1.0.0/16"]
    assert operation.blocked("ip") == []
    assert operation.disallow("ip", "10.1.0.0/16")
    assert second.totals(NOW_MS).paid_today == 1
    second.close()


def test_a_restart_resets_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/faucet.db"
    first = Ledger(Database(url))
    for _ in range(3):
        sign(first, paid(promise(first, 1)))
    Operation(Database(url), FaucetConfig()).block("address", "ab" * 20)
    Operation(Database(url), FaucetConfig()).allow("ip", "10.1.0.0/16")
    first.close()

    second = Ledger(Database(url))

    assert isinstance(promise(second, 1, now_ms=NOW_MS + 1_000), Refused)
    assert Operation(Database(url), FaucetConfig()).blocked("address") == ["ab" * 20]
    assert Operation(Database(url), FaucetConfig()).allowed("ip") == ["10.1.0.0/16"]
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
        ledger.sign([payout.id], fail, chain_nonce=0, head=0, in_flight_max=1)

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


def test_an_address_is_counted_over_its_whole_life(ledger: Ledger) -> None:
    """By a key or a voucher somebody may be paid more often than any answer has rows."""
    asked = [paid(promise(ledger, 1, client(number), NOW_MS + number * HOUR_MS)) for number in range(4)]
    promise(ledger, 2)
    ledger.mark_sent(sign(ledger, asked[0]).id, head=8)
    ledger.settle(sign(ledger, asked[1]).id, b"\1" * 32, NOW_MS)
    ledger.cancel(asked[3].id, "it takes no coins")

    assert ledger.totals_of(address(1)) == AddressTotals(
        requests=3, received_gwei=200, last_request_ms=NOW_MS + 2 * HOUR_MS
    )
    assert ledger.totals_of(address(3)) == AddressTotals(requests=0, received_gwei=0, last_request_ms=None)


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

    with pytest.raises(InvalidInput, match="the faucet's tables have version 9, this program knows 2"):
        Ledger(database)
    database.close()


def test_a_challenge_is_redeemed_once_however_many_try_at_once(ledger: Ledger) -> None:
    claim = Claim(id=b"\7" * 16)
    start = threading.Barrier(10)

    def redeem(number: int) -> Payout | Refused | Redeemed:
        start.wait()
        return ledger.promise(LIMITS, asker(number + 1), 100, NOW_MS, claim)

    with ThreadPoolExecutor(max_workers=10) as pool:
        answers = list(pool.map(redeem, range(10)))

    (payout,) = (answer for answer in answers if isinstance(answer, Payout))
    redeemed = [answer for answer in answers if isinstance(answer, Redeemed)]
    assert len(redeemed) == 9
    assert {one.payout.id for one in redeemed} == {payout.id}
    assert not any(one.is_same_request for one in redeemed)
    assert ledger.claimed(b"\7" * 16) == payout


def test_the_same_request_again_is_told_so_by_its_key_and_another_one_is_not(ledger: Ledger) -> None:
    first = ledger.promise(LIMITS, asker(1), 100, NOW_MS, Claim(id=b"\1" * 16, idempotency=rb"\9" * 32))
    again = ledger.promise(LIMITS, asker(1), 100, NOW_MS, Claim(id=b"\1" * 16, idempotency=rb"\9" * 32))
    renamed = ledger.promise(LIMITS, asker(1), 100, NOW_MS, Claim(id=b"\2" * 16, idempotency=rb"\9" * 32))
    other = ledger.promise(LIMITS, asker(1), 100, NOW_MS, Claim(id=b"\1" * 16, idempotency=rb"\8" * 32))

    assert isinstance(first, Payout)
    assert [isinstance(one, Redeemed) and one.is_same_request for one in (again, renamed, other)] == [
        True,
        True,
        False,
    ]


def test_a_claim_is_charged_to_who_asked_and_to_who_redeems(ledger: Ledger) -> None:
    asked = ledger.network_standing(client(50), NOW_MS).origin
    for number in range(1, 6):
        who = Asker(address=address(number), origin=client(100 + number), asked=asked)
        assert isinstance(ledger.promise(LIMITS, who, 100, NOW_MS), Payout)

    # The network that asked five times has had its five, whoever redeems, and whoever it asks for.
    refused = ledger.promise(LIMITS, Asker(address=address(9), origin=client(200), asked=asked), 100, NOW_MS)
    assert isinstance(refused, Refused)
    assert refused.code is RefusalCode.IP
    assert isinstance(promise(ledger, 10, client(50)), Refused)
    assert isinstance(promise(ledger, 11, client(101)), Payout)
    assert ledger.totals(NOW_MS).paid_today == 6, "each once"


def test_one_payout_at_a_time_for_an_address_and_two_for_a_client(url: str) -> None:
    ledger = Ledger(Database(url))
    limits = limits_of(FaucetConfig(one_at_a_time=True))
    first = ledger.promise(limits, asker(1, client(1)), 100, NOW_MS)
    again = ledger.promise(limits, asker(1, client(2)), 100, NOW_MS)
    second = ledger.promise(limits, asker(2, client(1)), 100, NOW_MS)
    third = ledger.promise(limits, asker(3, client(1)), 100, NOW_MS)

    assert isinstance(first, Payout)
    assert isinstance(second, Payout)
    for refused in (again, third):
        assert isinstance(refused, Refused)
        assert refused.code is RefusalCode.UNDER_WAY
    sign(ledger, first)
    ledger.settle(first.id, b"\1" * 32, NOW_MS)
    assert isinstance(ledger.promise(limits, asker(1, client(1)), 100, NOW_MS), Payout)
    ledger.close()


def test_a_days_payouts_go_out_evenly_after_a_tenth_of_them(url: str) -> None:
    ledger = Ledger(Database(url))
    limits = limits_of(FaucetConfig(daily_limit=48, spread_over_the_day=True))
    answers = [ledger.promise(limits, asker(number), 100, NOW_MS) for number in range(1, 8)]

    assert [isinstance(answer, Payout) for answer in answers] == [True] * 4 + [False] * 3
    refused = answers[4]
    assert isinstance(refused, Refused)
    assert (refused.code, refused.retry_after_s) == (RefusalCode.BUDGET, 1800)
    assert isinstance(ledger.promise(limits, asker(9), 100, NOW_MS + 1_800_000), Payout)
    # What is taken back was not spent.
    cancelled = ledger.promise(limits, asker(10), 100, NOW_MS + 3_600_000)
    assert isinstance(cancelled, Payout)
    ledger.cancel(cancelled.id, "no")
    assert isinstance(ledger.promise(limits, asker(11), 100, NOW_MS + 3_600_000), Payout)
    ledger.close()


def test_a_voucher_pays_as_often_as_it_says_past_the_limits_of_networks_only(url: str) -> None:
    database = Database(url)
    ledger, operation = Ledger(database), Operation(database, FaucetConfig())
    text = operation.make_pass(label="workshop", uses_max=7, actor="test", now_ms=NOW_MS)
    pass_id = operation.find_pass(text)

    def ask(number: int) -> Payout | Refused | Redeemed:
        who = Asker(address=address(number), origin=client(1), pass_id=pass_id)
        return ledger.promise(LIMITS, who, 100, NOW_MS)

    answers = [ask(number) for number in range(1, 9)]

    assert [isinstance(one, Payout) for one in answers] == [True] * 7 + [False]
    assert isinstance(promise(ledger, 50, client(1)), Payout), "the network's own limit is not used up"
    (known,) = operation.passes()
    assert (known.used, known.uses_max, known.label) == (7, 7, "workshop")
    taken_back = answers[0]
    assert isinstance(taken_back, Payout)
    ledger.cancel(taken_back.id, "no")
    assert isinstance(ask(20), Payout)
    assert operation.revoke_pass(pass_id, actor="test", now_ms=NOW_MS)
    ledger.cancel(paid(answered(answers[1])).id, "no")
    assert isinstance(ask(21), Refused)
    assert [entry.action for entry in operation.audit()] == ["revoke pass", "make pass"]
    ledger.close()


def test_a_key_has_a_budget_a_day(url: str) -> None:
    database = Database(url)
    ledger, operation = Ledger(database), Operation(database, FaucetConfig())
    pass_id = operation.find_pass(
        operation.make_pass(
            label="ci", daily_max=2, actor="test", now_ms=NOW_MS, expires_ms=NOW_MS + 2 * DAY_MS
        )
    )

    def ask(number: int, now_ms: int) -> bool:
        who = Asker(address=address(number), origin=client(1), pass_id=pass_id)
        return isinstance(ledger.promise(LIMITS, who, 100, now_ms), Payout)

    assert [ask(number, NOW_MS) for number in (1, 2, 3)] == [True, True, False]
    assert ask(4, NOW_MS + DAY_MS)
    assert not ask(5, NOW_MS + 2 * DAY_MS), "it has expired"
    ledger.close()


@pytest.mark.parametrize(
    "text", ["", "mnv", "mnv_00000000_" + "0" * 32, "mnv_" + "x" * 200, "mnk__", "a_b_c"]
)
def test_no_other_text_is_a_voucher(url: str, text: str) -> None:
    database = Database(url)
    ledger, operation = Ledger(database), Operation(database, FaucetConfig())
    operation.make_pass(label="ci", daily_max=2, actor="test", now_ms=NOW_MS)

    with pytest.raises(InvalidInput, match="knows no such voucher"):
        operation.find_pass(text)
    ledger.close()


def test_the_secret_of_a_voucher_is_not_stored(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/faucet.db")
    ledger = Ledger(database)
    text = Operation(database, FaucetConfig()).make_pass(label="ci", daily_max=2, actor="test", now_ms=NOW_MS)
    ledger.close()

    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert text.rpartition("_")[2].encode() not in stored


def test_settings_survive_a_restart_and_say_who_changed_them(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/faucet.db"
    database = Database(url)
    Ledger(database)
    operation = Operation(database, FaucetConfig())
    operation.set_budget(daily_limit=7, tokens_per_request=9, actor="anna", now_ms=NOW_MS)
    operation.pause("a new network at noon", actor="anna", now_ms=NOW_MS)
    database.close()

    after = Operation(Database(url), FaucetConfig())

    settings = after.settings()
    assert (settings.paused, settings.daily_limit, settings.tokens_per_request) == (
        "a new network at noon",
        7,
        9,
    )
    assert [(entry.actor, entry.action) for entry in after.audit()] == [("anna", "pause"), ("anna", "budget")]
    after.resume(actor="ben", now_ms=NOW_MS)
    assert after.settings().paused is None


def test_payouts_of_one_transaction_go_through_every_state_together(ledger: Ledger) -> None:
    payouts = [paid(promise(ledger, number)) for number in range(1, 6)]

    def make(found: Sequence[Payout], nonce: int, _: int) -> SignedTransfer:
        assert [one.id for one in found] == [one.id for one in payouts]
        return SignedTransfer(hash=b"\5" * 32, nonce=nonce, raw=b"raw", gas=1, max_fee_wei=1, tip_wei=1)

    signed = ledger.sign([one.id for one in reversed(payouts)], make, chain_nonce=3, head=1, in_flight_max=9)
    assert {(one.state, one.nonce, one.batch_id) for one in signed} == {
        (PayoutState.SIGNED, 3, payouts[0].id)
    }
    assert [one.id for one in ledger.in_flight()] == [payouts[0].id], "one transaction"
    ledger.mark_sent(payouts[0].id, 2)
    ledger.settle(payouts[0].id, b"\5" * 32, NOW_MS, refused={0, 4})

    states = [ledger.payout(one.id).state for one in payouts]
    assert states == [PayoutState.QUEUED] + [PayoutState.SETTLED] * 3 + [PayoutState.QUEUED]
    # The first of them goes its own way from here on, and takes nobody with it.
    again = sign(ledger, payouts[0])
    assert again.nonce == 4
    assert len(ledger.unit(again.id)) == 1
    ledger.settle(again.id, b"\6" * 32, NOW_MS + 1)
    assert ledger.payout(payouts[1].id).settled_ms == NOW_MS


def test_a_payout_alone_is_settled_whatever_its_receipt_says_of_refusals(ledger: Ledger) -> None:
    payout = sign(ledger, paid(promise(ledger, 1)))
    ledger.settle(payout.id, b"\5" * 32, NOW_MS, refused={0, 1})

    assert (ledger.payout(payout.id).state, ledger.payout(payout.id).lost) == (PayoutState.SETTLED, 0)


def test_who_refuses_in_a_batch_again_and_again_is_given_up(ledger: Ledger) -> None:
    ids = [paid(promise(ledger, number)).id for number in range(1, 3)]

    def make(_: Sequence[Payout], nonce: int, __: int) -> SignedTransfer:
        return SignedTransfer(
            hash=b"\5" * 31 + bytes([nonce]), nonce=nonce, raw=b"raw", gas=1, max_fee_wei=1, tip_wei=1
        )

    states = []
    for _ in range(2):
        ledger.sign(ids, make, chain_nonce=0, head=1, in_flight_max=9)
        ledger.settle(ids[0], b"\5" * 32, NOW_MS, refused={0, 1}, lost_max=1)
        states.append([ledger.payout(one).state for one in ids])

    assert states == [[PayoutState.QUEUED] * 2, [PayoutState.FAILED] * 2]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_nobody_who_reads_waits_for_a_change(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = (
        f"sqlite:///{tmp_path}/faucet.db" if kind == "sqlite" else _emptied(request.getfixturevalue("server"))
    )
    ledger, other = Ledger(Database(url)), Database(url)
    assert ledger.find_refusal(LIMITS, asker(1), NOW_MS) is None, (
        "a ledger without a key for networks is read too"
    )
    ledger.network_standing(client(1), NOW_MS)
    payout = paid(promise(ledger, 1))

    def read() -> list[object]:
        return [
            ledger.payout(payout.id),
            ledger.network_standing(client(1), NOW_MS).grants,
            ledger.find_refusal(LIMITS, asker(1), NOW_MS),
            ledger.history(None, 10),
            ledger.totals(NOW_MS).requests,
            Operation(other, FaucetConfig()).settings().paused,
        ]

    with ThreadPoolExecutor(max_workers=1) as pool:
        with other.change() as connection:
            connection.execute(text("UPDATE faucet_payouts SET error = 'under way'"))
            found = pool.submit(read).result(timeout=5)
        after = ledger.payout(payout.id).error

    assert found == [payout, 1, None, [payout], 1, None], "what is not committed is not seen"
    assert after == "under way", "and what is committed is, at once"
    ledger.close()
    other.close()


def test_a_network_is_counted_over_the_change_of_the_key_that_hides_it(tmp_path: Path) -> None:
    ledger = Ledger(Database(f"sqlite:///{tmp_path}/faucet.db"))
    asked = ledger.network_standing(client(1), NOW_MS).origin
    later_ms = NOW_MS + HASH_KEY_LIFE_MS
    for number in range(1, 6):
        paid(promise(ledger, number, client(1), now_ms=later_ms - 1))

    # Before the new key is made, when it is made, and after it.
    refused = [ledger.find_refusal(LIMITS, asker(9, client(1)), later_ms)]
    standing = ledger.network_standing(client(1), later_ms)
    refused.append(ledger.find_refusal(LIMITS, asker(9, client(1)), later_ms))

    assert [one is not None and one.code for one in refused] == [RefusalCode.IP] * 2
    assert standing.origin.narrow != asked.narrow
    assert standing.grants == ledger.network_standing(client(1), later_ms).grants == 5
    assert ledger.network_standing(client(1), later_ms).origin == standing.origin
    ledger.close()
