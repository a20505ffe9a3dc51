"""Rows 19 to 29 of docs/evidence/bad-inputs.md on a running validator: peers that break the rules, beside the common bar.

What each of them is told, and all the ways to break a rule, are in tests/integration/p2p and tests/unit/p2p, on networks without a chain.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import socket
import time
from ipaddress import ip_address
from random import Random
from typing import TYPE_CHECKING, Final

import pytest
from tests.acceptance.processes import slowness, wait_until
from tests.integration.hostile.bar import holding
from tests.integration.hostile.strangers import Node, Stranger, call, serves_a_good_peer
from tests.integration.hostile.target import Target, running_target

from metanode.crypto.hashing import keccak256
from metanode.p2p import snappy
from metanode.p2p.discv4 import packets
from metanode.p2p.discv4.packets import Endpoint, FindNode, Ping, Pong
from metanode.p2p.ports import Tip
from metanode.p2p.protocol import GetBlocks, Heartbeat, Response
from metanode.p2p.rlpx.handshake import Initiator, NodeKey
from metanode.p2p.rlpx.messages import HELLO, Capability
from metanode.p2p.rlpx.reasons import DisconnectReason
from metanode.primitives import rlp
from metanode.primitives.types import ZERO_HASH, Hash32, Height

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ATTACK_S: Final = 8.0
CLOSED_WITHIN_S: Final = 5.0
"""Of a handshake that does not come to its end."""
AT_ONCE: Final = 40
"""Fewer than the 50 connections that may wait for their handshake."""
DATAGRAMS: Final = 20_000


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with running_target(tmp_path_factory.mktemp("peers"), p2p="discovery = true") as running:
        yield running


@pytest.fixture(scope="module")
def node(target: Target) -> Node:
    return Node.of(target)


def node_key() -> NodeKey:
    return NodeKey(secrets.token_bytes(32))


def is_answered(caller: socket.socket, node: Node) -> bool:
    """Whether a good ping gets its pong within a second; beside it only the node's own ping may come, which asks for a proof in return."""
    ours = Endpoint(ip=ip_address("127.0.0.1"), udp_port=caller.getsockname()[1], tcp_port=0)
    ping = Ping(source=ours, target=ours, expiration=int(time.time()) + 60)
    datagram, ping_hash = packets.encode(node_key(), ping)
    caller.settimeout(1.0)
    caller.sendto(datagram, ("127.0.0.1", node.port))
    with contextlib.suppress(TimeoutError):
        while True:
            match packets.decode(caller.recv(2_048)).packet:
                case Pong(ping_hash=answered) if answered == ping_hash:
                    return True
                case Ping():
                    pass
                case other:
                    raise AssertionError(f"an answer to what was no good ping: {other}")
    return False


def while_attacked(attack: Callable[[], None]) -> int:
    """Attack again and again; returns how often."""
    until, times = time.monotonic() + ATTACK_S, 0
    while time.monotonic() < until:
        attack()
        times += 1
    return times


def test_row_19_first_packets_that_are_none_are_closed_in_time(
    target: Target, node: Node, record_property: Callable[[str, object], None]
) -> None:
    """Row 20 as well: points that are not on the curve are among them."""
    random = Random(19)
    auth = Initiator(NodeKey(keccak256(b"cut")), node.enode.node_id).auth()

    def first() -> bytes:
        cut, noise = random.randrange(len(auth)), random.randbytes(2048)
        return random.choice(
            [auth[:cut], b"\x00\x00", b"\xff\xff", b"\x04" + noise[:306], auth[:2] + b"\x04" + noise[: len(auth) - 3], b"GET / HTTP/1.1\r\n\r\n", noise]
        )  # fmt: skip

    def attack() -> None:
        callers = [call(node) for _ in range(AT_ONCE)]
        for caller in callers:
            with contextlib.suppress(OSError):
                caller.sendall(first())
        began = time.monotonic()
        for caller in callers:
            with contextlib.suppress(ConnectionError):
                assert caller.recv(1) == b"", "a stranger is told nothing"
            caller.close()
        waited_s = time.monotonic() - began
        assert waited_s < CLOSED_WITHIN_S * slowness() + 1, f"a bad handshake was open for {waited_s:.1f} s"

    with holding(target, record=record_property):
        while_attacked(attack)
        assert serves_a_good_peer(node)


@pytest.mark.parametrize(
    ("desc", "changes", "reason"),
    [
        ("a hundred and fifty capabilities", {"capabilities": tuple(Capability(name=f"c{i}", version=1) for i in range(150))}, DisconnectReason.PROTOCOL_BREACH),
        ("version 0", {"version": 0}, DisconnectReason.INCOMPATIBLE_VERSION),
        ("another's id", {"node_id": NodeKey(keccak256(b"another")).node_id}, DisconnectReason.UNEXPECTED_IDENTITY),
        ("nothing in common", {"capabilities": (Capability(name="eth", version=68, length=17),)}, DisconnectReason.USELESS_PEER),
    ],
)  # fmt: skip
def test_row_21_hellos_that_lie_are_told_why(
    node: Node, desc: str, changes: dict[str, object], reason: DisconnectReason
) -> None:
    stranger = Stranger(node)
    stranger.greet(**changes)
    assert stranger.hear_end() is reason, desc


def test_row_21_and_22_hellos_and_frames_without_measure_cost_nothing(
    target: Target, node: Node, record_property: Callable[[str, object], None]
) -> None:
    random = Random(22)

    def attack() -> None:
        before = Stranger(node)
        if random.random() < 0.5:
            before.say_header(2**24 - 1)
        else:
            before.say_frame(
                HELLO, rlp.encode([b"\x05", b"x" * 1_500, [[b"c%d" % n, b"\x01"] for n in range(50)]])
            )
        assert before.hear_end() is not None
        peer = Stranger(node).introduce()
        kind = random.randrange(3)
        if kind == 0:
            peer.say_header(2**24 - 1)
        elif kind == 1:
            peer.say_frame(19, b"\xff\xff\xff\xff\x0f" + bytes(100))
        else:
            peer.say_bytes(random.randbytes(64))
        assert peer.hear_end() is DisconnectReason.PROTOCOL_BREACH

    with holding(target, record=record_property):
        record_property("connections", 2 * while_attacked(attack))
        assert serves_a_good_peer(node)


def test_row_23_peers_of_another_chain_are_let_go(
    target: Target, node: Node, record_property: Callable[[str, object], None]
) -> None:
    wrong = [
        dataclasses.replace(node.status, **changes)
        for changes in ({"genesis_hash": Hash32(bytes(32))}, {"network_id": 1}, {"chain_id": 1})
    ]

    def attack() -> None:
        for status in wrong:
            stranger = Stranger(node)
            stranger.greet()
            stranger.say(status)
            assert stranger.hear_end() is DisconnectReason.USELESS_PEER
        twice = Stranger(node).introduce()
        twice.say(node.status)
        assert twice.hear_end() is DisconnectReason.PROTOCOL_BREACH

    with holding(target, record=record_property):
        while_attacked(attack)
        assert serves_a_good_peer(node)


def test_row_24_to_26_questions_answers_and_claims_beyond_measure_end_the_connection_or_are_ignored(
    target: Target, node: Node, record_property: Callable[[str, object], None]
) -> None:
    def attack() -> None:
        for count in (0, 1_025, 2**64 - 1):
            stranger = Stranger(node).introduce()
            stranger.say_frame(16 + 10, snappy.compress(rlp.encode([b"\x01", b"", rlp.integer(count)])))
            assert stranger.hear_end() is DisconnectReason.PROTOCOL_BREACH
        stranger = Stranger(node).introduce()
        with contextlib.suppress(OSError):
            for number in range(500):
                stranger.say(Response(request_id=number, size=100, index=0, data=bytes(100)))
                stranger.say(GetBlocks(request_id=number, first=Height(number), count=1_024))
        stranger.hear_end()
        liar = Stranger(node).introduce()
        liar.say(Heartbeat(tip=Tip(height=Height(2**60), certificate_hash=ZERO_HASH), time_ms=0))
        liar.say(Heartbeat(tip=Tip(height=Height(1), certificate_hash=ZERO_HASH), time_ms=0))
        liar.hear_end()

    with holding(target, record=record_property):
        while_attacked(attack)
        assert serves_a_good_peer(node)


def test_row_27_to_29_datagrams_without_a_proof_of_their_sender_are_not_answered(
    target: Target, node: Node, record_property: Callable[[str, object], None]
) -> None:
    """Nothing comes back but answers to good pings, which are no longer than what asked for them; ids without number take no room."""
    expiration = int(time.time()) + 60
    ours = Endpoint(ip=ip_address("127.0.0.1"), udp_port=9, tcp_port=9)
    with socket.socket(type=socket.SOCK_DGRAM) as caller, holding(target, record=record_property):
        caller.bind(("127.0.0.1", 0))
        caller.setblocking(False)
        random, key, sent_bytes, heard = Random(27), node_key(), 0, []
        for number in range(DATAGRAMS):
            if number % 10 == 0:
                key = node_key()
            good, _ = packets.encode(key, FindNode(target=random.randbytes(64), expiration=expiration))
            spoofed, _ = packets.encode(
                key, Pong(target=ours, ping_hash=Hash32(random.randbytes(32)), expiration=expiration)
            )
            old, _ = packets.encode(key, Ping(source=ours, target=ours, expiration=1))
            datagram = random.choice(
                [good, spoofed, old, random.randbytes(1_281), random.randbytes(200), good[:-1], bytes(32) + good[32:], good + bytes(40)]
            )  # fmt: skip
            caller.sendto(datagram, ("127.0.0.1", node.port))
            sent_bytes += len(datagram)
            with contextlib.suppress(BlockingIOError):
                heard.append(caller.recv(2_048))
            if number % 100 == 0:
                time.sleep(
                    0.02
                )  # 5,000 a second: more would be lost in the system's queue, where the node never sees them.
        assert [packets.decode(datagram).packet for datagram in heard] == []
        # Who is answered has been heard, and all that was sent before: nothing but this is.
        wait_until(lambda: is_answered(caller, node), within_s=30.0, what="a good ping is answered")
        record_property("bytes sent", sent_bytes)
        assert serves_a_good_peer(node)
