"""Who asks: counted by network, whatever it writes into its headers; and whether a page of ours sent it."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from sdk.testnet.services.web.clients import Clients, check_origin
from sdk.testnet.services.web.problems import TooManyRequests, WrongOrigin


def ask(peer: str = "198.51.100.7", *, scheme: str = "http", **headers: str) -> Request:
    return Request(
        {
            "type": "http",
            "method": "GET",
            "scheme": scheme,
            "path": "/",
            "query_string": b"",
            "client": (peer, 1),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        }
    )


def test_who_asks_too_often_waits_whatever_it_says_of_itself() -> None:
    clients = Clients(lambda: 0, maximum=3)
    for number in range(3):
        clients.count(ask(x_forwarded_for=f"10.0.0.{number}"))
    with pytest.raises(TooManyRequests) as refused:
        clients.count(ask(x_forwarded_for="10.9.9.9"))
    assert refused.value.retry_after_s == 60
    clients.count_read(ask())
    clients.count(ask("198.51.101.7"))


def test_this_machine_and_a_proxy_that_says_nothing_are_no_strangers() -> None:
    clients = Clients(lambda: 0, maximum=1)
    assert clients.stranger_of(ask("127.0.0.1")) is None
    assert str(clients.stranger_of(ask("127.0.0.1", x_forwarded_for="2001:db8::7"))) == "2001:db8::/64"
    for _ in range(3):
        clients.count_stranger(ask("127.0.0.1"))
    clients.count_stranger(ask())
    with pytest.raises(TooManyRequests):
        clients.count_stranger(ask())


@pytest.mark.parametrize("forwarded", ["203.0.113.9:4711", "[2001:db8::7]:4711", "unknown", ""])
def test_who_comes_through_a_proxy_is_counted_however_it_writes_addresses(forwarded: str) -> None:
    """Costly pages, and streams, which are counted by `stranger_of`."""
    clients = Clients(lambda: 0, maximum=1)

    assert clients.stranger_of(ask("127.0.0.1", x_forwarded_for=forwarded)) is not None
    clients.count_stranger(ask("127.0.0.1", x_forwarded_for=forwarded))
    with pytest.raises(TooManyRequests):
        clients.count_stranger(ask("127.0.0.1", x_forwarded_for=forwarded))
    clients.count_stranger(ask("127.0.0.1", x_forwarded_for="198.51.100.7:80"))


@pytest.mark.parametrize(
    "header",
    ["forwarded", "x_real_ip", "x_forwarded_host", "x_client_ip", "true_client_ip", "cf_connecting_ip"],
)
def test_no_other_header_says_who_asks(header: str) -> None:
    """Also not one that a proxy passes on unread from whoever asked it."""
    value = "for=192.0.2.1;host=evil.example" if header == "forwarded" else "192.0.2.1"
    clients = Clients(lambda: 0)

    assert str(clients.address_of(ask(**{header: value}))) == "198.51.100.7"
    assert str(clients.address_of(ask("127.0.0.1", **{header: value}))) == "127.0.0.1"
    behind = ask("127.0.0.1", x_forwarded_for="203.0.113.9", **{header: value})
    assert str(clients.address_of(behind)) == "203.0.113.9"


@pytest.mark.parametrize("header", ["forwarded", "x_forwarded_host"])
def test_no_other_header_than_host_says_where_a_page_of_ours_is(header: str) -> None:
    value = "host=evil.example" if header == "forwarded" else "evil.example"
    with pytest.raises(WrongOrigin, match="expected the address of this site, found"):
        check_origin(ask("127.0.0.1", origin="http://evil.example", host="faucet.example", **{header: value}))


@pytest.mark.parametrize(
    ("origin", "host", "public_url"),
    [
        ("http://faucet.example", "faucet.example", ""),
        ("https://faucet.example", "10.0.0.5:8080", "https://faucet.example"),
        ("https://faucet.example:443", "10.0.0.5:8080", "https://faucet.example/"),
    ],
)
def test_a_form_of_our_own_page_is_taken_also_behind_a_proxy_that_changes_host(
    origin: str, host: str, public_url: str
) -> None:
    check_origin(ask(origin=origin, host=host), public_url=public_url)


@pytest.mark.parametrize(
    ("origin", "public_url"),
    [
        ("https://evil.example", "https://faucet.example"),
        ("http://faucet.example", "https://faucet.example"),
        ("https://faucet.example:444", "https://faucet.example"),
        ("null", "https://faucet.example"),
        ("https://[", "https://faucet.example"),
    ],
)
def test_a_form_of_another_page_is_not(origin: str, public_url: str) -> None:
    with pytest.raises(WrongOrigin, match=r"expected https://faucet\.example, found"):
        check_origin(ask(origin=origin, host="10.0.0.5:8080"), public_url=public_url)
    with pytest.raises(WrongOrigin, match="a page of another site"):
        check_origin(ask(sec_fetch_site="cross-site", host="faucet.example"))
