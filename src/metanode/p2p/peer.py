"""One connection with a peer: the socket, the RLPx machine, the outbound queue, and our open questions.

`Peer.run` owns four tasks (reader, timer, answering requests, writer) and ends when the connection does. What messages mean is the network's business (`PeerOwner`).
Everything runs in the event loop; the read loop waits when the peer sends faster than its rate allows, so a flood is held back by TCP and not stored here.
"""

import asyncio
from collections import Counter, deque
from typing import Final, Protocol

import structlog

from metanode.errors import InvalidInput, Unavailable
from metanode.p2p import protocol
from metanode.p2p.enode import NodeId, format_address
from metanode.p2p.errors import NoAnswer, PeerFault, PeerUnavailable
from metanode.p2p.gossip import KNOWN_MAX, HashSet
from metanode.p2p.limits import TokenBucket
from metanode.p2p.ports import PeerInfo
from metanode.p2p.protocol import GetBlocks, GetBody, Message, Response
from metanode.p2p.queue import Outbound, OutboundLarge, OutboundQueue, prepare
from metanode.p2p.requests import OPEN_MAX, Requests
from metanode.p2p.rlpx.connection import MessageReceived, PongReceived, Ready, RLPxConnection, Terminated
from metanode.p2p.rlpx.reasons import DisconnectReason
from metanode.primitives.types import Address, Height

log = structlog.get_logger(__name__)

READ_BYTES: Final = 64 * 1024
WRITE_BYTES: Final = 64 * 1024
"""What is handed to the socket at a time: a vote waits behind no more than this."""
WRITE_TIMEOUT_S: Final = 20.0
CLOSE_TIMEOUT_S: Final = 1.0
STATUS_TIMEOUT_S: Final = 10.0
MESSAGES_PER_S: Final = 2000.0
"""Of one peer, each hash of an announcement or a wish counted as one; a hundred validators send each other about 200 in a second."""
BYTES_PER_S: Final = 32.0 * 1024 * 1024
ASKED_MAX: Final = 4
"""Requests of one peer that wait for their answer."""
_RATE_PAUSE_S_MAX: Final = 1.0
_TICK_S_MIN: Final = 0.02

Request = GetBlocks | GetBody


class PeerOwner(Protocol):
    """What a connection reports to the network."""

    def upon_ready(self, peer: "Peer", ready: Ready) -> None:
        """Hellos are exchanged."""
        ...

    def upon_message(self, peer: "Peer", message: Message) -> None:
        """A message has come; raises PeerFault when it is wrong."""
        ...

    def upon_fault(self, peer: "Peer", error: InvalidInput) -> None:
        """A peer has sent something wrong."""
        ...

    async def answer(self, request: Request) -> bytes:
        """Return the answer to a request, empty when there is none."""
        ...


class Peer:
    """See the module."""

    def __init__(
        self,
        *,
        connection: RLPxConnection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        owner: PeerOwner,
        is_inbound: bool,
        is_static: bool = False,
        status_timeout_s: float = STATUS_TIMEOUT_S,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._connection = connection
        self._reader = reader
        self._writer = writer
        self._owner = owner
        self._queue = OutboundQueue()
        self._requests = Requests()
        self._answers: dict[int, asyncio.Future[bytes]] = {}
        self._asked: deque[Request] = deque()
        self._asked_changed = asyncio.Event()
        self._woken = asyncio.Event()
        self._messages_rate = TokenBucket(per_s=MESSAGES_PER_S, burst=2 * MESSAGES_PER_S, now=now)
        self._bytes_rate = TokenBucket(per_s=BYTES_PER_S, burst=BYTES_PER_S, now=now)
        self._digests_due = 0
        self._bytes_due = 0
        self._frames_seen = 0
        self._status_timeout_s = status_timeout_s
        self._opened_at = now
        self._hello_at: float | None = None
        self.remote_host, self.remote_port = _remote_address(writer)
        self.is_inbound = is_inbound
        self.is_static = is_static
        self.node_id = NodeId(b"")
        self.session = b""
        self.client = ""
        self.is_ready = False
        """Whether its status has come and fits."""
        self.was_ready = False
        self.proven: Address | None = None
        self.claimed = Height(0)
        """The height it says it is at; never lowered."""
        self.told = Height(0)
        """The highest certificate it has sent us; not necessarily a height it has reached itself."""
        self.offered = Height(0)
        """The highest certificate we have sent it."""
        self.unanswered = 0
        """Questions of ours in a row that it left without an answer."""
        self.clock_skew_ms = 0
        self.round_trip_s = 0.0
        self.known = HashSet(KNOWN_MAX)
        self.termination: Terminated | None = None
        self.closed = asyncio.Event()
        self.received: Counter[str] = Counter()
        self.sent: Counter[int] = Counter()
        self.bytes_in = 0
        self.bytes_out = 0

    def __repr__(self) -> str:
        return f"Peer({self.node_id.hex()[:16] or '?'} at {self.address})"

    @property
    def address(self) -> str:
        """`host:port` of the other end."""
        return format_address(self.remote_host, self.remote_port)

    @property
    def height(self) -> Height:
        """The height it can help with, as far as we know."""
        return max(self.claimed, self.told)

    @property
    def age_s(self) -> float:
        """How long the connection has been open."""
        return self._loop.time() - self._opened_at

    @property
    def dropped(self) -> int:
        """Messages that did not fit into its queue."""
        return self._queue.dropped

    @property
    def queued_messages(self) -> int:
        """How many messages wait to be sent."""
        return len(self._queue)

    @property
    def queued_bytes(self) -> int:
        """What waits to be sent."""
        return self._queue.bytes

    def info(self, validators: frozenset[Address]) -> PeerInfo:
        """Return what the rest of the node sees of this peer."""
        return PeerInfo(
            node_id=self.node_id,
            address=self.address,
            client=self.client,
            is_inbound=self.is_inbound,
            is_static=self.is_static,
            proven=self.proven,
            is_validator=self.proven is not None and self.proven in validators,
            height=self.height,
            clock_skew_ms=self.clock_skew_ms,
            round_trip_ms=round(self.round_trip_s * 1000),
            connected_s=self.age_s,
        )

    def send(self, message: Message) -> None:
        """Queue a message."""
        self.push(prepare(message))

    def push(self, *outbounds: Outbound) -> bool:
        """Queue messages, all or none; return whether they will be sent."""
        accepted = (
            self._queue.push(outbounds[0]) if len(outbounds) == 1 else self._queue.push_all(list(outbounds))
        )
        self._woken.set()
        return accepted

    def push_large(self, large: OutboundLarge) -> bool:
        """Queue a message that travels in parts; return whether it will be sent."""
        accepted = self._queue.push_large(large)
        self._woken.set()
        return accepted

    def disconnect(self, reason: DisconnectReason, detail: str = "") -> None:
        """Tell the peer why, and close."""
        self._connection.disconnect(reason, detail)
        self._process_events()

    async def ask(self, size_max: int, timeout_s: float, request: type[Request], **fields: object) -> bytes:
        """Send a request and return its answer; raises PeerUnavailable when it does not come in time."""
        if self._connection.is_closed or len(self._requests) >= OPEN_MAX:
            raise PeerUnavailable(f"{self!r}: closed, or too many requests are open")
        request_id = self._requests.open(size_max)
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._answers[request_id] = future
        self.send(request(request_id=request_id, **fields))  # type: ignore[arg-type] # the callers below give each its fields
        try:
            async with asyncio.timeout(timeout_s):
                answer = await future
        except TimeoutError:
            self.unanswered += 1
            raise NoAnswer(f"{self!r}: no answer in {timeout_s:g} s") from None
        else:
            self.unanswered = 0
            return answer
        finally:
            self._answers.pop(request_id, None)
            self._requests.give_up(request_id)

    def note_work(self, *, digests: int, bytes_sent: int = 0) -> None:
        """Count what a short message has made us do toward the peer's rates, as if it had come in messages and bytes."""
        self._digests_due += digests
        self._bytes_due += bytes_sent

    async def run(self) -> None:
        """Serve the connection until it ends."""
        self._writer.transport.set_write_buffer_limits(high=WRITE_BYTES)
        try:
            async with asyncio.TaskGroup() as group:
                others = [
                    group.create_task(self._read(), name=f"{self!r} reader"),
                    group.create_task(self._tick(), name=f"{self!r} timer"),
                    group.create_task(self._answer(), name=f"{self!r} requests"),
                ]
                try:
                    await self._write()
                finally:
                    for task in others:
                        task.cancel()
        finally:
            if not self._connection.is_closed:
                # We are being cancelled: say goodbye if that can be done without waiting.
                self._connection.disconnect(DisconnectReason.CLIENT_QUITTING)
                self._process_events()
                self._writer.write(self._connection.data_to_send())
            for future in self._answers.values():
                if not future.done():
                    future.set_exception(PeerUnavailable(f"{self!r}: the connection has ended"))
            self.is_ready = False
            self.closed.set()
            self._writer.close()

    async def _read(self) -> None:
        while not self._connection.is_closed:
            try:
                data = await self._reader.read(READ_BYTES)
            except OSError:
                data = b""
            if not data:
                self._connection.receive_end()
                self._process_events()
                return
            self.bytes_in += len(data)
            now = self._loop.time()
            self._connection.receive_data(data, now)
            self._process_events()
            frames = self._connection.frames_received - self._frames_seen
            self._frames_seen += frames
            messages, size = frames + self._digests_due, len(data) + self._bytes_due
            self._digests_due = self._bytes_due = 0
            pause_s = max(self._messages_rate.owe(messages, now), self._bytes_rate.owe(size, now))
            if pause_s > 0:
                self.received["throttled"] += 1
                await asyncio.sleep(min(pause_s, _RATE_PAUSE_S_MAX))

    async def _tick(self) -> None:
        while (timer_at := self._connection.timer_at) is not None:
            now = self._loop.time()
            if self._hello_at is not None and not self.is_ready:
                status_at = self._hello_at + self._status_timeout_s
                if now >= status_at:
                    self.disconnect(DisconnectReason.READ_TIMEOUT, "no status in time")
                    return
                timer_at = min(timer_at, status_at)
            if now >= timer_at:
                self._connection.handle_timer(now)
                self._process_events()
            # The deadline may move nearer while we sleep (a hello has come), never by less than this.
            await asyncio.sleep(min(1.0, max(_TICK_S_MIN, timer_at - now)))

    async def _answer(self) -> None:
        while True:
            while self._asked:
                request = self._asked.popleft()
                try:
                    answer = await self._owner.answer(request)
                except Unavailable as error:
                    log.warning("peer_request_unanswered", peer=repr(self), error=str(error)[:200])
                    answer = b""
                self._send_answer(request.request_id, answer)
            self._asked_changed.clear()
            await self._asked_changed.wait()

    def _send_answer(self, request_id: int, answer: bytes) -> None:
        size = len(answer)
        parts = []
        for index in range(protocol.part_count(size)):
            start = index * protocol.PART_BYTES
            data = answer[start : start + protocol.PART_BYTES]
            parts.append(prepare(Response(request_id=request_id, size=size, index=index, data=data)))
        self.push(*parts)

    async def _write(self) -> None:
        while True:
            data = self._connection.data_to_send()
            chunks = [data]
            size = len(data)
            while size < WRITE_BYTES and (outbound := self._queue.pop()) is not None:
                self._connection.send(outbound.code, outbound.compressed)
                self.sent[outbound.code] += 1
                data = self._connection.data_to_send()
                chunks.append(data)
                size += len(data)
            if size:
                self.bytes_out += size
                self._writer.writelines(chunks)
                try:
                    async with asyncio.timeout(
                        CLOSE_TIMEOUT_S if self._connection.is_closed else WRITE_TIMEOUT_S
                    ):
                        await self._writer.drain()
                except TimeoutError:
                    self._connection.disconnect(DisconnectReason.TCP_ERROR, "the peer does not read")
                    self._process_events()
                    self._writer.transport.abort()
                    return
                except OSError:
                    self._connection.receive_end()
                    self._process_events()
                    return
            elif self._connection.is_closed:
                return
            else:
                self._woken.clear()
                await self._woken.wait()

    def _process_events(self) -> None:
        while (event := self._connection.next_event()) is not None:
            match event:
                case Ready():
                    self.node_id = NodeId(event.remote_id)
                    self.session = event.session
                    self.client = event.hello.client
                    self._hello_at = self._loop.time()
                    self._connection.ping(self._hello_at)
                    self._owner.upon_ready(self, event)
                case MessageReceived():
                    self._process_message(event)
                case PongReceived():
                    self.round_trip_s = event.round_trip_s
                case Terminated():
                    self.termination = event
        self._woken.set()

    def _process_message(self, event: MessageReceived) -> None:
        if self._connection.is_closed:
            return
        try:
            message = protocol.decode(event.code, event.payload)
            self.received[type(message).__name__] += 1
            if isinstance(message, Response):
                self._upon_response(message)
            elif isinstance(message, (GetBlocks, GetBody)):
                self._upon_request(message)
            else:
                self._owner.upon_message(self, message)
        except InvalidInput as error:
            self._owner.upon_fault(self, error)
        except Exception:
            # Our own mistake, met by a message of this peer: it must not end the node.
            log.exception("peer_message_failed", peer=repr(self), code=event.code)
            self._connection.disconnect(DisconnectReason.SUBPROTOCOL_ERROR, "internal error")

    def _upon_response(self, response: Response) -> None:
        whole = self._requests.upon_response(response)
        if whole is not None:
            request_id, answer = whole
            future = self._answers.get(request_id)
            if future is not None and not future.done():
                future.set_result(answer)

    def _upon_request(self, request: Request) -> None:
        if not self.is_ready:
            raise PeerFault("a request before the status")
        if len(self._asked) >= ASKED_MAX:
            raise TooManyRequests(f"more than {ASKED_MAX} requests wait for an answer")
        self._asked.append(request)
        self._asked_changed.set()


class TooManyRequests(PeerFault):
    """A peer asks faster than it is answered."""


def _remote_address(writer: asyncio.StreamWriter) -> tuple[str, int]:
    name = writer.get_extra_info("peername")
    if not name:
        return "", 0
    return str(name[0]), int(name[1])
