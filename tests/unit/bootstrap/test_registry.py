"""Who is listed by a bootstrap node, in virtual time."""

from __future__ import annotations

import ipaddress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidInput
from metanode.p2p.discv4.packets import Contact
from metanode.p2p.rlpx.handshake import NodeKey
from sdk.testnet.bootstrap.registry import FAILURES_MAX, REFUSED_MAX, PeerRegistry

NOW = 1_800_000_000.0
GENESIS = b"\x07" * 32


def registry(max_peers: int = 100, **settings) -> PeerRegistry:
    return PeerRegistry(max_peers=max_peers, timeout_s=3600, chain_id=9999, **settings)


def register(peers: PeerRegistry, node_id: str, now: float = NOW, **changes) -> bool:
    fields = {"address": "192.168.1.100", "port": 30303, "version": "1.0.0", "chain_id": None}
    return peers.register(node_id=node_id, **(fields | changes), now=now)


def node_id(number: int) -> bytes:
    return keccak256(b"%d" % number) * 2


def contact(number: int, ip: str = "10.0.0.1") -> Contact:
    return Contact(node_id=node_id(number), ip=ipaddress.ip_address(ip), udp_port=30303, tcp_port=30303)


def test_a_registered_peer_is_listed_at_once_and_unverified() -> None:
    peers = registry()
    assert register(peers, "validator-1")
    peer = peers.peers["validator-1"]
    assert (peer.address, peer.port, peer.version) == ("192.168.1.100", 30303, "1.0.0")
    assert not peer.verified
    assert peer.enode is None, "a name is no key"


def test_a_proof_verifies_a_registered_peer_and_says_where_it_is() -> None:
    peers = registry()
    key = NodeKey(b"\x01" * 32).node_id
    register(peers, "0x" + key.hex().upper())
    assert not peers.peers[key.hex()].verified
    assert peers.prove(
        Contact(node_id=key, ip=ipaddress.ip_address("10.0.0.9"), udp_port=1, tcp_port=2), NOW + 1
    )
    peer = peers.peers[key.hex()]
    assert (peer.verified, peer.registered, peer.address, peer.udp_port, peer.port) == (
        True,
        True,
        "10.0.0.9",
        1,
        2,
    )
    assert peer.enode == f"enode://{key.hex()}@10.0.0.9:2?discport=1"
    register(peers, key.hex(), address="6.6.6.6", now=NOW + 2)
    assert peers.peers[key.hex()].address == "10.0.0.9", "hearsay does not move who has proved where it is"
    assert len(peers) == peers.total_seen == 1


def test_a_full_registry_takes_nobody_until_somebody_has_timed_out() -> None:
    peers = registry(max_peers=2)
    assert register(peers, "a")
    assert register(peers, "b", now=NOW + 100)
    assert not register(peers, "c", now=NOW + 200)
    assert not peers.prove(contact(1), NOW + 200)
    assert register(peers, "b", now=NOW + 300), "who is listed is refreshed"
    assert register(peers, "c", now=NOW + 3600)
    assert set(peers.peers) == {"b", "c"}
    assert peers.total_seen == 3


def test_a_peer_of_another_chain_is_not_listed() -> None:
    peers = registry(genesis_hash=GENESIS)
    assert not register(peers, "a", chain_id=1)
    assert register(peers, "b", chain_id=9999)
    for number, told in ((1, (1, GENESIS)), (2, (9999, b"\x08" * 32))):
        peers.prove(contact(number), NOW)
        assert not peers.greeted(node_id(number).hex(), version="x", chain_id=told[0], genesis_hash=told[1])
        assert node_id(number).hex() not in peers.peers
        assert not peers.prove(contact(number), NOW), "and it stays away"
        assert not register(peers, node_id(number).hex())
    assert peers.refused == 2
    assert peers.greeted(node_id(1).hex(), version="x", chain_id=9999, genesis_hash=GENESIS)
    assert peers.prove(contact(1), NOW), "a node that was made anew for our chain is welcome"
    for number in range(REFUSED_MAX + 10):
        peers.greeted(node_id(number).hex(), version="", chain_id=1, genesis_hash=GENESIS)
    assert peers.refused == REFUSED_MAX


def test_what_a_client_calls_itself_is_shown_without_control_characters() -> None:
    peers = registry()
    peers.prove(contact(1), NOW)
    assert peers.greeted(
        node_id(1).hex(), version="geth\x1b[2J\n" + "x" * 300, chain_id=9999, genesis_hash=GENESIS
    )
    version = peers.peers[node_id(1).hex()].version
    assert version.isprintable()
    assert len(version) <= 255


def test_row_29_few_nodes_of_one_public_network_are_listed_and_all_of_a_private_one() -> None:
    peers = registry(max_peers=20_000)
    for number in range(10_000):
        peers.prove(contact(number, f"8.8.8.{number % 256}"), NOW)
    assert len(peers) == 10
    first = next(iter(peers.peers))
    peers.remove(first)
    assert peers.prove(contact(10_000, "8.8.8.1"), NOW)
    assert len(peers) == 10
    for number in range(20_000, 20_100):
        assert peers.prove(contact(number, "192.168.0.1"), NOW)


def test_who_stops_answering_goes_or_is_unverified_if_somebody_has_registered_it() -> None:
    peers = registry()
    key = NodeKey(b"\x01" * 32).node_id.hex()
    register(peers, key)
    peers.answered(key, NOW)
    peers.prove(contact(1), NOW)
    for name in (key, node_id(1).hex()):
        for step in range(FAILURES_MAX):
            assert peers.peers[name].verified
            peers.unanswered(name, NOW + step)
    assert not peers.peers[key].verified
    assert node_id(1).hex() not in peers.peers


def test_peers_with_keys_are_looked_at_and_names_are_not() -> None:
    peers = registry()
    register(peers, "a-name")
    peers.prove(contact(1), NOW)
    peers.prove(contact(2), NOW + 1)
    assert [peer.node_id for peer in peers.due(NOW + 1, 10)] == [node_id(1).hex(), node_id(2).hex()]
    assert len(peers.due(NOW + 1, 1)) == 1
    peers.answered(node_id(1).hex(), NOW + 2)
    assert [peer.node_id for peer in peers.due(NOW + 100, 10)] == [node_id(2).hex()]
    assert len(peers.due(NOW + 400, 10)) == 2
    register(peers, "a-name", address="192.168.1.101", now=NOW + 401)
    assert len(peers.due(NOW + 500, 10)) == 2


def test_verified_peers_are_told_first_and_excluded_ones_never() -> None:
    peers = registry()
    for name in "abc":
        register(peers, name)
    for number in range(3):
        peers.prove(contact(number), NOW)
    told = peers.choose(10, {"a", node_id(0).hex().upper()}, Random(1))
    assert [peer.verified for peer in told] == [True, True, False, False]
    assert {peer.node_id for peer in told} == {node_id(1).hex(), node_id(2).hex(), "b", "c"}
    firsts = {peers.choose(1, (), Random(seed))[0].node_id for seed in range(50)}
    assert firsts == {node_id(number).hex() for number in range(3)}, "no node is everybody's"
    assert peers.choose(-1, (), Random(1)) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("node_id", ""), ("node_id", "two words"), ("node_id", "x" * 257), ("node_id", "ä"), ("node_id", 7),
        ("address", ""), ("address", "1.2.3"), ("address", "a b"), ("address", None), ("address", "fe80::1%eth0"),
        ("port", 0), ("port", 65_536), ("port", "30303"), ("port", True),
        ("version", "x" * 256), ("version", "a\nb"), ("version", None),
    ],
)  # fmt: skip
def test_what_no_peer_can_have_is_refused_by_its_name(field: str, value: object) -> None:
    peers = registry()
    fields = {"node_id": "a", field: value}
    with pytest.raises(InvalidInput, match=f"^{field}: expected .* found "):
        register(peers, **fields)
    assert len(peers) == peers.changes == 0


def test_a_restored_registry_leaves_out_who_has_timed_out_and_trusts_no_future() -> None:
    before = registry()
    register(before, "old", now=NOW - 4000)
    register(before, "young", now=NOW - 100)
    register(before, "from-tomorrow", now=NOW + 86_400)
    after = registry()
    after.restore(list(before.peers.values()), 17, NOW)
    assert set(after.peers) == {"young", "from-tomorrow"}
    assert after.peers["from-tomorrow"].last_seen == NOW
    assert after.total_seen == 17


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["register", "prove", "remove", "answered", "unanswered", "greeted", "expire"]),
            st.integers(0, 12),
            st.integers(0, 900),
        ),
        max_size=80,
    )
)
def test_whatever_happens_the_bounds_hold_and_every_peer_leaves_in_the_end(steps) -> None:
    peers = registry(max_peers=5)
    now = NOW
    for step, number, wait_s in steps:
        now += wait_s
        name = node_id(number).hex()
        match step:
            case "register":
                register(peers, name if number % 2 else f"name-{number}", now=now)
            case "prove":
                peers.prove(contact(number, f"8.8.{number % 2}.1"), now)
            case "remove":
                peers.remove(name)
            case "answered":
                peers.answered(name, now)
            case "unanswered":
                peers.unanswered(name, now)
            case "greeted":
                peers.greeted(name, version="v", chain_id=9999 - number % 3 // 2, genesis_hash=GENESIS)
            case "expire":
                peers.expire(now)
        assert len(peers) <= 5
        assert all(peer.last_seen <= now for peer in peers.peers.values())
        assert set(peers._checks) == set(peers.peers)
    peers.expire(now + 3600)
    assert len(peers) == 0
    assert not peers._neighbourhoods
