"""Which host others are told."""

import ipaddress

import pytest

from metanode.p2p.advertising import choose_host, is_unspecified


def choose(**given: object) -> tuple[str | None, str]:
    settings: dict[str, object] = {"configured": None, "listening": "0.0.0.0", "told": (), "local": ()}
    settings |= given
    settings["told"] = [ipaddress.ip_address(text) for text in settings["told"]]  # type: ignore[attr-defined]
    chosen = choose_host(**settings)  # type: ignore[arg-type]
    return chosen.host, chosen.because


@pytest.mark.parametrize(
    ("given", "host", "because"),
    [
        ({"configured": "a.example", "listening": "10.0.0.1", "told": ["9.9.9.9"] * 3}, "a.example", "configured"),
        ({"listening": "10.0.0.1", "told": ["9.9.9.9"] * 3}, "10.0.0.1", "listen there"),
        ({"told": ["9.9.9.9"] * 2, "local": ["10.0.0.1"]}, "9.9.9.9", "2 of 2 known peers"),
        ({"told": ["9.9.9.9"] * 2 + ["8.8.8.8"], "local": ["10.0.0.1"]}, "9.9.9.9", "2 of 3"),
        # One peer is too few, half of them is no majority, and what a neighbour on this machine sees says nothing.
        ({"told": ["9.9.9.9"], "local": ["10.0.0.1"]}, "10.0.0.1", "only address"),
        ({"told": ["9.9.9.9"] * 2 + ["8.8.8.8"] * 2, "local": ["10.0.0.1"]}, "10.0.0.1", "only address"),
        ({"told": ["127.0.0.1"] * 3, "local": ["127.0.0.1", "10.0.0.1"]}, "10.0.0.1", "only address"),
        ({"local": ["127.0.0.1", "::1", "fe80::1%eth0", "10.0.0.1", "2001:db8::5"]}, "10.0.0.1", "only address"),
        ({"local": ["10.0.0.1", "192.168.7.1"]}, None, "has the addresses 10.0.0.1, 192.168.7.1"),
        ({"local": ["127.0.0.1", "169.254.3.3"]}, None, "no address that others could reach"),
        ({"listening": "::", "local": ["::1", "2001:db8::5"]}, "2001:db8::5", "only address"),
        ({"listening": "0.0.0.0", "local": ["2001:db8::5"]}, None, "no address"),
    ],
)  # fmt: skip
def test_the_first_that_is_known_for_sure_is_told(
    given: dict[str, object], host: str | None, because: str
) -> None:
    found, reason = choose(**given)
    assert found == host
    assert because in reason


def test_what_stands_for_all_addresses() -> None:
    assert [is_unspecified(host) for host in ("0.0.0.0", "::", "", "127.0.0.1", "a.example")] == [
        True
    ] * 3 + [False] * 2
