"""Two RLPx machines back to back, in virtual time, and one machine against bytes that nobody should send."""

import contextlib
import os
from dataclasses import dataclass, field
from random import Random

import pytest

from metanode.crypto import ecies
from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey
from metanode.p2p import snappy
from metanode.p2p.errors import PeerFault
from metanode.p2p.rlpx import messages
from metanode.p2p.rlpx.connection import (
    ConnectionLimits,
    Event,
    MessageReceived,
    PongReceived,
    Ready,
    RLPxConnection,
    Terminated,
)
from metanode.p2p.rlpx.frames import FrameCodec
from metanode.p2p.rlpx.handshake import Initiator, NodeKey, Recipient, Secrets
from metanode.p2p.rlpx.messages import Capability, Hello
from metanode.p2p.rlpx.reasons import DisconnectReason
from metanode.primitives import rlp

MTN = Capability(name="mtn", version=1, length=16)
KEY_A = NodeKey(b"\x0a" * 32)
KEY_B = NodeKey(b"\x0b" * 32)
KEY_C = NodeKey(b"\x0c" * 32)


def connection(key: NodeKey, remote: NodeKey | None = None, *, now: float = 0.0, **kwargs) -> RLPxConnection:
    return RLPxConnection(
        key=key,
        client="test",
        capability=kwargs.pop("capability", MTN),
        now=now,
        remote_id=None if remote is None else remote.node_id,
        **kwargs,
    )


def events(machine: RLPxConnection) -> list[Event]:
    found = []
    while (event := machine.next_event()) is not None:
        found.append(event)
    return found


def exchange(a: RLPxConnection, b: RLPxConnection, *, piece: int = 2**20, now: float = 0.0) -> None:
    """Carry bytes both ways, `piece` at a time, until both are silent."""
    while True:
        silent = True
        for sender, receiver in ((a, b), (b, a)):
            data = sender.data_to_send()
            silent = silent and not data
            for start in range(0, len(data), piece):
                receiver.receive_data(data[start : start + piece], now)
        if silent:
            return


def connected(*, piece: int = 2**20, **kwargs) -> tuple[RLPxConnection, RLPxConnection]:
    a, b = connection(KEY_A, KEY_B, **kwargs), connection(KEY_B, **kwargs)
    exchange(a, b, piece=piece)
    assert [type(event) for event in events(a) + events(b)] == [Ready, Ready]
    return a, b


@dataclass
class Script:
    """The other side, written by hand: its own handshake, then any frames."""

    key: NodeKey = field(default_factory=lambda: KEY_C)
    codec: FrameCodec | None = None
    secrets: Secrets | None = None

    def join(self, machine: RLPxConnection) -> None:
        """Do the handshake as an initiator; our hello is left to the test."""
        initiator = Initiator(self.key, KEY_B.node_id)
        machine.receive_data(initiator.auth(), 0.0)
        answer = machine.data_to_send()
        size = 2 + int.from_bytes(answer[:2], "big")
        self.secrets = initiator.process(answer[:size], is_plain=False)
        self.codec = FrameCodec(self.secrets)
        self.receive(answer[size:])

    def receive(self, data: bytes) -> list[bytes]:
        """Decrypt frames."""
        assert self.codec is not None
        bodies = []
        while data:
            size = self.codec.decode_header(data[:32])
            end = 32 + size + -size % 16 + 16
            bodies.append(self.codec.decode_body(data[32:end], size))
            data = data[end:]
        return bodies

    def frame(self, code: int, data: bytes) -> bytes:
        assert self.codec is not None
        return self.codec.encode(rlp.encode(rlp.integer(code)) + data)

    def hello(self, **changes) -> bytes:
        fields: dict[str, object] = {
            "client": "script",
            "capabilities": (MTN,),
            "node_id": self.key.node_id,
        }
        return messages.encode_hello(Hello(**(fields | changes)))  # type: ignore[arg-type]


def scripted() -> tuple[Script, RLPxConnection]:
    machine, script = connection(KEY_B), Script()
    script.join(machine)
    return script, machine


def opened() -> tuple[Script, RLPxConnection]:
    script, machine = scripted()
    machine.receive_data(script.frame(messages.HELLO, script.hello()), 0.0)
    assert [type(event) for event in events(machine)] == [Ready]
    return script, machine


def termination(machine: RLPxConnection) -> Terminated:
    *_, last = events(machine)
    assert isinstance(last, Terminated)
    assert machine.is_closed
    return last


def told(script: Script, machine: RLPxConnection) -> DisconnectReason:
    """Return the reason of the disconnect that the machine has sent last."""
    body = script.receive(machine.data_to_send())[-1]
    assert body[0] == messages.DISCONNECT
    data = body[1:]
    with contextlib.suppress(PeerFault):
        # Before the hello nothing is compressed.
        data = snappy.decompress(data, 100)
    return messages.decode_disconnect(data)


@pytest.mark.parametrize("piece", [1, 7, 100, 2**20])
def test_two_machines_meet_whatever_the_pieces_they_are_fed(piece: int) -> None:
    a, b = connection(KEY_A, KEY_B), connection(KEY_B)
    exchange(a, b, piece=piece)
    [ready_a], [ready_b] = events(a), events(b)
    assert isinstance(ready_a, Ready)
    assert isinstance(ready_b, Ready)
    assert (ready_a.remote_id, ready_b.remote_id) == (KEY_B.node_id, KEY_A.node_id)
    assert ready_a.session == ready_b.session
    assert ready_a.hello.client == "test"


def test_no_two_connections_have_the_same_session() -> None:
    sessions = set()
    for _ in range(5):
        a, b = connection(KEY_A, KEY_B), connection(KEY_B)
        exchange(a, b)
        [ready] = events(a)
        assert isinstance(ready, Ready)
        sessions.add(ready.session)
    assert len(sessions) == 5


@pytest.mark.parametrize("piece", [1, 1000, 2**20])
def test_messages_arrive_whole_and_in_order(piece: int) -> None:
    a, b = connected()
    random = Random(piece)
    sizes = [0, 1, 15, 16, 17, 1000] + ([70_000] if piece > 1 else [])
    sent = [(code, random.randbytes(size)) for code, size in enumerate(sizes)]
    for code, payload in sent:
        a.send(code, snappy.compress(payload))
        b.send(code, snappy.compress(payload))
    exchange(a, b, piece=piece)
    for machine in (a, b):
        assert [(e.code, e.payload) for e in events(machine) if isinstance(e, MessageReceived)] == sent


def test_a_ping_is_answered_and_its_round_trip_told() -> None:
    a, b = connected()
    assert a.timer_at == 15.0
    a.handle_timer(15.0)
    b.receive_data(a.data_to_send(), 15.2)
    a.receive_data(b.data_to_send(), 15.3)
    assert events(a) == [PongReceived(round_trip_s=pytest.approx(0.3))]
    assert a.timer_at == 30.0


def test_a_flood_of_pings_makes_one_pong_wait_and_no_more() -> None:
    script, machine = opened()
    machine.data_to_send()
    for _ in range(3_000):
        machine.receive_data(script.frame(messages.PING, snappy.compress(b"\xc0")), 0.0)
    assert len(machine._outgoing) == 1
    assert events(machine) == []


def test_silence_ends_a_connection_after_thirty_seconds() -> None:
    a, _ = connected()
    for now in (15.0, 29.9):
        a.handle_timer(now)
    assert not a.is_closed
    a.handle_timer(30.0)
    assert termination(a).reason is DisconnectReason.READ_TIMEOUT


def test_a_handshake_and_hello_have_five_seconds() -> None:
    for machine in (connection(KEY_A, KEY_B), connection(KEY_B), scripted()[1]):
        assert machine.timer_at == 5.0
        machine.receive_data(b"\x01", 4.0)
        machine.handle_timer(4.99)
        assert not machine.is_closed
        machine.handle_timer(5.0)
        assert termination(machine).reason is DisconnectReason.READ_TIMEOUT
        assert machine.timer_at is None


def test_a_disconnect_tells_its_reason_to_the_other_side() -> None:
    for reason in DisconnectReason:
        a, b = connected()
        a.disconnect(reason)
        exchange(a, b)
        assert termination(a) == Terminated(reason=reason, by_peer=False, detail=reason.name.lower())
        assert termination(b) == Terminated(reason=reason, by_peer=True, detail="")


def test_the_wrong_node_does_not_understand_the_auth() -> None:
    a, c = connection(KEY_A, KEY_B), connection(KEY_C)
    exchange(a, c)
    assert termination(c).detail == "ecies: the message cannot be decrypted"
    assert c.data_to_send() == b""


@pytest.mark.parametrize(
    ("desc", "changes", "expected"),
    [
        (
            "10,000 capabilities",
            {"capabilities": tuple(Capability(name=f"c{i}", version=1) for i in range(150))},
            DisconnectReason.PROTOCOL_BREACH,
        ),
        ("a long client name", {"client": "x" * 300}, DisconnectReason.PROTOCOL_BREACH),
        ("version 0", {"version": 0}, DisconnectReason.INCOMPATIBLE_VERSION),
        ("version 4, without snappy", {"version": 4}, DisconnectReason.INCOMPATIBLE_VERSION),
        ("our own id", {"node_id": KEY_B.node_id}, DisconnectReason.SELF),
        ("the id of a third", {"node_id": KEY_A.node_id}, DisconnectReason.UNEXPECTED_IDENTITY),
        ("no id", {"node_id": b""}, DisconnectReason.PROTOCOL_BREACH),
        ("no capability", {"capabilities": ()}, DisconnectReason.USELESS_PEER),
        (
            "another version of ours",
            {"capabilities": (Capability(name="mtn", version=2),)},
            DisconnectReason.USELESS_PEER,
        ),
    ],
)
def test_row_21_a_bad_hello_gets_the_reason_that_fits(
    desc: str, changes: dict[str, object], expected: DisconnectReason
) -> None:
    script, machine = scripted()
    machine.receive_data(script.frame(messages.HELLO, script.hello(**changes)), 0.0)
    assert termination(machine).reason is expected, desc
    assert told(script, machine) is expected


@pytest.mark.parametrize("size", [2050, 2**20, 2**24 - 1])
def test_row_21_a_hello_over_two_kilobytes_is_refused_by_its_frame_header(size: int) -> None:
    script, machine = scripted()
    assert script.codec is not None
    header = script.codec.encode(bytes(size))[:32]
    machine.receive_data(header, 0.0)
    assert termination(machine).detail == f"frame: a message of {size} bytes, expected 1 to 2049"
    assert told(script, machine) is DisconnectReason.PROTOCOL_BREACH


def test_a_hello_of_a_later_version_with_more_in_it_is_accepted() -> None:
    script, machine = scripted()
    fields = rlp.decode(script.hello(version=22))
    assert isinstance(fields, list)
    machine.receive_data(script.frame(messages.HELLO, rlp.encode([*fields, b"later", [b"x"]])), 0.0)
    assert [type(event) for event in events(machine)] == [Ready]


@pytest.mark.parametrize("code", [1, 2, 3, 0x10])
def test_the_first_message_is_a_hello_or_a_goodbye(code: int) -> None:
    script, machine = scripted()
    machine.receive_data(script.frame(code, rlp.encode([b"\x04"])), 0.0)
    ended = termination(machine)
    if code == messages.DISCONNECT:
        assert ended == Terminated(
            reason=DisconnectReason.TOO_MANY_PEERS, by_peer=True, detail="before hello"
        )
    else:
        assert ended.reason is DisconnectReason.PROTOCOL_BREACH


@pytest.mark.parametrize("code", [messages.HELLO, 4, 0x0F, 0x20, 0x7F])
def test_codes_that_have_no_place_end_the_connection(code: int) -> None:
    script, machine = opened()
    machine.receive_data(script.frame(code, snappy.compress(b"\xc0")), 0.0)
    assert termination(machine).reason is DisconnectReason.PROTOCOL_BREACH


def test_row_22_a_frame_longer_than_our_messages_is_refused_by_its_header() -> None:
    for size in (310_000, 2**24 - 1):
        script, machine = opened()
        assert script.codec is not None
        machine.receive_data(script.codec.encode(bytes(size))[:32], 0.0)
        assert "frame: a message of" in termination(machine).detail
        assert len(machine._received) == 0


def test_row_22_a_snappy_length_of_four_gigabytes_is_refused_before_unpacking() -> None:
    script, machine = opened()
    machine.receive_data(script.frame(0x10, b"\xff\xff\xff\xff\x0f" + bytes(100)), 0.0)
    assert termination(machine).detail == "snappy: a message of 4294967295 bytes, expected at most 262144"


@pytest.mark.parametrize("position", [0, 15, 16, 31, 32, 50, -1])
def test_row_22_a_changed_byte_of_a_frame_is_noticed(position: int) -> None:
    script, machine = opened()
    frame = bytearray(script.frame(0x10, snappy.compress(bytes(100))))
    frame[position] ^= 0x80
    machine.receive_data(bytes(frame), 0.0)
    assert "MAC is wrong" in termination(machine).detail
    assert not any(isinstance(event, MessageReceived) for event in events(machine))


def test_a_repeated_frame_is_refused() -> None:
    script, machine = opened()
    frame = script.frame(0x10, snappy.compress(b"vote"))
    machine.receive_data(frame, 0.0)
    machine.receive_data(frame, 0.0)
    first, second = events(machine)
    assert isinstance(first, MessageReceived)
    assert isinstance(second, Terminated)


def test_a_base_message_over_two_kilobytes_is_refused() -> None:
    script, machine = opened()
    machine.receive_data(script.frame(messages.PING, snappy.compress(bytes(3000))), 0.0)
    assert "expected at most 2048" in termination(machine).detail


def test_our_own_limit_on_messages_can_be_less() -> None:
    a, b = connected(limits=ConnectionLimits(message_bytes_max=100))
    a.send(0, snappy.compress(os.urandom(101)))
    exchange(a, b)
    assert "expected at most 100" in termination(b).detail


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (rlp.encode([b"\x04"]), DisconnectReason.TOO_MANY_PEERS),
        (b"\x04", DisconnectReason.TOO_MANY_PEERS),
        (rlp.encode([[b"\x08"]]), DisconnectReason.CLIENT_QUITTING),
        (rlp.encode([b""]), DisconnectReason.REQUESTED),
        (rlp.encode([b"\x63"]), DisconnectReason.SUBPROTOCOL_ERROR),
        (rlp.encode([]), DisconnectReason.SUBPROTOCOL_ERROR),
        (b"", DisconnectReason.SUBPROTOCOL_ERROR),
        (b"\xff\xff", DisconnectReason.SUBPROTOCOL_ERROR),
    ],
)
def test_every_way_to_say_goodbye_is_understood(data: bytes, expected: DisconnectReason) -> None:
    assert messages.decode_disconnect(data) is expected


@pytest.mark.parametrize("compress", [snappy.compress, bytes], ids=["compressed", "plain"])
def test_a_goodbye_is_understood_compressed_or_not(compress) -> None:
    script, machine = opened()
    data = compress(messages.encode_disconnect(DisconnectReason.TOO_MANY_PEERS))
    machine.receive_data(script.frame(messages.DISCONNECT, data), 0.0)
    assert termination(machine) == Terminated(reason=DisconnectReason.TOO_MANY_PEERS, by_peer=True, detail="")


# Rows 19 and 20 of docs/evidence/bad-inputs.md: the first packet of a stranger.


def test_row_19_an_auth_cut_at_each_length_waits_or_is_refused_and_never_fails() -> None:
    auth = Initiator(KEY_A, KEY_B.node_id).auth()
    for length in range(len(auth)):
        machine = connection(KEY_B)
        machine.receive_data(auth[:length], 0.0)
        assert not machine.is_closed
        assert events(machine) == []
        machine.receive_end()
        assert termination(machine).reason is DisconnectReason.TCP_ERROR
        assert machine.data_to_send() == b""


@pytest.mark.parametrize("start", [b"", b"\x04", b"\x01"], ids=["random", "as plain", "as EIP-8"])
def test_row_19_junk_of_each_length_up_to_2048_is_waited_for_or_refused(start: bytes) -> None:
    random = Random(19)
    for length in range(0, 2049, 1 if not start else 5):
        junk = (start + random.randbytes(2048))[:length]
        machine = connection(KEY_B, randomness=random.randbytes)
        machine.receive_data(junk, 0.0)
        machine.handle_timer(5.0)
        assert machine.is_closed
        assert machine.data_to_send() == b""


@pytest.mark.parametrize(
    ("size", "is_refused"),
    [(0, True), (112, True), (113, False), (2046, False), (2047, True), (65_535, True)],
)
def test_row_19_a_size_that_no_packet_has_is_refused_at_once(size: int, is_refused: bool) -> None:
    machine = connection(KEY_B)
    machine.receive_data(size.to_bytes(2, "big"), 0.0)
    assert machine.is_closed == is_refused


def test_row_19_an_ack_cut_at_each_length_waits_for_the_rest() -> None:
    initiator = connection(KEY_A, KEY_B)
    recipient = Recipient(KEY_B)
    ack, _ = recipient.process(initiator.data_to_send(), is_plain=False)
    for byte in ack[:-1]:
        initiator.receive_data(bytes((byte,)), 0.0)
        assert not initiator.is_closed
        assert events(initiator) == []
    initiator.receive_data(ack[-1:], 0.0)
    assert not initiator.is_closed
    assert len(initiator.data_to_send()) > 0, "its hello"


def test_row_19_an_ack_of_junk_of_any_length_ends_the_connection() -> None:
    random = Random(20)
    for size in range(0, 2049, 37):
        machine = connection(KEY_A, KEY_B)
        machine.receive_data(size.to_bytes(2, "big") + random.randbytes(2048), 0.0)
        machine.handle_timer(5.0)
        assert machine.is_closed


def bad_points() -> dict[str, bytes]:
    public = PrivateKey(b"\x01" * 32).public_key
    prime = 2**256 - 2**32 - 977
    return {
        "off the curve": public[:63] + bytes((public[63] ^ 1,)),
        "infinity": bytes(64),
        "x = p": prime.to_bytes(32, "big") + public[32:],
        "x > p": b"\xff" * 32 + public[32:],
    }


@pytest.mark.parametrize("name", bad_points())
@pytest.mark.parametrize("role", ["auth", "ack"])
def test_row_20_a_point_off_the_curve_is_refused_as_a_bad_mac_is(name: str, role: str) -> None:
    details = []
    for spoil in ("point", "mac"):
        initiator, machine = connection(KEY_A, KEY_B), connection(KEY_B)
        packet = bytearray(initiator.data_to_send())
        if role == "ack":
            machine.receive_data(bytes(packet), 0.0)
            answer = machine.data_to_send()
            packet = bytearray(answer[: 2 + int.from_bytes(answer[:2], "big")])
            machine = initiator
        if spoil == "point":
            packet[3:67] = bad_points()[name]
        else:
            packet[-1] ^= 1
        machine.receive_data(bytes(packet), 0.0)
        details.append(termination(machine).detail)
        assert machine.data_to_send() == b""
    assert details[0] == details[1] == "ecies: the message cannot be decrypted"


@pytest.mark.parametrize("name", bad_points())
def test_row_20_a_point_off_the_curve_inside_an_auth_or_an_ack_is_refused(name: str) -> None:
    point = bad_points()[name]

    def seal(public: bytes, fields: list[rlp.Item]) -> bytes:
        body = rlp.encode(fields) + bytes(100)
        size = (len(body) + ecies.OVERHEAD_BYTES).to_bytes(2, "big")
        return size + ecies.encrypt(public, body, size)

    recipient = connection(KEY_B)
    recipient.receive_data(seal(KEY_B.node_id, [bytes(65), point, bytes(32), b"\x04"]), 0.0)
    assert "not a point" in termination(recipient).detail
    initiator = connection(KEY_A, KEY_B)
    initiator.receive_data(seal(KEY_A.node_id, [point, bytes(32), b"\x04"]), 0.0)
    assert "not a point" in termination(initiator).detail


def test_a_plain_auth_is_answered_by_a_plain_ack() -> None:
    """The older format, written by hand: our initiator sends EIP-8 only."""
    ephemeral, nonce = NodeKey.generate(), os.urandom(32)
    shared = KEY_A.agreement.agree(KEY_B.node_id)
    signature = ephemeral.signing.sign(bytes(x ^ y for x, y in zip(shared, nonce, strict=True)))
    text = signature + keccak256(ephemeral.node_id) + KEY_A.node_id + nonce + b"\x00"
    machine = connection(KEY_B)
    machine.receive_data(ecies.encrypt(KEY_B.node_id, text), 0.0)
    assert not machine.is_closed
    answer = machine.data_to_send()
    assert len(KEY_A.agreement.decrypt(answer[:210])) == 97


def test_an_eip_8_auth_that_begins_like_a_plain_one_is_understood() -> None:
    """A packet of 1,024 to 1,279 bytes begins with 0x04."""
    initiator = Initiator(KEY_A, KEY_B.node_id)
    initiator.auth()
    machine = connection(KEY_B)
    shared = KEY_A.agreement.agree(KEY_B.node_id)
    signature = initiator._ephemeral.signing.sign(
        bytes(x ^ y for x, y in zip(shared, initiator._nonce, strict=True))
    )
    body = rlp.encode([signature, KEY_A.node_id, initiator._nonce, b"\x04"]) + bytes(800)
    size = (len(body) + ecies.OVERHEAD_BYTES).to_bytes(2, "big")
    assert size[0] == 4
    packet = size + ecies.encrypt(KEY_B.node_id, body, size)
    for start in range(0, len(packet), 100):
        machine.receive_data(packet[start : start + 100], 0.0)
    assert not machine.is_closed
    assert machine.data_to_send()
