"""The relay between nodes: what is cut is cut, what is healed flows, and who is not named is not touched."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.acceptance.processes import wait_until

from metanode.errors import Unavailable
from sdk.testnet.ephemeral.links import Link, RelayedLinks, between, every_way

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUPS = st.lists(st.integers(0, 9), unique=True, max_size=10).flatmap(
    lambda nodes: st.lists(st.integers(0, 3), min_size=len(nodes), max_size=len(nodes)).map(
        lambda marks: [
            [n for n, mark in zip(nodes, marks, strict=True) if mark == group] for group in range(4)
        ]
    )
)


@given(groups=GROUPS)
def test_two_nodes_are_apart_exactly_when_they_are_in_different_groups(groups: list[list[int]]) -> None:
    group_of = {node: index for index, group in enumerate(groups) for node in group}

    apart = {frozenset(pair) for pair in between(groups)}

    for a in range(10):
        for b in range(a + 1, 10):
            is_apart = a in group_of and b in group_of and group_of[a] != group_of[b]
            assert (frozenset((a, b)) in apart) == is_apart


@given(ports=st.lists(st.integers(1, 65_535), min_size=2, max_size=8))
def test_every_node_has_a_way_to_every_other(ports: list[int]) -> None:
    ways = every_way(ports)

    assert len({(link.caller, link.called) for link in ways}) == len(ports) * (len(ports) - 1) == len(ways)
    assert all(link.target_port == ports[link.called] and link.caller != link.called for link in ways)


class Echo:
    """A listener that sends back what it gets, and knows when a caller has gone."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    @staticmethod
    def _serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(4096):
                connection.sendall(data)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._thread.join(timeout=10)


@pytest.fixture
def relay() -> Iterator[RelayedLinks]:
    """Three nodes that echo, and a relay between them."""
    nodes = [Echo() for _ in range(3)]
    links = RelayedLinks(every_way([node.port for node in nodes]))
    try:
        yield links
    finally:
        links.close()
        for node in nodes:
            node.close()


def call(relay: RelayedLinks, caller: int, called: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", relay.ports[caller, called]), timeout=10)


def answers(connection: socket.socket) -> bool:
    """Whether what is sent comes back; False when the connection has ended."""
    try:
        connection.sendall(b"hello")
        return connection.recv(5) == b"hello"
    except OSError:
        return False


def test_a_cut_ends_connections_and_refuses_new_ones_and_heal_lets_them_through(relay: RelayedLinks) -> None:
    with call(relay, 0, 1) as one, call(relay, 1, 0) as back, call(relay, 0, 2) as other:
        assert all(answers(each) for each in (one, back, other))

        assert relay.cut([(0, 1)]) == 2
        assert not answers(one)
        assert not answers(back)
        assert answers(other)
        with call(relay, 1, 0) as new:
            assert not answers(new)

        relay.heal()
        with call(relay, 1, 0) as new:
            assert answers(new)


def test_a_mute_holds_the_bytes_of_one_way_and_heal_delivers_them(relay: RelayedLinks) -> None:
    with call(relay, 0, 1) as one, call(relay, 2, 1) as other:
        assert answers(one)
        relay.mute([(1, 0)])
        one.sendall(b"later")
        one.settimeout(0.2)
        with pytest.raises(TimeoutError):
            one.recv(5)
        assert answers(other)

        relay.heal()
        one.settimeout(10)
        assert one.recv(5) == b"later"


def test_a_delay_is_waited_for_each_way_and_ends(relay: RelayedLinks) -> None:
    with call(relay, 0, 1) as one:
        assert answers(one)
        relay.delay((100, 100))
        begun = time.monotonic()
        assert answers(one)
        assert time.monotonic() - begun >= 0.2
        relay.heal()
        assert answers(one)


def test_dropped_connections_may_be_made_again(relay: RelayedLinks) -> None:
    with call(relay, 0, 1) as one, call(relay, 0, 2) as two:
        assert answers(one)
        assert answers(two)
        assert relay.drop(5) == 2
        assert not answers(one)
        with call(relay, 0, 1) as again:
            assert answers(again)


def test_a_relay_that_was_killed_says_so(relay: RelayedLinks) -> None:
    assert relay.ports
    relay._process.kill()

    with pytest.raises(
        Unavailable, match=r"the relay between the nodes, process \d+, has ended with code -9"
    ):
        relay.cut([(0, 1)])


def test_a_relay_ends_with_its_input(relay: RelayedLinks) -> None:
    assert relay.ports
    assert relay._process.stdin is not None
    relay._process.stdin.close()

    wait_until(
        lambda: relay._process.poll() is not None,
        within_s=10,
        what="the relay has ended",
    )
    assert not psutil.pid_exists(relay._process.pid)


def test_nobody_listens_behind_a_way_that_leads_nowhere() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    with RelayedLinks([Link(caller=0, called=1, target_port=port)]) as relay, call(relay, 0, 1) as one:
        assert not answers(one)
