"""Who asks, behind proxies: what strangers write into a header is not believed."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.errors import InvalidInput
from sdk.testnet.faucet.client_address import LOOPBACK, NOBODY, client_address, origin_of, parse_ip

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
        ("127.0.0.1", ["what is this"], "0.0.0.0"),
        ("127.0.0.1", [f"{STRANGER}, what is this"], "0.0.0.0"),
        ("127.0.0.1", [f"what is this, {STRANGER}"], STRANGER),
        ("::ffff:127.0.0.1", [STRANGER], STRANGER),
        ("::1", ["2001:db8::7"], "2001:db8::7"),
        ("127.0.0.1", ["10.1.1.1, 10.1.1.2"], "10.1.1.1"),
        ("127.0.0.1", ["fe80::1%eth0"], "fe80::1"),
        ("127.0.0.1", [""], "0.0.0.0"),
    ],
)
def test_the_client_is_the_first_stranger_from_the_right(
    peer: str, forwarded: list[str], client: str
) -> None:
    assert str(client_address(peer, forwarded, trusted=PROXIES)) == client


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("127.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", ["1.1.1.1, 203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", ["127.0.0.1, 203.0.113.7, 10.1.2.3"], "203.0.113.7"),
        ("127.0.0.1", ["1.1.1.1", "203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", ["203.0.113.7:4711"], "203.0.113.7"),
        ("127.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("127.0.0.1", ["[2001:db8::1]"], "2001:db8::1"),
        ("127.0.0.1", ["::ffff:203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", ["10.0.0.9"], "10.0.0.9"),
        ("127.0.0.1", ["203.0.113.7, <script>"], "0.0.0.0"),
        ("127.0.0.1", [""], "0.0.0.0"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("192.0.2.1", ["203.0.113.7"], "192.0.2.1"),
    ],
)
def test_pages_and_gateway_find_the_same_client(peer: str, forwarded: list[str], client: str) -> None:
    """The table of `rust/rpc/src/forwarding.rs`; where that has None, `peer` itself asks."""
    assert str(client_address(peer, forwarded, trusted=PROXIES)) == client


@pytest.mark.parametrize(
    ("entry", "client"),
    [
        ("203.0.113.9:4711", STRANGER),
        (" 203.0.113.9:0 ", STRANGER),
        ("203.0.113.9:65535", STRANGER),
        ("[::ffff:203.0.113.9]:4711", STRANGER),
        ("[fe80::1%eth0]:4711", "fe80::1"),
        ("2001:db8::7:4711", "2001:db8::7:4711"),
    ],
)
def test_a_port_is_no_part_of_who_asks(entry: str, client: str) -> None:
    assert str(client_address("127.0.0.1", [entry], trusted=PROXIES)) == client
    assert str(client_address("127.0.0.1", [f"1.1.1.1:80, {entry}, 10.1.2.3:443"], trusted=PROXIES)) == client


@pytest.mark.parametrize(
    "entry",
    [
        "203.0.113.9:",
        "203.0.113.9:65536",
        "203.0.113.9:\u0664",
        "203.0.113.9:-1",
        "203.0.113.9:4711:1",
        "[2001:db8::7",
        "[2001:db8::7]4711",
        "[2001:db8::7]:",
        "[2001:db8::7]:65536",
        "[]:4711",
        "[[2001:db8::7]]",
        ":4711",
        "unknown",
        "_hidden",
        "for=203.0.113.9",
    ],
)
def test_an_entry_that_no_proxy_writes_is_one_client_for_all_and_never_the_proxy(entry: str) -> None:
    """Taken for the proxy, its sender would not be counted at all."""
    client = client_address("127.0.0.1", [entry], trusted=PROXIES)

    assert client == NOBODY
    assert not any(client in network for network in PROXIES if network.version == client.version)


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
