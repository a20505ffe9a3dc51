import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.crypto.secp256k1 import PrivateKey
from metanode.p2p.enode import Enode, NodeId, parse_enode
from metanode.p2p.errors import InvalidEnode

ID = PrivateKey(b"\x01" * 32).public_key.hex()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"enode://{ID}@10.0.0.1:30303", (True, "10.0.0.1", 30303, 30303)),
        (f"enode://{ID.upper()}@10.0.0.1:30303", (True, "10.0.0.1", 30303, 30303)),
        (f"enode://{ID}@10.0.0.1:30303?discport=30301", (True, "10.0.0.1", 30303, 30301)),
        (f"enode://{ID}@10.0.0.1:30303?discport=0", (True, "10.0.0.1", 30303, 0)),
        (f"enode://{ID}@[2001:db8::1]:1", (True, "2001:db8::1", 1, 1)),
        (f"enode://{ID}@[::1]:65535", (True, "::1", 65535, 65535)),
        ("enode://validator-1.parvyom.network:30303", (False, "validator-1.parvyom.network", 30303, 30303)),
        ("enode://localhost:30304", (False, "localhost", 30304, 30304)),
        ("enode://validator_1:30304", (False, "validator_1", 30304, 30304)),
    ],
)
def test_addresses_are_parsed_and_written_back(text: str, expected: tuple[bool, str, int, int]) -> None:
    enode = parse_enode(text)
    assert (enode.node_id is not None, enode.host, enode.tcp_port, enode.udp_port) == expected
    assert parse_enode(str(enode)) == enode


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not an enode address: expected enode://ID@HOST:PORT"),
        ("http://a:1", "is not an enode address"),
        (f"enode:{ID}@a:1", "is not an enode address"),
        (
            "enode://742d35Cc6634C0532925a3b8D4C0b7C5C8C8b8@host:1",
            r"the node id has 19 bytes \(38 digits\), expected 64 bytes \(128 hexadecimal digits\)",
        ),
        ("enode://abc@host:1", r"the node id has 3 digits, expected 64 bytes"),
        (f"enode://0x{ID}@host:1", "the node id holds 'x' at position 1"),
        (f"enode://{ID[:-1]}H@host:1", "the node id holds 'H' at position 127"),
        (f"enode://{'00' * 64}@host:1", r"the node id is no public key \(not a point of secp256k1\)"),
        (f"enode://{'ff' * 64}@host:1", "the node id is no public key"),
        ("enode://@host:1", r"the node id has 0 bytes"),
        (f"enode://{ID}@", "the host is missing"),
        (f"enode://{ID}@:30303", "the host is missing"),
        (f"enode://{ID}@host", "the port is missing, as in enode://…host:30303"),
        (f"enode://{ID}@host:", "the port is missing"),
        (f"enode://{ID}@host:0", "the port is '0', expected a number from 1 to 65535"),
        (f"enode://{ID}@host:65536", "the port is '65536', expected"),
        (f"enode://{ID}@host:-1", "the port is '-1', expected"),
        (f"enode://{ID}@host:30303/", "the port is '30303/', expected"),
        (f"enode://{ID}@host:٣", "the port is"),
        (f"enode://{ID}@::1:30303", "an IPv6 address stands in brackets"),
        (f"enode://{ID}@[::1:30303", "the bracket of the IPv6 address is not closed"),
        (f"enode://{ID}@[::1]30303", "expected a port after the IPv6 address, found '30303'"),
        (f"enode://{ID}@[10.0.0.1]:1", "'10.0.0.1' in brackets is no IPv6 address"),
        (f"enode://{ID}@[::g]:1", "'::g' is neither an IP address nor a host name"),
        (f"enode://{ID}@[fe80::1%eth0]:1", "is neither an IP address nor a host name"),
        (f"enode://{ID}@256.0.0.1:1", "'256.0.0.1' is neither an IP address nor a host name"),
        (f"enode://{ID}@ho st:1", "'ho st' is neither an IP address nor a host name"),
        (f"enode://{ID}@{'a' * 64}:1", "is neither an IP address nor a host name"),
        (f"enode://{ID}@-a:1", "is neither an IP address nor a host name"),
        (f"enode://{ID}@host:1?discport=65536", "the discport is '65536', expected a number from 0 to 65535"),
        (f"enode://{ID}@host:1?foo=2", "unknown parameter 'foo', expected discport=PORT"),
    ],
)
def test_an_error_names_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(InvalidEnode, match=message):
        parse_enode(text)


@given(st.text(max_size=300))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for candidate in (text, "enode://" + text, f"enode://{ID}@{text}"):
        with contextlib.suppress(InvalidEnode):
            enode = parse_enode(candidate)
            assert parse_enode(str(enode)) == enode


@given(st.ip_addresses(), st.integers(1, 65535), st.integers(0, 65535), st.booleans())
def test_every_address_survives_being_written(ip: object, tcp: int, udp: int, has_id: bool) -> None:
    node_id = NodeId(bytes.fromhex(ID)) if has_id else None
    enode = Enode(node_id=node_id, host=str(ip), tcp_port=tcp, udp_port=udp)
    assert parse_enode(str(enode)) == enode
