"""Peers written by hand, over blocking sockets: RLPx to the point where the lie begins, from addresses of their own of this machine's loopback network."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.integration.hostile import wire

from metanode.chain.genesis import parse_genesis
from metanode.crypto.hashing import keccak256
from metanode.p2p import protocol, snappy
from metanode.p2p.enode import Enode, parse_enode
from metanode.p2p.errors import PeerFault
from metanode.p2p.ports import ForkId, Tip
from metanode.p2p.protocol import Message, Status
from metanode.p2p.rlpx import messages
from metanode.p2p.rlpx.frames import FrameCodec
from metanode.p2p.rlpx.handshake import Initiator, NodeKey
from metanode.p2p.rlpx.messages import Hello
from metanode.primitives import rlp
from metanode.primitives.types import ZERO_HASH, Height

if TYPE_CHECKING:
    from tests.integration.hostile.target import Target

    from metanode.p2p.rlpx.reasons import DisconnectReason

ENDS_WITHIN_S: Final = 30.0
"""Nobody waits longer for the node to hang up; what must come sooner is asserted."""
_NUMBERS: Final = itertools.count(1)


@dataclass(frozen=True)
class Node:
    """Whom strangers call, and what its status says."""

    enode: Enode
    status: Status

    @property
    def port(self) -> int:
        """Of RLPx and of discv4."""
        return self.enode.tcp_port

    @classmethod
    def of(cls, target: Target) -> Node:
        """Ask the node itself, on its private port, and its genesis."""
        enode = parse_enode(wire.ask(target.private_port, "admin_nodeInfo").json()["result"]["enode"])
        genesis = parse_genesis((target.process.home / "genesis.json").read_bytes())
        fork = genesis.rules.fork_id(height=Height(0), timestamp=genesis.header.timestamp)
        status = Status(
            genesis_hash=genesis.hash, network_id=genesis.chain_id, chain_id=genesis.chain_id,
            fork_id=ForkId(hash=fork.hash, next=fork.next), tip=Tip(height=Height(0), certificate_hash=ZERO_HASH),
            time_ms=int(time.time() * 1000), proof=None,
        )  # fmt: skip
        return cls(enode, status)


def call(node: Node) -> socket.socket:
    """A TCP connection from an address that has not called before."""
    number = next(_NUMBERS)
    made = socket.socket()
    made.settimeout(ENDS_WITHIN_S)
    made.bind((f"127.{1 + number // 65_536}.{number // 256 % 256}.{1 + number % 250}", 0))
    made.connect(("127.0.0.1", node.port))
    return made


class Stranger:
    """One connection with the handshake done and the node's hello read; ours is left to the test."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.key = NodeKey(keccak256(b"stranger %d" % next(_NUMBERS)))
        initiator = Initiator(self.key, node.enode.node_id)
        self.socket = call(node)
        self.socket.sendall(initiator.auth())
        head = self._read(2)
        packet = head + self._read(int.from_bytes(head, "big"))
        self._codec = FrameCodec(initiator.process(packet, is_plain=False))

    def greet(self, **changes: object) -> None:
        """Say hello, as it should be but for the changes."""
        fields: dict[str, object] = {
            "client": "stranger",
            "capabilities": (protocol.CAPABILITY,),
            "node_id": self.key.node_id,
        }
        self.say_frame(messages.HELLO, messages.encode_hello(Hello(**(fields | changes))))  # type: ignore[arg-type] - as tests want them

    def introduce(self) -> Stranger:
        """Be a peer: hello and status."""
        self.greet()
        self.say(self.node.status)
        return self

    def say(self, message: Message) -> None:
        """A message of `mtn`."""
        code, payload = protocol.encode(message)
        self.say_frame(messages.BASE_LENGTH + code, snappy.compress(payload))

    def say_frame(self, code: int, data: bytes) -> None:
        """A frame with any code and content."""
        self.socket.sendall(self._codec.encode(rlp.encode(rlp.integer(code)) + data))

    def say_header(self, size: int) -> None:
        """The first 32 bytes of a frame of this size, and nothing of it."""
        self.socket.sendall(self._codec.encode(bytes(size))[:32])

    def say_bytes(self, data: bytes) -> None:
        """What is no frame."""
        self.socket.sendall(data)

    def hear_end(self) -> DisconnectReason | None:
        """The reason that the node gives before it closes; None when it closes without one."""
        reason: DisconnectReason | None = None
        try:
            while True:
                code, data = self._hear_frame()
                if code == messages.DISCONNECT:
                    reason = _reason(data)
        except OSError:
            return reason
        finally:
            self.socket.close()

    def hears_status(self) -> bool:
        """Whether the node takes it as a peer: its own status comes."""
        while True:
            code, data = self._hear_frame()
            if code == messages.DISCONNECT:
                return False
            if code >= messages.BASE_LENGTH:
                payload = snappy.decompress(data, 2**24)
                return isinstance(protocol.decode(code - messages.BASE_LENGTH, payload), Status)

    def _hear_frame(self) -> tuple[int, bytes]:
        size = self._codec.decode_header(self._read(32))
        body = self._codec.decode_body(self._read(size + -size % 16 + 16), size)
        # A code is an RLP integer: zero is 0x80.
        return (0 if body[0] == 0x80 else body[0]), body[1:]

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError("the node closed the stream")
            data += more
        return data


def _reason(data: bytes) -> DisconnectReason:
    """Of a disconnect, which is compressed after the hellos."""
    with contextlib.suppress(PeerFault):
        data = snappy.decompress(data, messages.BASE_MESSAGE_BYTES_MAX)
    return messages.decode_disconnect(data)


def serves_a_good_peer(node: Node) -> bool:
    """Whether the next peer that follows the rules is one."""
    good = Stranger(node).introduce()
    try:
        return good.hears_status()
    finally:
        good.socket.close()
