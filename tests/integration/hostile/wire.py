"""Clients that say what no library would: raw HTTP and raw WebSocket frames over plain sockets."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from tests.acceptance.processes import slowness

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S: Final = 30.0
BUSY: Final = b'"code":-32005,"message":"server is busy'
"""What a node says to costly calls while consensus is late."""
BUSY_S: Final = 5.0
"""How long one may be busy for each other machine's worth of work on ours."""
TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0


@dataclass(frozen=True)
class Reply:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes
    took_s: float

    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    @property
    def code(self) -> int | None:
        """Of the error object, None when there is none."""
        answer = self.json()
        return answer["error"]["code"] if isinstance(answer, dict) and "error" in answer else None

    @property
    def message(self) -> str:
        """Of the error object."""
        return str(self.json()["error"]["message"])


def connect(port: int, *, host: str = "127.0.0.1", receive_buffer_bytes: int | None = None) -> socket.socket:
    """A TCP connection."""
    made = socket.socket()
    if receive_buffer_bytes is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    made.settimeout(TIMEOUT_S)
    try:
        made.connect((host, port))
    except OSError:
        made.close()
        raise
    return made


def head(
    length: int | None, *, host: str = "localhost", content_type: str = "application/json", more: str = ""
) -> bytes:
    """The head of a POST; `more`: lines with their ends."""
    counted = "" if length is None else f"content-length: {length}\r\n"
    return f"POST / HTTP/1.1\r\nhost: {host}\r\ncontent-type: {content_type}\r\n{counted}{more}\r\n".encode()


def read_reply(connection: socket.socket) -> Reply:
    """Read one response with a length; an early end is a ConnectionError."""
    begun, got = time.monotonic(), bytearray()
    while b"\r\n\r\n" not in got:
        got += _some(connection)
    lines, _, body = bytes(got).partition(b"\r\n\r\n")
    first, *rest = lines.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    received = bytearray(body)
    length = int(headers.get("content-length", 0))
    while len(received) < length:
        received += _some(connection)
    return Reply(int(first.split()[1]), headers, bytes(received), time.monotonic() - begun)


def _some(connection: socket.socket) -> bytes:
    part = connection.recv(1 << 16)
    if not part:
        raise ConnectionError("closed before the response was whole")
    return part


def exchange(port: int, request: bytes, *, host: str = "127.0.0.1") -> Reply:
    """Send bytes on a connection of their own and read the response."""
    with connect(port, host=host) as connection:
        # The node may answer and close before it has read all.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        return read_reply(connection)


def post(port: int, body: bytes | str, *, more: str = "", host: str = "localhost") -> Reply:
    """POST a body as it is."""
    encoded = body if isinstance(body, bytes) else body.encode()
    return exchange(port, head(len(encoded), host=host, more=more) + encoded)


def ask(port: int, method: str, params: Any = (), *, more: str = "") -> Reply:
    """POST one call; again while the node is busy with more than it has processors for, which on a machine of our own it is not."""
    deadline = time.monotonic() + BUSY_S * (slowness() - 1.0)
    while True:
        reply = post(port, request(method, params), more=more)
        if BUSY not in reply.body or time.monotonic() > deadline:
            return reply
        time.sleep(0.2)


def request(method: str, params: Any = (), identifier: Any = 1) -> str:
    """The text of one call; `params` as JSON text stays as it is."""
    text = params if isinstance(params, str) else json.dumps(params)
    return f'{{"jsonrpc":"2.0","id":{json.dumps(identifier)},"method":{json.dumps(method)},"params":{text}}}'


def seconds_to_close(connection: socket.socket, *, within_s: float) -> float:
    """Read until the node closes; how long that took."""
    begun = time.monotonic()
    deadline = begun + within_s * slowness()
    connection.settimeout(0.2)
    while True:
        try:
            if not connection.recv(1 << 16):
                return time.monotonic() - begun
        except TimeoutError:
            pass
        except OSError:
            return time.monotonic() - begun
        assert time.monotonic() < deadline, f"not closed within {within_s} s"


def is_closed(connection: socket.socket) -> bool:
    """Whether the node has closed; what it sent before is thrown away."""
    connection.setblocking(False)
    try:
        while True:
            if not connection.recv(1 << 16):
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True


@dataclass
class WebSocket:
    """A WebSocket whose frames are made by hand."""

    connection: socket.socket
    _got: bytearray = field(default_factory=bytearray)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A thread that reads would keep a socket that is only closed.
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()

    def frame(
        self, opcode: int, payload: bytes = b"", *, final: bool = True, reserved: int = 0, length: int | None = None, masked: bool = True
    ) -> bytes:  # fmt: skip
        """A frame's bytes; `length`: what it claims, whatever the payload is."""
        claimed = len(payload) if length is None else length
        first = (0x80 if final else 0) | reserved << 4 | opcode
        mask = 0x80 if masked else 0
        if claimed < 126:
            counted = struct.pack("!BB", first, mask | claimed)
        elif claimed < 1 << 16:
            counted = struct.pack("!BBH", first, mask | 126, claimed)
        else:
            counted = struct.pack("!BBQ", first, mask | 127, claimed)
        # A mask of zeros leaves the payload as it is.
        return counted + (bytes(4) if masked else b"") + payload

    def send(self, opcode: int, payload: bytes = b"", **how: Any) -> None:
        """Send one frame."""
        self.connection.sendall(self.frame(opcode, payload, **how))

    def say(self, text: str) -> None:
        """Send a message."""
        self.send(TEXT, text.encode())

    def read_frame(self) -> tuple[int, bytes]:
        """The next message's or control frame's opcode and payload; ConnectionError at the end. Large answers come in fragments."""
        opcode, payload, is_last = self._read_fragment()
        while not is_last:
            _, more, is_last = self._read_fragment()
            payload += more
        return opcode, payload

    def _read_fragment(self) -> tuple[int, bytes, bool]:
        first, second = self._take(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self._take(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._take(8))
        return first & 0x0F, self._take(length), bool(first & 0x80)

    def read(self) -> Any:
        """The next message that is no ping, as JSON."""
        while True:
            opcode, payload = self.read_frame()
            if opcode in (TEXT, BINARY):
                return json.loads(payload)
            assert opcode in (PING, PONG), f"closed with {payload!r}"

    def ask(self, method: str, params: Any = (), identifier: Any = 1) -> Any:
        """The response to one call; notifications before it are thrown away."""
        self.say(request(method, params, identifier))
        while "id" not in (answer := self.read()):
            pass
        return answer

    def messages(self) -> Iterator[Any]:
        """Messages until the node closes."""
        with contextlib.suppress(ConnectionError, OSError):
            while True:
                opcode, payload = self.read_frame()
                if opcode == CLOSE:
                    return
                if opcode in (TEXT, BINARY):
                    yield json.loads(payload)

    def close_code(self) -> int | None:
        """Read until the node closes; the code it gives, None when it gives none."""
        with contextlib.suppress(ConnectionError, OSError):
            while True:
                opcode, payload = self.read_frame()
                if opcode == CLOSE:
                    return int(struct.unpack("!H", payload[:2])[0]) if len(payload) >= 2 else None
        return None

    def _take(self, count: int) -> bytes:
        while len(self._got) < count:
            self._got += _some(self.connection)
        taken = bytes(self._got[:count])
        del self._got[:count]
        return taken


def open_websocket(
    port: int, *, more: str = "", host: str = "localhost", receive_buffer_bytes: int | None = None
) -> WebSocket:
    """Upgrade a connection; a refusal is a ConnectionRefusedError with its status."""
    connection = connect(port, receive_buffer_bytes=receive_buffer_bytes)
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        f"GET / HTTP/1.1\r\nhost: {host}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
        f"sec-websocket-key: {key}\r\n{more}\r\n".encode()
    )
    got = bytearray()
    while b"\r\n\r\n" not in got:
        got += _some(connection)
    lines, _, rest = bytes(got).partition(b"\r\n\r\n")
    status = int(lines.split()[1])
    if status != 101:
        connection.close()
        raise ConnectionRefusedError(status, lines.decode("latin-1"))
    return WebSocket(connection, bytearray(rest))
