"""Tells browsers what is new: server-sent events, rendered once and sent to all as the same bytes.

Each topic has one producer. A client that reads slower than it is told gets no longer queue: what waits for it is dropped, and it is told to load
its page again (`resync`). Clients over the cap are answered 503, and their pages ask every five seconds instead. What nobody listens to need not be
made; who loses a connection and comes back gets what was told meanwhile, or is told to load again. All of it lives on one event loop: the hub's
state changes without await between reading and acting.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.responses import StreamingResponse

from metanode.errors import InvalidInput
from sdk.testnet.services.web.clients import Clients
from sdk.testnet.services.web.problems import Problem, problem_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

CLIENTS_MAX: Final = 2_000
"""Twice what we promise to serve; a socket and some kilobytes each."""
CLIENTS_OF_ONE_MAX: Final = 32
"""Of one IPv4 address or IPv6 /64: a browser has one for all its tabs, and a class has one address."""
QUEUE_EVENTS_MAX: Final = 16
"""Half a minute of blocks; who is behind further is told to start anew."""
REPLAY_EVENTS_MAX: Final = 64
"""Events that a client that was away for a moment still gets, two minutes of blocks."""
HEARTBEAT_S: Final = 15.0
"""A comment this often keeps proxies from closing the stream, and finds clients that are gone."""
RETRY_MS: Final = 3_000
ABSENCE_S: Final = 15.0
"""After the last listener has gone it is told on for so long: who lost a connection comes back in three seconds, and gets what was missed."""
TOPICS_MAX: Final = 8
"""Topics that one client asks for."""
HEADERS: Final = {
    "cache-control": "no-store",
    "x-accel-buffering": "no",
}


@dataclass(slots=True, eq=False)
class _Client:
    topics: frozenset[str]
    """Names, or `name:of` for the events of one thing only."""
    who: Hashable = None
    """Whom it is counted by; None of who is not."""
    queue: deque[bytes] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    is_behind: bool = False

    def listens(self, topic: str, of: str | None = None) -> bool:
        """Whether an event of this topic, about this thing, is for it."""
        return topic in self.topics or (of is not None and f"{topic}:{of}" in self.topics)

    def names(self) -> frozenset[str]:
        """Its topics, whatever of them it wants."""
        return frozenset(topic.partition(":")[0] for topic in self.topics)


class LiveHub:
    """The open streams of one site. Owned by the event loop that serves it."""

    def __init__(
        self,
        topics: Iterable[str],
        *,
        fields: Mapping[str, str] | None = None,
        clients_max: int = CLIENTS_MAX,
        queue_events_max: int = QUEUE_EVENTS_MAX,
        heartbeat_s: float = HEARTBEAT_S,
        visitors: Clients | None = None,
        clients_of_one_max: int = CLIENTS_OF_ONE_MAX,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics = frozenset(topics)
        self._fields = dict(fields or {})
        """By topic, the field of its events that says what they are of: who asks for `topic:value` hears of that alone."""
        self._clients: set[_Client] = set()
        self._clients_max = clients_max
        self._queue_events_max = queue_events_max
        self._heartbeat_s = heartbeat_s
        self._visitors = visitors or Clients()
        self._clients_of_one_max = clients_of_one_max
        self._open_by_one: Counter[Hashable] = Counter()
        self._life = secrets.token_hex(4)
        self._sequence = 0
        self._recent: deque[tuple[int, str, str | None, bytes]] = deque(maxlen=REPLAY_EVENTS_MAX)
        self._monotonic_s = monotonic_s
        self._left_s: dict[str, float] = {}
        """When somebody who listened to a topic went last."""
        self._skipped: dict[str, int] = {}
        """The newest event of a topic that was never made."""
        self._away: dict[str, str] = {}
        """Why nothing can be told of a topic now."""
        self._is_closed = False

    @property
    def client_count(self) -> int:
        """How many streams are open."""
        return len(self._clients)

    def watched(self, topic: str | None = None) -> bool:
        """Tell whether anybody listens to a topic, or to any, or has until a moment ago: what nobody sees need not be made."""
        if any(topic is None or topic in client.names() for client in self._clients):
            return True
        left_s = max(self._left_s.values(), default=None) if topic is None else self._left_s.get(topic)
        return left_s is not None and self._monotonic_s() - left_s <= ABSENCE_S

    def skip(self, topic: str) -> None:
        """Note that something new was not made, for nobody listens: who comes back from before has to load again."""
        assert topic in self._topics, topic
        self._sequence += 1
        self._skipped[topic] = self._sequence

    def away(self, topic: str, reason: str) -> None:
        """Tell who listens to a topic, now or until the next event of it, that nothing can be told, and why: what they show is not live."""
        assert topic in self._topics, topic
        if self._away.get(topic) != reason:
            self._away[topic] = reason
            for client in self._clients:
                if topic in client.names():
                    self._put(client, self._away_event(topic))

    def _away_event(self, topic: str) -> bytes:
        # It is no news of the topic: who comes back asks for what follows the newest of those.
        data = orjson.dumps({"topic": topic, "reason": self._away[topic]})
        return _event("away", data, f"{self._life}-{self._sequence}")

    def publish(self, topic: str, data: Any) -> None:
        """Send a JSON value to everybody who listens to a topic; the browser gets it as an event of the topic's name."""
        assert topic in self._topics, topic
        self._away.pop(topic, None)
        self._sequence += 1
        event = _event(topic, orjson.dumps(data), f"{self._life}-{self._sequence}")
        of = str(data[self._fields[topic]]) if topic in self._fields else None
        self._recent.append((self._sequence, topic, of, event))
        for client in self._clients:
            if client.listens(topic, of):
                self._put(client, event)

    def resync(self) -> None:
        """Tell everybody to load what they show again: something was left out."""
        self._sequence += 1
        self._recent.clear()
        for client in self._clients:
            client.is_behind = True
            client.wake.set()

    def close(self) -> None:
        """End all streams, and take no new ones: browsers come back to the next process."""
        self._is_closed = True
        for client in self._clients:
            client.wake.set()

    async def serve(self, request: Request) -> Response:
        """Answer `GET /live?topics=a,b`; raises InvalidInput for a topic that is not there."""
        asked = request.query_params.get("topics", "")
        topics = frozenset(asked.split(",")[:TOPICS_MAX]) if asked else frozenset()
        if not topics or not all(self._is_told(topic) for topic in topics):
            known = sorted(self._topics | {f"{name}:{field.upper()}" for name, field in self._fields.items()})
            raise InvalidInput(f"topics: expected some of {', '.join(known)}; found {asked!r:.100}")
        who = self._visitors.stranger_of(request)
        is_full = len(self._clients) >= self._clients_max
        if (
            self._is_closed
            or is_full
            or (who is not None and self._open_by_one[who] >= self._clients_of_one_max)
        ):
            limit = f"{self._clients_max}" if is_full else f"{self._clients_of_one_max} of one address"
            full = Problem(
                status=503,
                title="Too many viewers",
                detail=f"{limit} live views are open, which is the limit; the page goes on by asking every few seconds",
                code="too_many_viewers",
                retry_after_s=5,
            )
            return problem_json(request, full)
        client = _Client(topics, who)
        self._catch_up(client, request.headers.get("last-event-id", ""))
        for topic in sorted(self._away.keys() & client.names()):
            self._put(client, self._away_event(topic))
        # Counted from here on, not from the first byte: many may come at once.
        self._clients.add(client)
        self._open_by_one[who] += 1
        return _LiveResponse(self._stream(client), forget=lambda: self._forget(client))

    def _is_told(self, topic: str) -> bool:
        name, colon, of = topic.partition(":")
        return name in self._topics and (not colon or (name in self._fields and bool(of)))

    def _forget(self, client: _Client) -> None:
        if client in self._clients:
            self._clients.discard(client)
            self._open_by_one[client.who] -= 1
            if not self._open_by_one[client.who]:
                del self._open_by_one[client.who]
            self._left_s |= dict.fromkeys(client.names(), self._monotonic_s())

    async def _stream(self, client: _Client) -> AsyncIterator[bytes]:
        yield f"retry: {RETRY_MS}\n\n".encode()
        while not self._is_closed:
            if client.is_behind:
                client.is_behind = False
                client.queue.clear()
                yield self._resync()
            while client.queue:
                yield client.queue.popleft()
            client.wake.clear()
            try:
                async with asyncio.timeout(self._heartbeat_s):
                    await client.wake.wait()
            except TimeoutError:
                yield b": still here\n\n"

    def _catch_up(self, client: _Client, last_event_id: str) -> None:
        """Queue what a client that comes back has missed, or tell it to start anew."""
        if not last_event_id:
            return
        life, _, number = last_event_id.partition("-")
        if life != self._life or not number.isdecimal() or len(number) > 18:
            client.is_behind = True
            return
        seen = int(number)
        is_skipped = any(self._skipped.get(topic, 0) > seen for topic in client.names())
        if is_skipped or seen + 1 < (self._recent[0][0] if self._recent else self._sequence + 1):
            client.is_behind = True
            return
        for sequence, topic, of, event in self._recent:
            if sequence > seen and client.listens(topic, of):
                self._put(client, event)

    def _put(self, client: _Client, event: bytes) -> None:
        if len(client.queue) >= self._queue_events_max:
            client.is_behind = True
        else:
            client.queue.append(event)
        client.wake.set()

    def _resync(self) -> bytes:
        return _event("resync", b"{}", f"{self._life}-{self._sequence}")


class _LiveResponse(StreamingResponse):
    """A stream that forgets its client however it ends, also when it never began."""

    def __init__(self, content: AsyncIterator[bytes], *, forget: Any) -> None:
        super().__init__(content, media_type="text/event-stream", headers=HEADERS)
        self._forget = forget

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._forget()


def _event(name: str, data: bytes, event_id: str) -> bytes:
    # JSON of orjson has no line breaks, so one data line holds it.
    return b"event: " + name.encode() + b"\nid: " + event_id.encode() + b"\ndata: " + data + b"\n\n"
