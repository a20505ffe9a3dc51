"""Streams are told every block once and in order, or told to load again; and those who tell are woken."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.requests import Request
from tests.unit.services.told_chain import ToldChain, write_chain

from metanode.errors import InvalidInput
from sdk.testnet.services.api import ApiConfig, events, make_app, watching
from sdk.testnet.services.heads import Heads
from sdk.testnet.services.store.store import Store
from sdk.testnet.services.web import live

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.responses import Response

    from sdk.testnet.services.api.parts import Parts

HEAD = 40


class Hub:
    """Notes what is published."""

    def __init__(self, clients: int = 1) -> None:
        self.client_count = clients
        self.told: list[Any] = []
        self.resynced = asyncio.Event()

    def watched(self) -> bool:
        return self.client_count > 0

    def publish(self, topic: str, data: Any) -> None:
        self.told.append(data["number"] if topic == "block" else topic)

    def resync(self) -> None:
        self.told.append("resync")
        self.resynced.set()


@pytest.fixture
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('events')}/index.db")
    write_chain(store, ToldChain(head=HEAD, transactions=0))
    node: Any = None
    app = make_app(
        store=store, node=node, config=ApiConfig(network_name="any", chain_id=1, public_url="http://any")
    )
    app.state.parts.hub = Hub()
    yield app.state.parts
    store.close()


async def test_blocks_that_came_together_are_told_in_steps_that_clients_take(parts: Parts) -> None:
    hub: Any = parts.hub
    seen: int | None = 3
    steps = []
    is_more = True
    while is_more:
        before = len(hub.told)
        seen, is_more = await events._tell(parts, seen)
        steps.append(len(hub.told) - before)

    assert hub.told == list(range(4, HEAD + 1))
    assert max(steps) <= events.STEP_BLOCKS
    assert seen == HEAD


async def test_after_a_long_silence_everybody_loads_again(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "BEHIND_BLOCKS_MAX", 10)
    hub: Any = parts.hub

    assert await events._tell(parts, 3) == (HEAD, False)
    assert hub.told == ["resync"]


async def test_who_comes_first_begins_with_the_next_block(parts: Parts) -> None:
    hub: Any = parts.hub

    assert await events._tell(parts, None) == (HEAD, False)
    assert await events._tell(parts, HEAD) == (HEAD, False)
    assert hub.told == []


async def test_telling_goes_on_whatever_one_look_met(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LOOK_EVERY_S", 0.001)
    looks: list[int | None] = []
    again = asyncio.Event()

    async def look(_: Any, seen: int | None) -> tuple[int | None, bool]:
        looks.append(seen)
        if len(looks) == 1:
            raise KeyError("nobody expected this")
        again.set()
        return HEAD, False

    monkeypatch.setattr(events, "_tell", look)
    async with asyncio.timeout(20):
        telling = asyncio.create_task(events.tell_events(parts))
        await again.wait()
        telling.cancel()
        await asyncio.wait([telling])


async def test_nobody_looks_for_nobody(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LOOK_EVERY_S", 0.001)
    looks: list[int | None] = []
    asked, enough = [], asyncio.Event()

    class Idle(Hub):
        def watched(self) -> bool:
            asked.append(1)
            if len(asked) == 5:
                enough.set()
            return False

    async def look(_: Any, seen: int | None) -> tuple[int | None, bool]:
        looks.append(seen)
        return seen, False

    monkeypatch.setattr(events, "_tell", look)
    idle: Any = Idle()
    parts.hub = idle
    async with asyncio.timeout(20):
        telling = asyncio.create_task(events.tell_events(parts))
        await enough.wait()
        telling.cancel()
        await asyncio.wait([telling])

    assert looks == []


async def test_a_block_that_is_told_wakes_all_who_wait() -> None:
    heads = Heads()
    heads.is_local = True
    waiting = [asyncio.create_task(heads.wait(60)) for _ in range(3)]
    await asyncio.sleep(0)
    heads.tell(7)
    async with asyncio.timeout(4):
        await asyncio.wait(waiting)
        # What was told while nobody waited is not missed.
        await heads.wait(60, since=0)
    assert heads.told == 1
    async with asyncio.timeout(20):
        # Nobody may tell here, so it looks by itself.
        await Heads().wait(0.001)


async def published(parts: Parts, teller: Any, count: int) -> list[tuple[str, Any]]:
    """What a teller publishes first."""
    told: list[tuple[str, Any]] = []
    enough = asyncio.Event()

    class Told(Hub):
        def publish(self, topic: str, data: Any) -> None:
            told.append((topic, data))
            if len(told) == count:
                enough.set()

    hub: Any = Told()
    parts.hub = hub
    async with asyncio.timeout(60):
        telling = asyncio.create_task(teller(parts))
        await enough.wait()
        telling.cancel()
        await asyncio.wait([telling])
    return told


async def test_alerts_are_told_when_they_begin_worsen_and_end(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "ALERTS_EVERY_S", 0.001)
    monkeypatch.setattr(watching, "RETRY_S", 0.001)
    one, worse = (
        {"name": "Late", "subject": "v", "severity": how, "text": "1 s"} for how in ("warning", "critical")
    )
    old = {"name": "Old", "subject": "v", "severity": "warning", "text": ""}
    # What fires when somebody comes is no news, nor is a text that changes; a look that fails tells nothing.
    looks = iter(
        [
            [old],
            [old, one],
            KeyError("nobody expected this"),
            [old, one | {"text": "2 s"}],
            [old, worse],
            [old],
        ]
    )

    def alerts() -> Any:
        found = next(looks, [old])
        if isinstance(found, Exception):
            raise found
        return found

    told = await published(parts, lambda parts: watching.tell_alerts(parts, alerts), 3)

    assert [(topic, data["state"], data["name"], data["severity"]) for topic, data in told] == [
        ("alert", "firing", "Late", "warning"),
        ("alert", "firing", "Late", "critical"),
        ("alert", "resolved", "Late", "critical"),
    ]


async def test_claims_are_told_when_they_are_new_and_as_they_go(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "CLAIMS_EVERY_S", 0.001)

    def claim(name: str | None, state: str) -> dict[str, Any]:
        return {"id": name, "state": state}

    # The newest first, as the faucet lists them; what an operator pays has no claim.
    looks = iter([
        [claim("a", "final")],
        [claim("c", "queued"), claim("b", "queued"), claim(None, "queued"), claim("a", "final")],
        [claim("c", "queued"), claim("b", "final"), claim("a", "final")],
    ])  # fmt: skip
    last = [claim("c", "queued")]

    async def payouts() -> Any:
        return next(looks, last)

    told = await published(parts, lambda parts: watching.tell_claims(parts, payouts), 3)

    assert [(topic, data["id"], data["state"]) for topic, data in told] == [
        ("claim", "b", "queued"), ("claim", "c", "queued"), ("claim", "b", "final"),
    ]  # fmt: skip


async def test_a_block_is_told_with_its_first_transactions(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "TRANSACTIONS_MAX", 3)
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('transactions')}/index.db")
    write_chain(store, ToldChain(head=4, transactions=5))
    node: Any = None
    app = make_app(
        store=store, node=node, config=ApiConfig(network_name="any", chain_id=1, public_url="http://any")
    )
    told: list[tuple[str, Any]] = []
    hub: Any = Hub()
    hub.publish = lambda topic, data: told.append((topic, data))
    app.state.parts.hub = hub

    assert await events._tell(app.state.parts, 2) == (4, False)

    assert [(topic, data.get("number", data.get("block"))) for topic, data in told] == [
        ("block", 3), ("tx", 3), ("block", 4), ("tx", 4),
    ]  # fmt: skip
    assert told[3][1]["total"] == 5
    assert [one["index"] for one in told[3][1]["items"]] == [0, 1, 2]
    store.close()


async def test_telling_stops_with_a_word_to_who_may_come_back(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LOOK_EVERY_S", 0.001)
    hub: Any = parts.hub

    async def look(*_: Any) -> tuple[int | None, bool]:
        hub.client_count = 0
        return HEAD, False

    monkeypatch.setattr(events, "_tell", look)
    async with asyncio.timeout(20):
        telling = asyncio.create_task(events.tell_events(parts))
        await hub.resynced.wait()
        telling.cancel()
        await asyncio.wait([telling])

    assert hub.told == ["resync"]


@pytest.mark.parametrize(
    ("topic", "status"),
    [
        ("alert", 503),
        ("claim", 404),
        ("claim:aa", 404),
        ("nonsense", 400),
        ("block:aa", 400),
        ("nonsense:aa", 400),
        ("block:", 400),
    ],
)
async def test_a_topic_that_nobody_tells_is_refused(parts: Parts, topic: str, status: int) -> None:
    app = make_app(store=parts.store, node=parts.node, config=parts.config)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://any") as http:
        refused = await http.get(f"/api/v1/events?topics=block,{topic}")

    assert refused.status_code == status


async def read(response: Response, count: int) -> list[tuple[str, Any]]:
    """The next events of a stream."""
    found: list[tuple[str, Any]] = []
    async for chunk in response.body_iterator:  # type: ignore[attr-defined]
        event, _, data = chunk.decode().strip().partition("\n")
        if event.startswith("event: "):
            found.append((event.removeprefix("event: "), json.loads(data.partition("data: ")[2])))
        if len(found) == count:
            break
    return found


def listening(topics: str, last_event_id: str = "") -> Request:
    headers = [(b"last-event-id", last_event_id.encode())] if last_event_id else []
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": f"topics={topics}".encode(),
                    "headers": headers, "client": ("127.0.0.1", 1)})  # fmt: skip


async def test_who_asks_for_one_claim_hears_of_that_alone_also_when_it_comes_back(parts: Parts) -> None:
    app = make_app(store=parts.store, node=parts.node, config=parts.config)
    hub = app.state.parts.hub
    one, all_of_them = await hub.serve(listening("round,claim:b")), await hub.serve(listening("claim"))
    assert hub.watched("claim")

    for name, state in (("a", "queued"), ("b", "queued"), ("bb", "queued"), ("b", "final")):
        hub.publish("claim", {"id": name, "state": state})
    hub.publish("round", {"number": 1})

    async with asyncio.timeout(20):
        assert await read(one, 3) == [
            ("claim", {"id": "b", "state": "queued"}),
            ("claim", {"id": "b", "state": "final"}),
            ("round", {"number": 1}),
        ]
        assert len(await read(all_of_them, 4)) == 4
        again = await hub.serve(listening("claim:b", f"{hub._life}-2"))
        assert await read(again, 1) == [("claim", {"id": "b", "state": "final"})]


@pytest.mark.parametrize("topics", ["claim:", "block:a", ":a", "claim:a,nonsense"])
async def test_a_part_of_a_topic_that_has_none_is_refused_by_name(parts: Parts, topics: str) -> None:
    app = make_app(store=parts.store, node=parts.node, config=parts.config)

    with pytest.raises(InvalidInput, match=r"topics: expected some of alert, block, claim, claim:ID, round"):
        await app.state.parts.hub.serve(listening(topics))


async def test_a_served_api_tells_what_its_monitor_and_its_faucet_have(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "ALERTS_EVERY_S", 0.001)
    monkeypatch.setattr(watching, "CLAIMS_EVERY_S", 0.001)
    asked = 0

    class Alert:
        def to_dict(self) -> dict[str, Any]:
            return dict.fromkeys(("name", "subject", "severity", "text", "impact", "runbook_url"), "any") | {
                "since": 1_700_000_000.0, "resolved_at": None, "is_event": False,
            }  # fmt: skip

    class Watching:
        events: tuple[Alert, ...] = ()

        @property
        def alerts(self) -> list[Alert]:
            return [Alert()] if asked > 1 else []

        def get_dashboard_data(self) -> dict[str, Any]:
            return {}

    async def payouts() -> list[dict[str, Any]]:
        nonlocal asked
        asked += 1
        return [{"id": f"{asked}", "state": "queued"}]

    app = make_app(
        store=parts.store, node=parts.node, config=parts.config, monitor=Watching(), payouts=payouts
    )
    client: Any = live._Client(frozenset({"alert", "claim"}))
    app.state.parts.hub._clients.add(client)
    async with asyncio.timeout(60), app.router.lifespan_context(app):
        seen: set[bytes] = set()
        while seen != {b"event: alert", b"event: claim"}:
            await client.wake.wait()
            client.wake.clear()
            seen |= {event.partition(b"\n")[0] for event in client.queue}
            client.queue.clear()
