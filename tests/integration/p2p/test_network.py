"""Networks of two to four nodes on loopback: who connects, what is said first, what reaches whom."""

import asyncio
import copy
from dataclasses import replace

import pytest

from metanode.crypto.hashing import keccak256
from metanode.p2p import exchange, protocol
from metanode.p2p.enode import parse_enode
from metanode.p2p.peer import Peer
from metanode.p2p.ports import OpeningMessages, Priority, Verdict
from metanode.primitives import rlp
from metanode.primitives.types import Height


def test_two_nodes_connect_and_prove_their_validator_keys(run, until) -> None:
    async def test(networks) -> None:
        started = asyncio.get_running_loop().time()
        chain = networks.chain("a", "b")
        a = await networks.start("a", chain=chain, is_validator=True)
        b = await networks.start("b", chain=replace(chain), is_validator=True, peers=(parse_enode(a.enode),))
        await until(lambda: a.network.peers() and b.network.peers())
        [seen_by_a], [seen_by_b] = a.network.peers(), b.network.peers()
        assert seen_by_a.is_inbound
        assert not seen_by_b.is_inbound
        assert {seen_by_a.proven, seen_by_b.proven} == chain.members
        assert seen_by_a.is_validator
        took_ms = 1000 * (asyncio.get_running_loop().time() - started)
        assert abs(seen_by_a.clock_skew_ms) <= took_ms, "no more than the status can have been on its way"
        assert seen_by_b.client == "test/a"

    run(test)


def test_a_node_that_validates_nothing_proves_nothing(run, until) -> None:
    async def test(networks) -> None:
        a = await networks.start("a")
        await networks.start("b", peers=(parse_enode(a.enode),))
        await until(a.network.peers)
        assert a.network.peers()[0].proven is None

    run(test)


def test_messages_reach_everybody_once_across_a_line_of_nodes(run, until, until_quiet) -> None:
    async def test(networks) -> None:
        nodes = [await networks.start("0")]
        for name in "123":
            nodes.append(await networks.start(name, peers=(parse_enode(nodes[-1].enode),)))
        await until(lambda: [len(node.network.peers()) for node in nodes] == [1, 2, 2, 1])
        small, large = b"small", bytes(range(256)) * 4096
        nodes[0].network.broadcast(small, Priority.VOTE)
        nodes[0].network.broadcast(large, Priority.PROPOSAL)
        await until(lambda: all(len(node.received) == 2 for node in nodes[1:]), "both messages at all nodes")
        await until_quiet(*nodes)
        assert [sorted(map(len, node.received)) for node in nodes] == [[], *[[5, 2**20]] * 3]

    run(test)


def test_many_large_messages_at_once_reach_everybody_and_nobody_is_charged(run, until) -> None:
    async def test(networks) -> None:
        a = await networks.start("a")
        b = await networks.start("b", peers=(parse_enode(a.enode),))
        c = await networks.start("c", peers=(parse_enode(b.enode),))
        await until(lambda: a.network.peers() and len(b.network.peers()) == 2)
        larges = [bytes([number]) * (200_000 + number) for number in range(8)]
        for large in larges:
            a.network.broadcast(large, Priority.PROPOSAL)
        await until(lambda: sorted(b.received) == larges, "pushed by their author")
        await until(lambda: sorted(c.received) == larges, "asked for when they were announced")
        for node in (a, b, c):
            assert node.network.statistics().offences == {}
            assert node.handlers.gone == []

    run(test)


def test_validators_get_relayed_messages_on_demand_only(run, until, until_quiet) -> None:
    async def test(networks) -> None:
        chain = networks.chain(*"abc")
        nodes = []
        for name in "abc":
            peers = tuple(parse_enode(node.enode) for node in nodes)
            nodes.append(await networks.start(name, chain=replace(chain), is_validator=True, peers=peers))
        await until(lambda: all(len(node.network.peers()) == 2 for node in nodes))
        for number in range(50):
            nodes[0].network.broadcast(b"vote %d" % number, Priority.VOTE)
        await until(lambda: all(len(node.received) == 50 for node in nodes[1:]))
        await until_quiet(*nodes)
        for node in nodes[1:]:
            counts = node.network.statistics().messages_in
            assert counts["Consensus"] == 50
            assert counts.get("Announce", 0) <= 10
            assert len(node.received) == 50

    run(test)


def test_a_validator_cut_off_from_the_author_asks_for_what_is_announced(run, until) -> None:
    async def test(networks) -> None:
        chain = networks.chain(*"abc")
        b = await networks.start("b", chain=replace(chain), is_validator=True)
        a = await networks.start("a", chain=replace(chain), is_validator=True, peers=(parse_enode(b.enode),))
        c = await networks.start("c", chain=replace(chain), is_validator=True, peers=(parse_enode(b.enode),))
        await until(lambda: len(b.network.peers()) == 2)
        a.network.broadcast(b"vote", Priority.VOTE)
        await until(lambda: c.received == [b"vote"])
        assert c.network.statistics().messages_in["Announce"] == 1

    run(test)


def test_a_dropped_message_may_come_again_and_a_relayed_one_not(run, until, until_quiet) -> None:
    async def test(networks) -> None:
        a = await networks.start("a")
        b = await networks.start("b", peers=(parse_enode(a.enode),))
        await until(lambda: a.network.peers() and b.network.peers())
        b.handlers.verdict = lambda raw: Verdict.DROP if raw == b"early" else Verdict.RELAY
        for _ in range(3):
            a.network.broadcast(b"early", Priority.VOTE)
            a.network.broadcast(b"good", Priority.VOTE)
        await until(lambda: len(b.received) >= 4)
        await until_quiet(a, b)
        assert sorted(b.received) == [b"early", b"early", b"early", b"good"]

    run(test)


@pytest.mark.parametrize("size", [16, 300_000], ids=["small", "large"])
def test_what_is_repeated_is_handed_on_again_to_those_who_have_come_since(
    run, until, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Two validators behind a sentry each: what the first one's has handed on before the second one's was there passes when it is said again."""
    monkeypatch.setattr(exchange, "REMEMBERED_S", 0.2)
    said = bytes(size)

    async def test(networks) -> None:
        first_sentry = await networks.start("s1")
        first = await networks.start("v1", peers=(parse_enode(first_sentry.enode),))
        await until(lambda: first.network.peers() and first_sentry.network.peers())
        first.network.broadcast(said, Priority.VOTE)
        await until(lambda: first_sentry.received)
        second_sentry = await networks.start("s2", peers=(parse_enode(first_sentry.enode),))
        second = await networks.start("v2", peers=(parse_enode(second_sentry.enode),))
        await until(lambda: len(second_sentry.network.peers()) == 2 and second.network.peers())

        def repeat_until_heard() -> bool:
            first.network.broadcast(said, Priority.VOTE)
            return bool(second.received)

        await until(repeat_until_heard)
        assert second.received[0] == said

    run(test)


def test_to_mention_a_large_message_again_and_again_costs_its_hearer_next_to_nothing(
    run, until, until_quiet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One announcement of 8 kB can name one of 12 MB 256 times, which a past height has no use for."""
    monkeypatch.setattr(exchange, "REMEMBERED_S", 0.2)
    said = bytes(1_000_000)

    async def test(networks) -> None:
        a = await networks.start("a")
        b = await networks.start("b", peers=(parse_enode(a.enode),))
        await until(lambda: a.network.peers() and b.network.peers())
        a.network.broadcast(said, Priority.PROPOSAL)
        await until(lambda: b.received)
        # It keeps what it does not remember to have handed on.
        await until(lambda: keccak256(said) not in b.network._exchange._seen)
        a.handlers.verdict = b.handlers.verdict = lambda _: Verdict.DROP
        before = len(b.received)
        (to_b,) = a.network._exchange._roster.peers.values()
        for _ in range(4):
            to_b.send(protocol.Announce(digests=(keccak256(said),) * protocol.ANNOUNCED_MAX))
        await until_quiet(a, b)
        assert len(b.received) - before <= 8, "once in each time that it is remembered, not 1,024 times"

    run(test)


def test_a_large_message_that_is_repeated_is_sent_once(run, until, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "REMEMBERED_S", 0.2)
    said, pushed, push = bytes(1_000_000), [], Peer.push_large

    def push_large(peer: Peer, large: object) -> bool:
        pushed.append(peer)
        return push(peer, large)

    monkeypatch.setattr(Peer, "push_large", push_large)

    async def test(networks) -> None:
        a = await networks.start("a")
        b = await networks.start("b", peers=(parse_enode(a.enode),))
        await until(lambda: a.network.peers() and b.network.peers())

        def repeat_until_heard_again() -> bool:
            a.network.broadcast(said, Priority.PROPOSAL)
            return len(b.received) >= 3

        await until(repeat_until_heard_again)
        assert len(pushed) == 1, "heard again it is, and announced"

    run(test)


def test_a_new_peer_is_told_at_once_all_it_needs_to_resume(run, until) -> None:
    async def test(networks) -> None:
        a = await networks.start("a")
        a.handlers.opening = OpeningMessages(
            certificate=(Height(7), b"certificate"),
            consensus=[(b"my prepare", Priority.VOTE), (bytes(200_000), Priority.PROPOSAL)],
            transactions=[rlp.encode([b"tx 1", b"tx 2"])],
        )
        b = await networks.start("b", peers=(parse_enode(a.enode),))
        await until(lambda: len(b.received) == 2 and b.handlers.certificates and b.handlers.batches)
        assert b.handlers.certificates == [(7, b"certificate")]
        assert b.handlers.batches == [rlp.encode([b"tx 1", b"tx 2"])]
        assert b.network.highest_claim() == 7

    run(test)


def test_blocks_and_bodies_are_fetched_in_parts(run, until) -> None:
    async def test(networks) -> None:
        a = await networks.start("a")
        a.chain.height = Height(3000)
        a.handlers.chain = [b"block %d " % number + bytes(5000) for number in range(3000)]
        body = bytes(range(256)) * 20_000
        a.handlers.bodies[b"\x01" * 32] = body
        b = await networks.start("b", peers=(parse_enode(a.enode),))
        await until(lambda: b.network.highest_claim() == 3000)
        got = []
        while len(got) < 3000:
            _, blocks = await b.network.request_blocks(Height(len(got)), 1024)
            assert sum(map(len, blocks)) <= 2 * 2**20 + 6000
            got += blocks
        assert got == a.handlers.chain
        assert await b.network.request_body(b"\x01" * 32) == body
        assert await b.network.request_body(b"\x02" * 32) is None

    run(test)


def test_decided_heights_reach_followers_as_certificates_and_late_validators_too(run, until) -> None:
    async def test(networks) -> None:
        chain = networks.chain(*"ab")
        a = await networks.start("a", chain=replace(chain), is_validator=True)
        b = await networks.start("b", chain=replace(chain), is_validator=True, peers=(parse_enode(a.enode),))
        c = await networks.start("c", chain=replace(chain), peers=(parse_enode(a.enode),))
        await until(lambda: len(a.network.peers()) == 2 and b.network.peers() and c.network.peers())
        a.chain.height = Height(1)
        a.network.announce_decided(Height(1), b"certificate 1")
        await until(lambda: c.handlers.certificates == [(1, b"certificate 1")])
        await until(lambda: b.handlers.certificates == [(1, b"certificate 1")])
        assert b.network.highest_claim() == 1

    run(test)


def test_a_follower_knows_where_to_fetch_a_height_as_soon_as_it_is_decided(run, until) -> None:
    async def test(networks) -> None:
        a = await networks.start("a")
        b = await networks.start("b", peers=(parse_enode(a.enode),))
        await until(lambda: a.network.peers() and b.network.peers())
        b.handlers.verdict = lambda _: Verdict.DROP
        a.handlers.chain = [b"0", b"1", b"2"]
        a.chain.height = Height(2)
        a.network.announce_decided(Height(2), b"certificate 2")
        await until(lambda: b.handlers.certificates == [(2, b"certificate 2")])
        assert b.network.highest_claim() == 2
        assert (await b.network.request_blocks(Height(1), 9))[1] == [b"1", b"2"]

    run(test)


def test_a_body_is_asked_of_those_who_have_said_that_they_hold_it_first(run, until) -> None:
    async def test(networks) -> None:
        chain = networks.chain(*"abc")
        nodes = {}
        for name in "abc":
            peers = tuple(parse_enode(node.enode) for node in nodes.values())
            nodes[name] = await networks.start(name, chain=replace(chain), is_validator=True, peers=peers)
        await until(lambda: all(len(node.network.peers()) == 2 for node in nodes.values()))
        for node in nodes.values():
            node.handlers.bodies[b"\x01" * 32] = b"body"
        for holder in "bc":
            address = nodes[holder].network._signer.address
            before = nodes[holder].network.statistics().messages_in.get("GetBody", 0)
            assert await nodes["a"].network.request_body(b"\x01" * 32, holders=(address,)) == b"body"
            assert nodes[holder].network.statistics().messages_in["GetBody"] == before + 1

    run(test)


def test_transactions_of_a_validator_are_not_relayed_between_validators(run, until, until_quiet) -> None:
    async def test(networks) -> None:
        chain = networks.chain(*"abc")
        nodes = []
        for name in "abc":
            peers = tuple(parse_enode(node.enode) for node in nodes)
            nodes.append(await networks.start(name, chain=replace(chain), is_validator=True, peers=peers))
        follower = await networks.start("f", chain=replace(chain), peers=(parse_enode(nodes[0].enode),))
        await until(lambda: [len(node.network.peers()) for node in nodes] == [3, 2, 2])
        own, foreign = rlp.encode([b"own"]), rlp.encode([b"foreign"])
        nodes[0].network.broadcast_transactions(own)
        await until(lambda: all(node.handlers.batches == [own] for node in [*nodes[1:], follower]))
        follower.network.broadcast_transactions(foreign)
        await until(lambda: all(foreign in node.handlers.batches for node in nodes))
        await until_quiet(*nodes, follower)
        assert [len(node.handlers.batches) for node in [*nodes, follower]] == [1, 2, 2, 1]
        assert [node.network.statistics().messages_in["Transactions"] for node in nodes] == [1, 2, 2]

    run(test)


def test_a_peer_that_comes_back_is_called_again(run, until) -> None:
    async def test(networks) -> None:
        a = await networks.start("a")
        b = await networks.start("b", peers=(parse_enode(a.enode),))
        await until(b.network.peers)
        port = a.network.enode.tcp_port
        await a.stop()
        await until(lambda: not b.network.peers())
        again = await networks.start("a", listen_port=port)
        await until(lambda: b.network.peers() and again.network.peers())

    run(test)


def test_a_connected_peer_that_is_added_is_kept_from_then_on_and_one_that_is_removed_is_not(
    run, until
) -> None:
    async def test(networks) -> None:
        a = await networks.start("a")
        b = await networks.start("b", peers=(parse_enode(a.enode),))
        await until(a.network.peers)
        assert not a.network.peers()[0].is_static
        assert a.network.add_peer(b.network.enode)
        await until(lambda: a.network.peers()[0].is_static)
        assert a.handlers.gone == []
        assert a.network.remove_peer(b.network.enode)
        await until(lambda: len(a.handlers.gone) == 1 and a.network.peers(), "b has called again")
        assert not a.network.peers()[0].is_static

    run(test)


def test_validators_find_each_other_by_their_records(run, until) -> None:
    async def test(networks) -> None:
        chain = networks.chain(*"abc")
        hub = await networks.start("hub", chain=replace(chain))
        nodes = [
            await networks.start(
                name, chain=replace(chain), is_validator=True, peers=(parse_enode(hub.enode),)
            )
            for name in "abc"
        ]
        await until(lambda: all(len(node.network.peers()) == 3 for node in nodes), "a full mesh")
        assert len(hub.network.records()) == 3
        assert len(hub.store.records) == 3

    run(test)


def test_nodes_find_each_other_by_discovery(run, until) -> None:
    async def test(networks) -> None:
        boot = await networks.start("boot", discovers=True)
        nodes = [
            await networks.start(name, discovers=True, peers=(parse_enode(boot.enode),)) for name in "ab"
        ]
        await until(lambda: all(len(node.network.peers()) == 2 for node in nodes), "a and b are connected")

    run(test)


def test_a_node_that_does_not_discover_answers_and_calls_nobody_it_has_heard_of(
    run, until, until_quiet
) -> None:
    async def test(networks) -> None:
        boot = await networks.start("boot", discovers=True)
        quiet = await networks.start("quiet", discovers=False, peers=(parse_enode(boot.enode),))
        other = await networks.start("other", discovers=False, peers=(parse_enode(boot.enode),))
        # It hears of the other one as a node that discovers would.
        boots_id, others_id = (parse_enode(node.enode).node_id for node in (boot, other))
        await until(lambda: others_id in quiet.network._discovered)
        await until(lambda: len(boot.network.peers()) == 2)
        quiet.network._dial_discovered(float("inf"))
        await until_quiet(boot, quiet, other)
        assert [peer.node_id for peer in quiet.network.peers()] == [boots_id]
        assert await quiet.network.identify("127.0.0.1", other.network.enode.udp_port) == others_id

    run(test)


def test_simultaneous_calls_leave_one_connection(run, until, settled) -> None:
    async def test(networks) -> None:
        a = await networks.start("a")
        b = await networks.start("b")
        a.network.add_peer(b.network.enode)
        b.network.add_peer(a.network.enode)
        await until(lambda: a.network._target_tasks and b.network._target_tasks, "both call")
        await until(lambda: a.network.peers() and b.network.peers() and settled(a, b))
        assert len(a.network.peers()) == len(b.network.peers()) == 1
        assert len(a.handlers.gone) <= 1
        # Of each the last word is that it is there.
        assert len(a.handlers.gone) < len(a.handlers.ready)
        assert len(b.handlers.gone) < len(b.handlers.ready)

    run(test)


def test_a_peer_whose_older_connection_ends_is_not_gone(run, until, settled) -> None:
    """A validator that forgot it would count it as unseen for ever, and might never sign again."""

    async def test(networks) -> None:
        a = await networks.start("a")
        b = await networks.start("b")
        a.network.add_peer(b.network.enode)
        await until(lambda: a.network.peers() and b.network.peers() and settled(a, b))
        (kept,) = a.network._roster.connections
        replaced = copy.copy(kept)
        replaced.closed = asyncio.Event()

        a.network._upon_closed(replaced)

        assert replaced.closed.is_set()
        assert a.handlers.gone == []
        await b.stop()
        await until(lambda: len(a.handlers.gone) == 1, "it is gone when the last one ends")

    run(test)
