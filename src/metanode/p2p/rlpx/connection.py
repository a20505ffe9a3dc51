"""One RLPx connection as a machine: received bytes, messages to send and the time go in; events and bytes to send come out.

Three things drive it, as in aioquic: calls of its owner (`send`, `disconnect`), received data, and the timer. After each the owner drains `next_event()` and
`data_to_send()` and sleeps until `timer_at`. It keeps at most one frame of input and asks nobody the time.
"""

import contextlib
import os
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from metanode.errors import InvalidInput
from metanode.p2p import snappy
from metanode.p2p.errors import PeerFault
from metanode.p2p.rlpx import messages
from metanode.p2p.rlpx.frames import FRAME_BYTES_MAX, HEADER_BYTES, FrameCodec, body_bytes
from metanode.p2p.rlpx.handshake import (
    Initiator,
    NodeKey,
    Randomness,
    Recipient,
    Secrets,
    packet_bytes_expected,
)
from metanode.p2p.rlpx.messages import Capability, Hello
from metanode.p2p.rlpx.reasons import DisconnectReason
from metanode.primitives import rlp

_CODE_BYTES: Final = 1
_HELLO_VERSION_MIN: Final = messages.VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Bounds of one connection."""

    handshake_timeout_s: float = 5.0
    """From the first byte to the other side's hello (go-ethereum's)."""
    ping_interval_s: float = 15.0
    read_timeout_s: float = 30.0
    """Without any byte from the peer."""
    message_bytes_max: int = 256 * 1024
    """Longest message of our capability, unpacked."""

    @property
    def frame_bytes_max(self) -> int:
        """Longest frame after the hello: the longest message as snappy leaves it in the worst case."""
        return min(FRAME_BYTES_MAX, self.message_bytes_max + self.message_bytes_max // 6 + 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Both hellos are exchanged and a capability is shared."""

    remote_id: bytes
    session: bytes
    """32 bytes that only this connection has; see `handshake.Secrets.session`."""
    hello: Hello


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageReceived:
    """A message of our capability."""

    code: int
    """Counted from the capability's first code."""
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PongReceived:
    """The peer answered a ping."""

    round_trip_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminated:
    """Nothing more will come of this connection; what is to be sent still should be."""

    reason: DisconnectReason
    by_peer: bool
    detail: str


Event = Ready | MessageReceived | PongReceived | Terminated


class _Phase(Enum):
    HANDSHAKE = auto()
    HELLO = auto()
    OPEN = auto()
    CLOSED = auto()


class RLPxConnection:
    """See the module. Owned by one task."""

    def __init__(
        self,
        *,
        key: NodeKey,
        client: str,
        capability: Capability,
        now: float,
        remote_id: bytes | None = None,
        listen_port: int = 0,
        limits: ConnectionLimits | None = None,
        randomness: Randomness = os.urandom,
    ) -> None:
        """Start a connection at `now`; with a `remote_id` we are the initiator. Raises InvalidPoint when that id is no public key."""
        self._key = key
        self._capability = capability
        self._limits = limits or ConnectionLimits()
        self._hello = Hello(
            client=client, capabilities=(capability,), node_id=key.node_id, listen_port=listen_port
        )
        self._phase = _Phase.HANDSHAKE
        self._received = bytearray()
        self._outgoing: list[bytes] = []
        self._events: deque[Event] = deque()
        self._codec: FrameCodec | None = None
        self._secrets: Secrets | None = None
        self._body_size: int | None = None
        self._started_at = now
        self._received_at = now
        self._pinged_at: float | None = None
        self._ping_due_at = now + self._limits.ping_interval_s
        self._pong_is_pending = False
        self.frames_received = 0
        """Messages of any kind so far."""
        self._initiator: Initiator | None = None
        self._recipient: Recipient | None = None
        self._plain_bytes: int | None
        if remote_id is None:
            self._recipient = Recipient(key, randomness=randomness)
            self._plain_bytes = Recipient.plain_bytes
        else:
            self._initiator = Initiator(key, remote_id, randomness=randomness)
            self._plain_bytes = Initiator.plain_bytes
            self._outgoing.append(self._initiator.auth())

    @property
    def is_closed(self) -> bool:
        """Whether the connection has terminated."""
        return self._phase is _Phase.CLOSED

    @property
    def timer_at(self) -> float | None:
        """When `handle_timer` wants to be called, or None once closed."""
        match self._phase:
            case _Phase.HANDSHAKE | _Phase.HELLO:
                return self._started_at + self._limits.handshake_timeout_s
            case _Phase.OPEN:
                return min(self._ping_due_at, self._received_at + self._limits.read_timeout_s)
            case _Phase.CLOSED:
                return None

    def next_event(self) -> Event | None:
        """Return the oldest event that was not taken yet."""
        return self._events.popleft() if self._events else None

    def data_to_send(self) -> bytes:
        """Return the bytes to write, once."""
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        self._pong_is_pending = False
        return data

    def receive_data(self, data: bytes, now: float) -> None:
        """Process bytes from the peer."""
        if self._phase is _Phase.CLOSED:
            return
        self._received += data
        self._received_at = now
        try:
            while self._process_received(now):
                pass
        except PeerFault as fault:
            self._fail(fault.disconnect, str(fault))
        except InvalidInput as error:
            self._fail(DisconnectReason.PROTOCOL_BREACH, str(error))

    def receive_end(self) -> None:
        """Process the end of the peer's stream."""
        self._terminate(DisconnectReason.TCP_ERROR, by_peer=True, detail="the peer closed the stream")

    def handle_timer(self, now: float) -> None:
        """Ping when it is time, and end a connection that is silent."""
        match self._phase:
            case _Phase.HANDSHAKE | _Phase.HELLO:
                if now >= self._started_at + self._limits.handshake_timeout_s:
                    self._fail(DisconnectReason.READ_TIMEOUT, "no complete handshake and hello in time")
            case _Phase.OPEN:
                if now >= self._received_at + self._limits.read_timeout_s:
                    self._fail(DisconnectReason.READ_TIMEOUT, "the peer is silent")
                elif now >= self._ping_due_at:
                    self._ping_due_at = now + self._limits.ping_interval_s
                    self._pinged_at = now
                    self._send_base(messages.PING, rlp.encode([]))
            case _Phase.CLOSED:
                pass

    def ping(self, now: float) -> None:
        """Ask for a pong now; its round trip is reported."""
        if self._phase is _Phase.OPEN:
            self._pinged_at = now
            self._ping_due_at = now + self._limits.ping_interval_s
            self._send_base(messages.PING, rlp.encode([]))

    def send(self, code: int, compressed: bytes) -> None:
        """Queue a message of our capability, its payload compressed by snappy already (one compression serves all peers)."""
        assert 0 <= code < self._capability.length, code
        if self._phase is _Phase.OPEN:
            self._send_frame(messages.BASE_LENGTH + code, compressed)

    def disconnect(self, reason: DisconnectReason, detail: str = "") -> None:
        """Tell the peer why, and close."""
        self._fail(reason, detail or reason.name.lower())

    def _process_received(self, now: float) -> bool:
        """Process one packet or one part of a frame; return whether there was a whole one."""
        match self._phase:
            case _Phase.HANDSHAKE:
                return self._process_handshake()
            case _Phase.HELLO | _Phase.OPEN:
                return self._process_frame(now)
            case _Phase.CLOSED:
                return False

    def _process_handshake(self) -> bool:
        expected, is_plain = packet_bytes_expected(self._received, self._plain_bytes)
        if len(self._received) < expected or expected == 2:
            return False
        packet = bytes(self._received[:expected])
        try:
            if self._initiator is not None:
                secrets = self._initiator.process(packet, is_plain=is_plain)
            else:
                assert self._recipient is not None
                ack, secrets = self._recipient.process(packet, is_plain=is_plain)
                self._outgoing.append(ack)
        except InvalidInput:
            if not is_plain:
                raise
            self._plain_bytes = None
            return True
        del self._received[:expected]
        self._initiator = self._recipient = None
        self._secrets = secrets
        self._codec = FrameCodec(secrets)
        self._phase = _Phase.HELLO
        self._send_base(messages.HELLO, messages.encode_hello(self._hello))
        return True

    def _process_frame(self, now: float) -> bool:
        assert self._codec is not None
        if self._body_size is None:
            if len(self._received) < HEADER_BYTES:
                return False
            size = self._codec.decode_header(bytes(self._received[:HEADER_BYTES]))
            del self._received[:HEADER_BYTES]
            bound = (
                messages.BASE_MESSAGE_BYTES_MAX + _CODE_BYTES
                if self._phase is _Phase.HELLO
                else self._limits.frame_bytes_max
            )
            if not _CODE_BYTES <= size <= bound:
                raise PeerFault(f"frame: a message of {size} bytes, expected 1 to {bound}")
            self._body_size = size
        expected = body_bytes(self._body_size)
        if len(self._received) < expected:
            return False
        body = self._codec.decode_body(bytes(self._received[:expected]), self._body_size)
        del self._received[:expected]
        self._body_size = None
        self.frames_received += 1
        self._process_message(body, now)
        return True

    def _process_message(self, body: bytes, now: float) -> None:
        # The code is an RLP number of one byte: 0x80 is zero.
        code = 0 if body[0] == 0x80 else body[0]
        if body[0] == 0 or code > 0x7F:
            raise PeerFault(f"frame: a message code of {body[0]:#x}")
        data = body[_CODE_BYTES:]
        if self._phase is _Phase.HELLO:
            self._process_first(code, data)
            return
        if code == messages.DISCONNECT:
            self._terminate(_decode_farewell(data), by_peer=True, detail="")
            return
        is_base = code < messages.BASE_LENGTH
        payload = snappy.decompress(
            data, messages.BASE_MESSAGE_BYTES_MAX if is_base else self._limits.message_bytes_max
        )
        if not is_base:
            relative = code - messages.BASE_LENGTH
            if relative >= self._capability.length:
                raise PeerFault(f"{self._capability} has no message {relative:#x}")
            self._events.append(MessageReceived(code=relative, payload=payload))
        elif code == messages.PING:
            if not self._pong_is_pending:
                self._pong_is_pending = True
                self._send_base(messages.PONG, rlp.encode([]))
        elif code == messages.PONG:
            if self._pinged_at is not None:
                self._events.append(PongReceived(round_trip_s=now - self._pinged_at))
                self._pinged_at = None
        else:
            raise PeerFault(f"p2p: message {code:#x} is not expected here")

    def _process_first(self, code: int, data: bytes) -> None:
        """Process the first message: a hello, or a disconnect of a peer that has no place."""
        if code == messages.DISCONNECT:
            self._terminate(messages.decode_disconnect(data), by_peer=True, detail="before hello")
            return
        if code != messages.HELLO:
            raise PeerFault(f"p2p: the first message is {code:#x}, expected a hello")
        assert self._secrets is not None
        hello = messages.decode_hello(data)
        if hello.node_id == self._key.node_id:
            raise PeerFault("hello: the node id is our own", DisconnectReason.SELF)
        if hello.node_id != self._secrets.remote_id:
            raise PeerFault(
                "hello: another node id than the handshake proved", DisconnectReason.UNEXPECTED_IDENTITY
            )
        if hello.version < _HELLO_VERSION_MIN:
            raise PeerFault(
                f"hello: version {hello.version}, expected at least {_HELLO_VERSION_MIN} (snappy)",
                DisconnectReason.INCOMPATIBLE_VERSION,
            )
        messages.shared_capability(self._capability, hello)
        self._phase = _Phase.OPEN
        self._events.append(
            Ready(remote_id=self._secrets.remote_id, session=self._secrets.session, hello=hello)
        )

    def _send_base(self, code: int, payload: bytes) -> None:
        self._send_frame(code, snappy.compress(payload) if self._phase is _Phase.OPEN else payload)

    def _send_frame(self, code: int, data: bytes) -> None:
        assert self._codec is not None
        self._outgoing.append(self._codec.encode(rlp.encode(rlp.integer(code)) + data))

    def _fail(self, reason: DisconnectReason, detail: str) -> None:
        if self._phase in {_Phase.HELLO, _Phase.OPEN}:
            self._send_base(messages.DISCONNECT, messages.encode_disconnect(reason))
        self._terminate(reason, by_peer=False, detail=detail)

    def _terminate(self, reason: DisconnectReason, *, by_peer: bool, detail: str) -> None:
        if self._phase is not _Phase.CLOSED:
            self._phase = _Phase.CLOSED
            self._received.clear()
            self._events.append(Terminated(reason=reason, by_peer=by_peer, detail=detail))


def _decode_farewell(data: bytes) -> DisconnectReason:
    """Return the reason of a disconnect: some clients never compress it, and the two hellos may have crossed it."""
    with contextlib.suppress(PeerFault):
        data = snappy.decompress(data, messages.BASE_MESSAGE_BYTES_MAX)
    return messages.decode_disconnect(data)
