"""Live updates: one rendering for all, bounded queues, and who was away is told what was missed."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from starlette.requests import ClientDisconnect, Request

from metanode.errors import InvalidInput
from sdk.testnet.services.web.live import ABSENCE_S, LiveHub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def ask(topics: str, last_event_id: str = "", *, peer: str = "127.0.0.1") -> Request:
    headers = [(b"last-event-id", last_event_id.encode())] if last_event_id else []
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/live",
        "client": (peer, 1),
        "query_string": f"topics={topics}".encode(),
        "headers": headers,
    }
    return Request(scope)


class Viewer:
    """A browser that reads a stream event by event."""

    def __init__(self, answer) -> None:
        self.answer = answer
        self.lines: AsyncIterator[bytes] = answer.body_iterator

    async def next(self) -> tuple[str, str, object]:
        while True:
            piece = (await anext(self.lines)).decode()
            if piece.startswith("event: "):
                name, event_id, data = (line.split(": ", 1)[1] for line in piece.strip().split("\n"))
                return name, event_id, json.loads(data)


async def view(hub: LiveHub, topics: str = "home", last_event_id: str = "") -> Viewer:
    answer = await hub.serve(ask(topics, last_event_id))
    assert answer.status_code == 200
    return Viewer(answer)


async def test_all_viewers_of_a_topic_get_the_same_event_and_others_do_not():
    hub = LiveHub(["home", "dashboard"])
    first, second = await view(hub), await view(hub, "home,dashboard")
    hub.publish("dashboard", {"verdict": "HEALTHY"})
    hub.publish("home", {"number": 7})

    assert (await first.next())[::2] == ("home", {"number": 7})
    assert (await second.next())[::2] == ("dashboard", {"verdict": "HEALTHY"})
    assert (await second.next())[::2] == ("home", {"number": 7})
    assert hub.watched("home")


async def test_who_reads_too_slowly_is_told_to_start_anew():
    hub = LiveHub(["home"], queue_events_max=3)
    viewer = await view(hub)
    for number in range(10):
        hub.publish("home", number)

    name, _, _ = await viewer.next()
    assert name == "resync"
    hub.publish("home", 10)
    assert (await viewer.next())[::2] == ("home", 10), "and goes on with what comes then"


async def test_who_was_away_for_a_moment_gets_what_came_meanwhile():
    hub = LiveHub(["home", "dashboard"])
    viewer = await view(hub)
    hub.publish("home", 1)
    _, seen, _ = await viewer.next()
    hub.publish("dashboard", 2)
    hub.publish("home", 3)

    again = await view(hub, last_event_id=seen)
    assert (await again.next())[::2] == ("home", 3)


@pytest.mark.parametrize("last", ["00000000-1", "nonsense", "{life}-x", "{life}-" + "9" * 30])
async def test_who_comes_from_an_earlier_life_of_the_service_starts_anew(last):
    hub = LiveHub(["home"])
    hub.publish("home", 1)

    viewer = await view(hub, last_event_id=last.replace("{life}", hub._life))
    assert (await viewer.next())[0] == "resync"


async def test_who_was_away_too_long_starts_anew():
    hub = LiveHub(["home"])
    for number in range(100):
        hub.publish("home", number)

    viewer = await view(hub, last_event_id=f"{hub._life}-2")
    assert (await viewer.next())[0] == "resync"


async def test_who_comes_back_after_everybody_went_gets_what_was_told_or_starts_anew():
    now_s = 1_000.0
    hub = LiveHub(["home", "pool"], monotonic_s=lambda: now_s)
    assert not hub.watched("home")
    assert not hub.watched()
    answer = await hub.serve(ask("home"))
    hub.publish("home", 1)
    _, seen, _ = await Viewer(answer).next()
    answer._forget()
    assert hub.client_count == 0

    now_s += ABSENCE_S - 1
    assert hub.watched("home"), "what happens now is still told, for who comes back"
    assert hub.watched()
    assert not hub.watched("pool")
    hub.publish("home", 2)
    hub.skip("pool")
    back = await hub.serve(ask("home", seen))
    assert (await Viewer(back).next())[::2] == ("home", 2), "what others missed is no matter of this topic"
    back._forget()

    now_s += ABSENCE_S + 1
    assert not hub.watched("home")
    assert not hub.watched()
    hub.skip("home")
    late = await view(hub, last_event_id=f"{hub._life}-2")
    assert (await late.next())[0] == "resync"
    hub.publish("home", 4)
    _, seen, data = await late.next()
    assert data == 4
    again = await view(hub, last_event_id=seen)
    hub.publish("home", 5)
    assert (await again.next())[::2] == ("home", 5), "only who comes from before the gap starts anew"


async def test_more_viewers_than_the_limit_are_told_to_poll():
    hub = LiveHub(["home"], clients_max=2)
    kept = [await view(hub), await view(hub)]
    refused = await hub.serve(ask("home"))

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert json.loads(refused.body)["code"] == "too_many_viewers"
    assert len(kept) == hub.client_count == 2


@pytest.mark.parametrize("topics", ["", "nothing", "home,nothing", "home,", "a," * 100])
async def test_a_topic_that_is_not_there_is_refused(topics):
    with pytest.raises(InvalidInput, match="topics: expected some of home"):
        await LiveHub(["home"]).serve(ask(topics))


async def test_a_viewer_that_goes_is_forgotten_also_before_the_first_byte():
    hub = LiveHub(["home"])
    viewer = await view(hub)

    async def receive():
        return {"type": "http.disconnect"}

    async def send(_):
        raise OSError("gone")

    with pytest.raises(ClientDisconnect):
        await viewer.answer({"type": "http", "asgi": {"spec_version": "2.4"}}, receive, send)
    assert hub.client_count == 0


async def test_a_closed_hub_ends_its_streams_at_once():
    hub = LiveHub(["home"], heartbeat_s=60)
    viewer = await view(hub)
    assert (await anext(viewer.lines)).startswith(b"retry")
    hub.close()
    async with asyncio.timeout(1):
        with pytest.raises(StopAsyncIteration):
            await anext(viewer.lines)


async def test_a_quiet_stream_says_that_it_is_there():
    hub = LiveHub(["home"], heartbeat_s=0.01)
    viewer = await view(hub)
    await anext(viewer.lines)

    assert await anext(viewer.lines) == b": still here\n\n"


async def test_one_address_has_so_many_streams_and_this_machine_as_many_as_there_are():
    hub = LiveHub(["home"], clients_of_one_max=2)
    streams = [await hub.serve(ask("home", peer="198.51.100.7")) for _ in range(3)]
    assert [answer.status_code for answer in streams] == [200, 200, 503]
    assert (await hub.serve(ask("home", peer="198.51.100.8"))).status_code == 200
    for _ in range(4):
        assert (await hub.serve(ask("home"))).status_code == 200

    async def receive():
        return {"type": "http.disconnect"}

    async def send(_):
        pass

    await streams[0]({"type": "http"}, receive, send)
    assert (await hub.serve(ask("home", peer="198.51.100.7"))).status_code == 200, "a place is free again"
