"""Peers that break the rules, over real sockets: what they are told, and that the next good peer is served.

Rows 19 and 22 to 26 of docs/evidence/bad-inputs.md, on our own messages.
"""

import asyncio
import resource
from dataclasses import replace
from random import Random

import pytest

from metanode.crypto.hashing import keccak256
from metanode.p2p import protocol, snappy
from metanode.p2p.enode import NodeId, parse_enode
from metanode.p2p.errors import PeerUnavailable
from metanode.p2p.peer import Peer
from metanode.p2p.ports import ForkId, Priority, Tip, Verdict
from metanode.p2p.protocol import (
    Announce,
    Certificate,
    Consensus,
    GetBlocks,
    GetBody,
    Heartbeat,
    Large,
    Message,
    Part,
    Response,
    Status,
    Transactions,
    Want,
)
from metanode.p2p.reputation import Offence
from metanode.p2p.rlpx.connection import ConnectionLimits, MessageReceived, Ready, RLPxConnection, Terminated
from metanode.p2p.rlpx.handshake import Initiator, NodeKey
from metanode.p2p.rlpx.messages import Capability
from metanode.p2p.rlpx.reasons import DisconnectReason
from metanode.primitives import rlp
from metanode.primitives.types import Hash32, Height

GENESIS = keccak256(b"test genesis")
ZERO = Hash32(bytes(32))


class Stranger:
    """A peer that speaks RLPx properly and then says whatever the test wants."""

    def __init__(
        self, target, *, name: str = "stranger", capability: Capability = protocol.CAPABILITY
    ) -> None:
        self.target = target
        self.connection = RLPxConnection(
            key=NodeKey(keccak256(name.encode())),
            client=name,
            capability=capability,
            now=0.0,
            remote_id=target.key.node_id,
            limits=ConnectionLimits(message_bytes_max=2**24),
        )
        self.got: list[Message] = []
        self.ended: Terminated | None = None

    async def connect(self, *, says_status: bool = True) -> "Stranger":
        enode = self.target.network.enode
        self.reader, self.writer = await asyncio.open_connection(enode.host, enode.tcp_port)
        self.target.writers.append(self.writer)
        self.writer.write(self.connection.data_to_send())
        await self.listen(until=Ready)
        if says_status:
            self.say(status())
        return self

    def say(self, *messages: Message) -> None:
        for message in messages:
            code, payload = protocol.encode(message)
            self.say_raw(code, payload)

    def say_raw(self, code: int, payload: bytes) -> None:
        self.connection.send(code, snappy.compress(payload))
        self.writer.write(self.connection.data_to_send())

    async def listen(self, until: type | None = None, timeout_s: float = 10.0) -> None:
        """Read until something of a kind has come, or the end."""
        async with asyncio.timeout(timeout_s):
            while True:
                while (event := self.connection.next_event()) is not None:
                    if isinstance(event, Terminated):
                        self.ended = event
                        return
                    if isinstance(event, MessageReceived):
                        message = protocol.decode(event.code, event.payload)
                        self.got.append(message)
                        if until is not None and isinstance(message, until):
                            return
                    elif until is not None and isinstance(event, until):
                        return
                data = await self.reader.read(2**16)
                if data:
                    self.connection.receive_data(data, 0.0)
                    self.writer.write(self.connection.data_to_send())
                elif self.connection.is_closed:
                    return
                else:
                    self.connection.receive_end()

    async def is_told(self, reason: DisconnectReason) -> None:
        await self.listen()
        assert self.ended is not None
        assert (self.ended.reason, self.ended.by_peer) == (reason, True)
        self.writer.close()


def status(**changes) -> Status:
    fields = {
        "genesis_hash": GENESIS,
        "network_id": 1337,
        "chain_id": 1337,
        "fork_id": ForkId(hash=b"fork", next=0),
        "tip": Tip(height=Height(0), certificate_hash=ZERO),
        "time_ms": 0,
        "proof": None,
    }
    return Status(**(fields | changes))


async def serves_a_good_peer(networks, node, until) -> None:
    """The next good peer is served."""
    good = await networks.start(f"good {len(networks.nodes)}", peers=(parse_enode(node.enode),))
    await until(good.network.peers)
    await good.stop()


def test_row_19_bad_first_packets_are_closed_in_time_and_a_good_peer_connects(run, until) -> None:
    assert ConnectionLimits().handshake_timeout_s == 5.0

    async def test(networks) -> None:
        node = await networks.start("node", limits=ConnectionLimits(handshake_timeout_s=0.5))
        random = Random(19)
        auth = Initiator(NodeKey(b"\x01" * 32), node.key.node_id).auth()
        firsts = [
            b"",
            auth[:1],
            auth[:100],
            auth[:-1],
            b"\x00\x00",
            b"\xff\xff",
            b"\x04" + random.randbytes(306),
            b"\x01\x33" + random.randbytes(307),
            b"GET / HTTP/1.1\r\n\r\n",
            random.randbytes(2048),
        ]
        streams = [await asyncio.open_connection("127.0.0.1", node.network.enode.tcp_port) for _ in firsts]
        for (_, writer), first in zip(streams, firsts, strict=True):
            writer.write(first)
        await serves_a_good_peer(networks, node, until)
        for reader, writer in streams:
            async with asyncio.timeout(10.0):
                assert await reader.read() == b"", "a stranger is told nothing"
            writer.close()
        assert node.network.statistics().pending == 0
        await serves_a_good_peer(networks, node, until)

    run(test)


def test_no_more_than_fifty_connections_are_pending(run, until) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        streams = [await asyncio.open_connection("127.0.0.1", node.network.enode.tcp_port) for _ in range(60)]
        await until(lambda: node.network.statistics().connections.get(("inbound", "refused"), 0) == 10)
        assert node.network.statistics().pending == 50
        for _, writer in streams:
            writer.close()
        await until(lambda: node.network.statistics().pending == 0)
        await serves_a_good_peer(networks, node, until)

    run(test)


@pytest.mark.parametrize(
    ("desc", "wrong"),
    [
        ("another genesis", status(genesis_hash=keccak256(b"other"))),
        ("another network", status(network_id=1)),
        ("another chain id", status(chain_id=1)),
        ("another fork id", status(fork_id=ForkId(hash=b"korf", next=0))),
    ],
)
def test_row_23_a_status_of_another_chain_is_useless(run, desc: str, wrong: Status) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        stranger = await Stranger(node, name=desc).connect(says_status=False)
        stranger.say(wrong)
        await stranger.is_told(DisconnectReason.USELESS_PEER)
        assert node.handlers.ready == []

    run(test)


def test_row_23_a_status_is_sent_once(run, until) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        stranger = await Stranger(node).connect()
        stranger.say(status())
        await stranger.is_told(DisconnectReason.PROTOCOL_BREACH)
        await until(lambda: len(node.handlers.gone) == 1)

    run(test)


def test_row_23_without_a_status_the_connection_ends(run) -> None:
    async def test(networks) -> None:
        node = await networks.start("node", status_timeout_s=0.3)
        stranger = await Stranger(node).connect(says_status=False)
        await stranger.is_told(DisconnectReason.READ_TIMEOUT)
        assert isinstance(stranger.got[0], Status), "ours came at once"

    run(test)


@pytest.mark.parametrize(
    "message",
    [
        Consensus(priority=Priority.VOTE, raw=b"vote"),
        GetBlocks(request_id=1, first=Height(0), count=1),
        Heartbeat(tip=Tip(height=Height(1), certificate_hash=ZERO), time_ms=0),
    ],
    ids=["vote", "request", "heartbeat"],
)
def test_row_23_nothing_is_taken_before_the_status(run, message: Message) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        stranger = await Stranger(node).connect(says_status=False)
        stranger.say(message)
        await stranger.is_told(DisconnectReason.PROTOCOL_BREACH)
        assert node.received == []

    run(test)


def test_a_peer_without_our_capability_is_useless(run, until) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        await Stranger(node, capability=Capability(name="eth", version=68, length=17)).connect(
            says_status=False
        )
        await until(lambda: ("useless_peer", "us") in node.network.statistics().disconnects)

    run(test)


def test_row_22_a_flood_of_announced_lengths_costs_no_memory(run, until) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(20):
            stranger = await Stranger(node, name=f"liar {number}").connect()
            for digest in (b"\x01" * 32, b"\x02" * 32):
                stranger.say(
                    Large(priority=Priority.PROPOSAL, digest=Hash32(digest), size=protocol.LARGE_BYTES_MAX)
                )
        await until(lambda: len(node.network.peers()) == 20)
        assert node.network.statistics().assembling_bytes == 0
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024

    run(test)


def test_row_22_a_snappy_bomb_ends_the_connection(run) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        stranger = await Stranger(node).connect()
        stranger.connection.send(3, b"\xff\xff\xff\xff\x0f" + bytes(100))
        stranger.writer.write(stranger.connection.data_to_send())
        await stranger.is_told(DisconnectReason.PROTOCOL_BREACH)

    run(test)


@pytest.mark.parametrize("count", [0, 1025, 2**64 - 1])
def test_row_24_a_request_for_no_or_too_many_blocks_ends_the_connection(run, count: int) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        stranger = await Stranger(node).connect()
        stranger.say_raw(10, rlp.encode([b"\x01", b"", rlp.integer(count)]))
        await stranger.is_told(DisconnectReason.PROTOCOL_BREACH)

    run(test)


def test_row_24_an_answer_has_at_most_1024_blocks_and_two_megabytes(run) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        node.handlers.chain = [bytes(100)] * 3000 + [bytes(100_000)] * 200
        stranger = await Stranger(node).connect()

        async def ask(first: int, count: int) -> list[bytes]:
            stranger.got.clear()
            stranger.say(GetBlocks(request_id=first, first=Height(first), count=count))
            parts: list[Response] = []
            while not parts or len(parts) < protocol.part_count(parts[0].size):
                await stranger.listen(until=Response)
                parts = [message for message in stranger.got if isinstance(message, Response)]
            return protocol.decode_blocks(b"".join(part.data for part in parts), 1024)

        assert len(await ask(0, 1024)) == 1024
        assert len(await ask(3000, 200)) == 21
        assert await ask(3199, 1024) == [bytes(100_000)]
        assert await ask(2**64 - 1, 1024) == []

    run(test)


def test_row_24_requests_faster_than_answers_are_charged(run) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")

        async def slow(_: Hash32) -> None:
            await asyncio.sleep(3600)

        node.handlers.body = slow
        stranger = await Stranger(node).connect()
        for number in range(20):
            stranger.say(GetBody(request_id=number, block_hash=ZERO))
        await stranger.is_told(DisconnectReason.USELESS_PEER)
        assert node.network.statistics().offences["too_many_requests"] >= 10

    run(test)


def test_row_25_answers_that_nobody_asked_for_are_ignored_and_charged(run, until) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        stranger = await Stranger(node).connect()
        for number in range(3):
            stranger.say(Response(request_id=number, size=1, index=0, data=b"x"))
        await until(lambda: node.network.statistics().offences == {"unasked": 3})
        assert len(node.network.peers()) == 1
        for number in range(2):
            stranger.say(Response(request_id=number, size=1, index=0, data=b"x"))
        await stranger.is_told(DisconnectReason.USELESS_PEER)
        again = await Stranger(node).connect(says_status=False)
        await again.is_told(DisconnectReason.USELESS_PEER)

    run(test)


def test_row_25_an_answer_to_anothers_request_is_not_taken(run, until) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        asked = await Stranger(node, name="asked").connect()
        other = await Stranger(node, name="other").connect()
        asked.say(Heartbeat(tip=Tip(height=Height(9), certificate_hash=ZERO), time_ms=0))
        await until(lambda: node.network.highest_claim() == 9)
        request = asyncio.create_task(node.network.request_blocks(Height(1), 3))
        await asked.listen(until=GetBlocks)
        [question] = [message for message in asked.got if isinstance(message, GetBlocks)]
        lie, truth = protocol.encode_blocks([b"lie"]), protocol.encode_blocks([b"truth"])
        other.say(Response(request_id=question.request_id, size=len(lie), index=0, data=lie))
        await until(lambda: node.network.statistics().offences.get("unasked") == 1)
        asked.say(Response(request_id=question.request_id, size=len(truth), index=0, data=truth))
        assert await request == (NodeId(asked.connection._key.node_id), [b"truth"])

    run(test)


def test_row_26_a_claim_that_is_lowered_costs_the_peer_its_place_and_the_target_is_set_anew(
    run, until
) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        honest = await Stranger(node, name="honest").connect()
        honest.say(Heartbeat(tip=Tip(height=Height(12), certificate_hash=ZERO), time_ms=0))
        liar = await Stranger(node, name="liar").connect(says_status=False)
        liar.say(status(tip=Tip(height=Height(2**60), certificate_hash=ZERO)))
        await until(lambda: node.network.highest_claim() == 2**60)
        liar.say(Heartbeat(tip=Tip(height=Height(11), certificate_hash=ZERO), time_ms=0))
        await liar.is_told(DisconnectReason.PROTOCOL_BREACH)
        await until(lambda: node.network.highest_claim() == 12)

    run(test)


def test_row_26_a_peer_whose_blocks_never_connect_is_dropped_when_that_is_reported(run, until) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        liar = await Stranger(node, name="liar").connect(says_status=False)
        liar.say(status(tip=Tip(height=Height(100), certificate_hash=ZERO)))
        await until(lambda: node.network.highest_claim() == 100)
        request = asyncio.create_task(node.network.request_blocks(Height(1), 2))
        await liar.listen(until=GetBlocks)
        answer = protocol.encode_blocks([b"of another", b"chain"])
        liar.say(Response(request_id=1, size=len(answer), index=0, data=answer))
        sender, blocks = await request
        assert blocks == [b"of another", b"chain"]
        node.network.report(sender, Offence.BAD_BLOCKS)
        await liar.is_told(DisconnectReason.PROTOCOL_BREACH)
        await until(lambda: node.network.highest_claim() == 0)
        with pytest.raises(PeerUnavailable):
            await node.network.request_blocks(Height(1), 2)

    run(test)


def test_a_peer_that_sends_another_body_than_asked_for_is_dropped_and_the_next_asked(run, until) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        good = await networks.start("good", peers=(parse_enode(node.enode),))
        body = b"the body"
        good.handlers.bodies[keccak256(body)] = body
        liar = await Stranger(node, name="liar").connect(says_status=False)
        liar.say(status(tip=Tip(height=Height(5), certificate_hash=ZERO)))
        await until(lambda: len(node.network.peers()) == 2)
        request = asyncio.create_task(
            node.network.request_body(keccak256(body), accept=lambda found: found == body)
        )
        await liar.listen(until=GetBody)
        liar.say(Response(request_id=1, size=3, index=0, data=b"lie"))
        assert await request == body
        await liar.is_told(DisconnectReason.PROTOCOL_BREACH)

    run(test)


def test_a_connection_that_ends_before_its_answer_is_nobodys_offence(run, until) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        stranger = await Stranger(node).connect()
        await until(node.network.peers)
        request = asyncio.create_task(node.network.request_body(b"\x01" * 32))
        await stranger.listen(until=GetBody)
        stranger.writer.close()
        assert await request is None
        assert node.network.statistics().offences == {}

    run(test)


def test_a_peer_that_leaves_a_question_unanswered_is_asked_last_from_then_on(run, until, monkeypatch) -> None:
    async def test(networks) -> None:
        monkeypatch.setattr("metanode.p2p.network.BODY_TIMEOUT_S", 0.3)
        node = await networks.start("node")
        good = await networks.start("good", peers=(parse_enode(node.enode),))
        good.handlers.bodies[b"\x01" * 32] = b"body"
        silent = await Stranger(node, name="silent").connect(says_status=False)
        silent.say(status(tip=Tip(height=Height(5), certificate_hash=ZERO)))
        await until(lambda: len(node.network.peers()) == 2)
        for _ in range(3):
            assert await node.network.request_body(b"\x01" * 32) == b"body"
        assert node.network.statistics().offences == {"no_answer": 1}

    run(test)


@pytest.mark.parametrize(
    "message",
    [
        Consensus(priority=Priority.VOTE, raw=b"bad"),
        Certificate(height=Height(1), certificate=b"bad"),
        Transactions(batch=b"bad"),
    ],
    ids=["consensus", "certificate", "transactions"],
)
def test_what_the_node_calls_malformed_is_charged_to_the_connection(run, until, message: Message) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        node.handlers.verdict = lambda raw: Verdict.MALFORMED if raw == b"bad" else Verdict.RELAY
        other = await Stranger(node, name="other").connect()
        stranger = await Stranger(node).connect()
        stranger.say(message)
        await stranger.is_told(DisconnectReason.PROTOCOL_BREACH)
        other.say(Consensus(priority=Priority.VOTE, raw=b"good"))
        await until(lambda: b"good" in node.received)
        assert not any(isinstance(got, (Consensus, Certificate, Transactions)) for got in other.got)

    run(test)


@pytest.mark.parametrize(
    "messages",
    [
        [Part(digest=ZERO, index=0, data=b"x")],
        [Large(priority=Priority.VOTE, digest=ZERO, size=100_000)] * 2,
        [
            Large(priority=Priority.VOTE, digest=ZERO, size=65_537),
            Part(digest=ZERO, index=0, data=bytes(65_536)),
            Part(digest=ZERO, index=1, data=b"\x00"),
        ],
    ],
    ids=["a part of nothing", "twice the same", "another hash"],
)
def test_parts_that_do_not_fit_end_the_connection(run, messages: list[Message]) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        stranger = await Stranger(node).connect()
        stranger.say(*messages)
        await stranger.is_told(DisconnectReason.PROTOCOL_BREACH)
        assert node.received == []

    run(test)


def test_announcing_what_is_never_sent_costs_nothing_and_another_source_is_asked(run, until) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        liar = await Stranger(node, name="liar").connect()
        honest = await Stranger(node, name="honest").connect()
        await until(lambda: len(node.network.peers()) == 2)
        raw = b"a vote"
        liar.say(Announce(digests=(keccak256(raw),)))
        await liar.listen(until=Want)
        honest.say(Announce(digests=(keccak256(raw),)))
        await honest.listen(until=Want)
        honest.say(Consensus(priority=Priority.VOTE, raw=raw))
        await until(lambda: node.received == [raw])

    run(test)


def test_a_flood_of_messages_is_held_back_and_others_are_served(run, until, monkeypatch) -> None:
    async def test(networks) -> None:
        # A rate that a busy machine still surpasses.
        monkeypatch.setattr("metanode.p2p.peer.MESSAGES_PER_S", 100.0)
        node = await networks.start("node")
        node.handlers.verdict = lambda _: Verdict.DROP
        flooder = await Stranger(node, name="flooder").connect()
        heartbeat = Heartbeat(tip=Tip(height=Height(0), certificate_hash=ZERO), time_ms=0)
        for _ in range(12_000):
            flooder.say(heartbeat)
        await serves_a_good_peer(networks, node, until)
        await until(lambda: node.network.statistics().messages_in.get("throttled", 0) > 0)

    run(test)


@pytest.mark.parametrize("kind", [Announce, Want])
def test_a_flood_of_hashes_in_few_messages_is_held_back(run, until, kind: type[Announce | Want]) -> None:
    """Three hundred messages are nothing, but 76,800 hashes would keep the event loop busy."""

    async def test(networks) -> None:
        node = await networks.start("node")
        flooder = await Stranger(node, name="flooder").connect()
        random = Random(5)
        for _ in range(300):
            flooder.say(kind(digests=tuple(Hash32(random.randbytes(32)) for _ in range(256))))
        await until(lambda: node.network.statistics().messages_in.get("throttled", 0) > 0)

    run(test)


def test_what_is_wanted_many_times_at_once_is_sent_once(run) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        stranger = await Stranger(node).connect()
        await stranger.listen(until=Status)
        raw = Random(6).randbytes(50_000)
        node.network.broadcast(raw, Priority.PROPOSAL)
        await stranger.listen(until=Consensus)
        stranger.got.clear()
        stranger.say(Want(digests=(keccak256(raw),) * 256))
        stranger.say(Heartbeat(tip=Tip(height=Height(9), certificate_hash=ZERO), time_ms=0))
        stranger.say(GetBlocks(request_id=1, first=Height(0), count=1))
        await stranger.listen(until=Response)
        assert [message for message in stranger.got if isinstance(message, Consensus)] == [
            Consensus(priority=Priority.PROPOSAL, raw=raw)
        ]

    run(test)


def test_random_messages_never_fail_the_node(run, until) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        random = Random(23)
        for number in range(60):
            stranger = await Stranger(node, name=f"fuzzer {number}").connect()
            for _ in range(5):
                payload = rlp.encode(
                    [random.randbytes(random.choice([0, 1, 8, 32])) for _ in range(random.randrange(5))]
                )
                stranger.say_raw(random.randrange(13), random.choice([payload, random.randbytes(40)]))
            stranger.writer.close()
        await serves_a_good_peer(networks, node, until)
        reasons = {reason for reason, by in node.network.statistics().disconnects if by == "us"}
        assert "subprotocol_error" not in reasons, "our own mistakes"

    run(test)


def test_places_for_ordinary_peers_are_bounded_and_validators_have_their_own(run, until) -> None:
    async def test(networks) -> None:
        chain = networks.chain("v")
        node = await networks.start("node", chain=chain, max_peers=2)
        for name in "ab":
            await Stranger(node, name=name).connect()
        await until(lambda: len(node.network.peers()) == 2)
        third = await Stranger(node, name="c").connect()
        await third.is_told(DisconnectReason.TOO_MANY_PEERS)
        validator = await networks.start(
            "v", chain=replace(chain), is_validator=True, peers=(parse_enode(node.enode),)
        )
        await until(validator.network.peers)
        await until(lambda: len(node.network.peers()) == 3)

    run(test)


def test_an_unknown_peer_that_does_not_read_is_let_go(run, until, monkeypatch) -> None:
    async def test(networks) -> None:
        monkeypatch.setattr("metanode.p2p.peer.WRITE_TIMEOUT_S", 0.5)
        node = await networks.start("node")
        await Stranger(node, name="deaf").connect()
        await until(lambda: len(node.network.peers()) == 1)
        for number in range(30):
            node.network.broadcast(Random(number).randbytes(2**20), Priority.PART)
        await until(lambda: len(node.handlers.gone) == 1)

    run(test)


def test_our_own_mistake_costs_one_connection(run, until) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")

        def fail(_: bytes) -> Verdict:
            raise RuntimeError("a mistake of ours")

        node.handlers.verdict = fail
        node.handlers.upon_peer_gone = fail
        stranger = await Stranger(node).connect()
        stranger.say(Transactions(batch=b"batch"))
        await until(lambda: node.handlers.batches)
        stranger.say(Consensus(priority=Priority.VOTE, raw=b"vote"))
        await stranger.is_told(DisconnectReason.SUBPROTOCOL_ERROR)
        node.handlers.verdict = lambda _: Verdict.RELAY
        await serves_a_good_peer(networks, node, until)

    run(test)


def test_the_same_address_may_not_call_again_within_half_a_minute_unless_it_is_needed(run) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        network = node.network

        class Writer:
            def __init__(self, ip: str) -> None:
                self.ip = ip

            def get_extra_info(self, _: str) -> tuple[str, int]:
                return self.ip, 1

        def refusal(ip: str) -> str | None:
            return network._inbound_refusal(Writer(ip))

        assert refusal("8.8.8.8") is None
        assert refusal("8.8.8.8") == "8.8.8.8 calls again within 30 s"
        assert refusal("::ffff:8.8.8.8") is not None
        assert refusal("9.9.9.9") is None
        for ip in ("127.0.0.1", "::1"):
            assert [refusal(ip), refusal(ip)] == [None, None]
        network.upon_resolved(parse_enode("enode://validator.example:30303"), "7.7.7.7")
        assert [refusal("7.7.7.7"), refusal("7.7.7.7")] == [None, None]

    run(test)


def test_a_peer_is_described_for_logs(run, until) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        await Stranger(node).connect()
        await until(node.network.peers)
        [peer] = node.network._roster.connections
        assert isinstance(peer, Peer)
        assert repr(peer).startswith("Peer(")

    run(test)
