"""Who asks, behind proxies: what strangers write into a header is not believed."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.errors import InvalidInput
from sdk.testnet.faucet.client_address import LOOPBACK, client_address, origin_of, parse_ip

PROXIES = (*LOOPBACK, ipaddress.ip_network("10.0.0.0/8"))
STRANGER = "203.0.113.9"


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", [STRANGER], STRANGER),
        ("127.0.0.1", [f"1.1.1.1, {STRANGER}"], STRANGER),
        ("127.0.0.1", [f"1.1.1.1, {STRANGER}, 10.1.2.3"], STRANGER),
        ("127.0.0.1", ["1.1.1.1", f"{STRANGER},10.1.2.3"], STRANGER),
        (STRANGER, ["1.1.1.1"], STRANGER),
        (STRANGER, ["127.0.0.1"], STRANGER),
        ("127.0.0.1", ["what is this"], "127.0.0.1"),
        ("127.0.0.1", [f"{STRANGER}, what is this"], "127.0.0.1"),
        ("::ffff:127.0.0.1", [STRANGER], STRANGER),
        ("::1", ["2001:db8::7"], "2001:db8::7"),
        ("127.0.0.1", ["10.1.1.1, 10.1.1.2"], "10.1.1.1"),
        ("127.0.0.1", ["fe80::1%eth0"], "fe80::1"),
        ("127.0.0.1", [""], "127.0.0.1"),
    ],
)
def test_the_client_is_the_first_stranger_from_the_right(
    peer: str, forwarded: list[str], client: str
) -> None:
    assert str(client_address(peer, forwarded, trusted=PROXIES)) == client


@given(header=st.lists(st.one_of(st.ip_addresses().map(str), st.text(max_size=20)), max_size=50))
def test_no_header_changes_who_a_stranger_is(header: list[str]) -> None:
    assert str(client_address(STRANGER, [", ".join(header)], trusted=PROXIES)) == STRANGER
    assert str(client_address("127.0.0.1", [*header, STRANGER], trusted=PROXIES)) == STRANGER


@given(st.ip_addresses(v=6).filter(lambda address: address.ipv4_mapped is None))  # type: ignore[union-attr]
def test_all_addresses_of_an_ipv6_64_are_one_client(address: ipaddress.IPv6Address) -> None:
    neighbour = ipaddress.IPv6Address(int(address) ^ 0xFFFF_0000_1234_0001)

    assert origin_of(address) == origin_of(neighbour)
    assert origin_of(address).wide.prefixlen == 48


def test_an_ipv4_address_is_one_client_and_its_24_is_counted_beside_it() -> None:
    first, second = origin_of(parse_ip("198.51.100.7")), origin_of(parse_ip("198.51.100.8"))

    assert first.narrow != second.narrow
    assert first.wide == second.wide


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "1.2.3.4/24", "999.1.1.1", "::1::"])
def test_what_is_no_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput, match="ip_address: expected an IPv4 or IPv6 address, found"):
        parse_ip(text)
