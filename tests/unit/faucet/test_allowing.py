"""Who is freed of limits, and of which: by where it asks from, or by an address that anybody can name."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metanode.crypto.addresses import parse_address
from metanode.errors import InvalidInput
from metanode.primitives.types import Address
from sdk.testnet.faucet import Faucet, FaucetConfig
from sdk.testnet.faucet.client_address import LOOPBACK, client_address, origin_of, parse_ip
from sdk.testnet.faucet.database import Database
from sdk.testnet.faucet.ledger import Ledger
from sdk.testnet.faucet.payout import Payout
from sdk.testnet.faucet.policy import DAY_MS, RefusalCode, limits_of
from sdk.testnet.faucet.quotas import Allowance, Asker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ADDRESS, OTHER = "0x" + "ab" * 20, "0x" + "cd" * 20
INSIDE, OUTSIDE = "10.1.2.3", "203.0.113.9"
NOW_MS = 20_000 * DAY_MS


@pytest.fixture
def make() -> Iterator[Callable[..., Faucet]]:
    """Makes faucets whose chain is never started: promises stay promises."""
    made: list[Faucet] = []

    def make(**config: Any) -> Faucet:
        made.append(Faucet(FaucetConfig(**config)))
        return made[-1]

    yield make
    for faucet in made:
        asyncio.run(faucet.close())


def promised(faucet: Faucet, address: str, client: str) -> bool:
    """Promise a payout as a request does, if lists and limits let it."""
    asker = faucet._asker(Address(parse_address(address)), parse_ip(client))
    if faucet._till.find_refusal(asker) is not None:
        return False
    return isinstance(faucet._till.promise(asker, 100, faucet.operation.settings()), Payout)


def test_who_asks_from_an_allowed_network_has_no_limit_but_the_days(make: Callable[..., Faucet]) -> None:
    faucet = make(max_requests_per_address=1, max_requests_per_ip=1, daily_limit=6, one_at_a_time=True)
    faucet.allow_ip("10.1.0.0/16")

    assert [promised(faucet, ADDRESS, INSIDE) for _ in range(5)] == [True] * 5
    assert (
        faucet.can_request(ADDRESS, OUTSIDE)[1]
        == "A payout to this address is under way; ask again when it is final"
    )
    assert promised(faucet, OTHER, OUTSIDE)
    assert faucet.can_request(ADDRESS, INSIDE)[1].startswith("Too many requests today")


def test_an_allowed_address_has_no_limits_of_its_own_and_those_of_who_names_it_hold(
    make: Callable[..., Faucet],
) -> None:
    """Else a stranger, who computes nothing, could spend the whole day's payouts on it."""
    faucet = make(max_requests_per_address=1, max_requests_per_ip=2, one_at_a_time=False)
    faucet.allow_address(ADDRESS)

    assert [promised(faucet, ADDRESS, f"198.51.100.{number}") for number in range(4)] == [True] * 4
    assert [promised(faucet, ADDRESS, OUTSIDE) for _ in range(3)] == [True, True, False]
    assert "from this IP address" in faucet.can_request(ADDRESS, OUTSIDE)[1]
    assert [promised(faucet, OTHER, f"198.51.101.{number}") for number in range(2)] == [True, False]


def test_what_was_given_while_it_was_allowed_fills_no_limit_afterwards(make: Callable[..., Faucet]) -> None:
    faucet = make(max_requests_per_address=1, max_requests_per_ip=1)
    faucet.allow_ip(INSIDE)
    assert [promised(faucet, ADDRESS, INSIDE) for _ in range(3)] == [True] * 3

    assert faucet.disallow_ip(INSIDE)
    assert not faucet.disallow_ip(INSIDE)

    assert [promised(faucet, ADDRESS, INSIDE) for _ in range(2)] == [True, False]
    assert faucet.get_stats()["remaining_today"] == 1000 - 4


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (lambda faucet: faucet.block_address(ADDRESS), "This address is blocked"),
        (lambda faucet: faucet.block_ip("10.1.2.0/24"), "This IP address is blocked"),
        (lambda faucet: faucet.operation.pause("noon", actor="test", now_ms=0), "The faucet is paused: noon"),
    ],
)
def test_a_block_and_a_pause_win_over_what_is_allowed(
    make: Callable[..., Faucet], block: Callable[[Faucet], None], reason: str
) -> None:
    faucet = make()
    faucet.allow_address(ADDRESS)
    faucet.allow_ip("10.1.0.0/16")
    assert faucet.can_request(ADDRESS, INSIDE) == (True, "")

    block(faucet)

    assert faucet.can_request(ADDRESS, INSIDE) == (False, reason)


@pytest.mark.parametrize(
    ("entry", "client", "is_allowed"),
    [
        ("10.1.0.0/16", "10.1.255.255", True),
        ("10.1.0.0/16", "10.2.0.0", False),
        ("10.1.0.0/16", "::ffff:10.1.2.3", True),
        ("198.51.100.7", "198.51.100.7", True),
        ("198.51.100.7", "198.51.100.8", False),
        ("2001:db8::5", "2001:db8::6", True),
        ("2001:db8::5", "2001:db8:0:1::5", False),
        ("2001:db8::5/128", "2001:db8::5", True),
        ("2001:db8::5/128", "2001:db8::6", False),
    ],
)
def test_an_entry_frees_who_is_inside_it_and_no_neighbour(
    make: Callable[..., Faucet], entry: str, client: str, is_allowed: bool
) -> None:
    """Also where it is smaller than the network that a client is counted by."""
    faucet = make(max_requests_per_ip=1)
    faucet.allow_ip(entry)

    assert [promised(faucet, ADDRESS, client) for _ in range(2)] == [True, is_allowed]


@pytest.mark.parametrize("entry", ["0.0.0.0/0", "10.1.0.0/1", "::/0", "fc00::/7"])
def test_half_the_internet_is_not_allowed_by_a_slip(make: Callable[..., Faucet], entry: str) -> None:
    faucet = make()
    with pytest.raises(InvalidInput, match="expected a network of /8 or smaller"):
        faucet.allow_ip(entry)
    assert not faucet.allowed_ips


def test_what_is_allowed_is_told_and_written_down(make: Callable[..., Faucet]) -> None:
    faucet = make()
    faucet.allow_address(ADDRESS.upper().replace("X", "x"))
    for _ in range(2):
        faucet.allow_ip("10.1.0.0/16")

    assert ADDRESS in faucet.allowed_addresses
    assert faucet.allowed_ips == {"10.1.0.0/16"}
    assert (faucet.get_address_info(ADDRESS)["allowed"], faucet.get_address_info(OTHER)["allowed"]) == (
        True,
        False,
    )
    assert {name: faucet.get_stats()[name] for name in ("allowed_addresses", "allowed_ips")} == {
        "allowed_addresses": 1,
        "allowed_ips": 1,
    }
    assert faucet.disallow_address(ADDRESS)
    assert not faucet.disallow_address(ADDRESS)
    assert [entry.action for entry in reversed(faucet.operation.audit())] == [
        "allow address",
        "allow ip",
        "disallow address",
    ]


@pytest.mark.parametrize(
    ("peer", "forwarded", "needs_work"),
    [
        ("127.0.0.1", [INSIDE], False),
        ("127.0.0.1", [f"{INSIDE}, {OUTSIDE}"], True),
        ("127.0.0.1", [INSIDE, OUTSIDE], True),
        ("127.0.0.1", [], True),
        (OUTSIDE, [INSIDE], True),
        (OUTSIDE, ["127.0.0.1"], True),
        (INSIDE, [OUTSIDE], False),
    ],
)
async def test_only_the_client_that_a_trusted_proxy_names_is_spared_the_work(
    make: Callable[..., Faucet], peer: str, forwarded: list[str], needs_work: bool
) -> None:
    """Not who says so itself; and behind a proxy that names nobody stands anybody, also where its address is allowed."""
    faucet = make(proof_of_work=True)
    faucet.allow_ip("10.1.0.0/16")
    faucet.allow_ip("127.0.0.0/8")
    desk = faucet.open_desk(proxies=LOOPBACK)

    client = client_address(peer, forwarded, trusted=LOOPBACK)

    assert await desk.needs_work(client) is needs_work
    assert (await desk.difficulty(client) is None) is not needs_work
    asker = await desk._asker(Address(parse_address(ADDRESS)), client)
    assert asker.allowance is (Allowance.NONE if needs_work else Allowance.CLIENT)
    desk.close()


async def test_an_allowed_address_spares_nobody_the_work(make: Callable[..., Faucet]) -> None:
    faucet = make(proof_of_work=True)
    faucet.allow_address(ADDRESS)
    desk = faucet.open_desk()

    with pytest.raises(InvalidInput, match="this faucet asks for a proof of work"):
        await desk.redeem_without_proof(ADDRESS, parse_ip(OUTSIDE), voucher=None)
    desk.close()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(1, 3), st.sampled_from(Allowance)), min_size=1, max_size=25
    )
)
def test_limits_count_what_was_not_freed_of_them_and_the_day_counts_everything(
    requests: list[tuple[int, int, Allowance]],
) -> None:
    """Against a plain model: two payouts an address, three a client, ten a day."""
    ledger = Ledger(Database("sqlite://"))
    limits = limits_of(
        FaucetConfig(
            max_requests_per_address=2, max_requests_per_ip=3, max_requests_per_network=100, daily_limit=10
        )
    )
    of_address, of_client, of_day = dict.fromkeys(range(4), 0), dict.fromkeys(range(4), 0), 0
    for who, where, allowance in requests:
        asker = Asker(
            address=Address(who.to_bytes(20, "big")),
            origin=origin_of(ipaddress.IPv4Address(where << 8)),
            allowance=allowance,
        )
        expected = (
            RefusalCode.ADDRESS
            if allowance is Allowance.NONE and of_address[who] == 2
            else RefusalCode.IP
            if allowance is not Allowance.CLIENT and of_client[where] == 3
            else RefusalCode.DAY
            if of_day == 10
            else None
        )

        answer = ledger.promise(limits, asker, 100, NOW_MS)

        assert getattr(answer, "code", None) is expected
        if expected is None:
            of_address[who] += allowance is Allowance.NONE
            of_client[where] += allowance is not Allowance.CLIENT
            of_day += 1
    assert ledger.totals(NOW_MS).paid_today == of_day
    ledger.close()
