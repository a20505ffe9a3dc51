"""What tells browsers of news: one render for all who look, when a block is told; and it outlives whatever goes wrong with one picture."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from starlette.requests import Request
from structlog.testing import capture_logs

from metanode.errors import StorageFailed
from sdk.testnet.services.explorer import head
from sdk.testnet.services.heads import Heads
from sdk.testnet.services.web.live import LiveHub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

TOPICS = ("home", "blocks", "transactions", "pending", "dashboard")
VIEWERS = 200


class Pages:
    """Makes fragments; the first of a number fail, as a template does that divides by what a node said."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.rendered: list[str] = []

    def fragment(self, template: str, **_: Any) -> str:
        if self.failures:
            self.failures -= 1
            raise ZeroDivisionError(template)
        self.rendered.append(template)
        return template


class Index:
    """An index of a chain, and how often it was looked at."""

    def __init__(self) -> None:
        self.number = 1
        self.looks = 0
        self.node_answers = True
        self.failure: Exception | None = None

    async def look(self, _: Any) -> Any:
        self.looks += 1
        if self.failure is not None:
            raise self.failure
        return SimpleNamespace(number=self.number)

    async def chain_head(self) -> int | None:
        return self.number if self.node_answers else None


def shown(index: Index, *parts: str, folder: str = "") -> head.Shown:
    async def read(_: Any) -> dict[str, Any]:
        return {"model": SimpleNamespace(as_of=SimpleNamespace(block=index.number))}

    return head.Shown(parts=parts, read=read, folder=folder)


async def wait_until(condition: Callable[[], bool]) -> None:
    """Let the loop's other tasks run until it is so; no clock is in it, and the test's own time-out bounds it."""
    while not condition():
        await asyncio.sleep(0)


async def event_of(events: AsyncIterator[tuple[str, dict[str, Any]]]) -> tuple[str, dict[str, Any]]:
    """Return the next one that is news; that there is none for a while is another test's."""
    while True:
        name, data = await anext(events)
        if name != "away":
            return name, data


async def viewer(hub: LiveHub, topic: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Give the events of a stream."""
    scope = {
        "type": "http", "method": "GET", "path": "/live", "headers": [], "query_string": f"topics={topic}".encode(),
    }  # fmt: skip
    answer: Any = await hub.serve(Request(scope))
    async for piece in answer.body_iterator:
        lines = piece.decode().splitlines()
        if lines[0].startswith("event: "):
            yield lines[0].removeprefix("event: "), json.loads(lines[2].removeprefix("data: "))


@asynccontextmanager
async def running(teller: Any) -> AsyncIterator[asyncio.TaskGroup]:
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(teller.run(), name="teller")
        yield tasks
        task.cancel()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PACE_S", "RETRY_S", "ROUND_S"):
        monkeypatch.setattr(head, name, 0)


@pytest.mark.parametrize("topic", ["home", "dashboard"])
async def test_a_fragment_that_fails_is_logged_and_the_next_one_is_published(
    monkeypatch: pytest.MonkeyPatch, topic: str
) -> None:
    index, hub, pages, heads = Index(), LiveHub(TOPICS), Pages(failures=1), Heads()
    topics = {topic: shown(index, "tiles")}
    monkeypatch.setattr(head, "OF_BLOCKS", topics)
    parts: Any = SimpleNamespace(reading=index, heads=heads)
    given: dict[str, Any] = {"parts": parts, "pages": pages, "hub": hub}
    teller = head.HeadFollower(**given) if topic == "home" else head.RoundTeller(**given, topics=topics)
    events = viewer(hub, topic)
    with capture_logs() as entries:
        async with running(teller) as tasks:
            first = tasks.create_task(event_of(events))
            await wait_until(lambda: hub.client_count > 0)
            heads.tell(index.number)

            def next_block_is_told() -> bool:
                index.number += 1
                heads.tell(index.number)
                return not pages.failures

            await wait_until(next_block_is_told)
            index.number += 1
            heads.tell(index.number)
            name, data = await first
    assert (name, data["parts"]) == (topic, {"tiles": f"{topic}/tiles.html"})

    failed = [entry for entry in entries if entry["event"] == "explorer_live_failed"]
    assert [(entry["topic"], entry["log_level"]) for entry in failed] == [(topic, "error")]


async def test_who_looks_is_told_that_the_database_or_the_nodes_are_away_and_that_they_are_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index, hub, pages, heads = Index(), LiveHub(TOPICS), Pages(), Heads()
    monkeypatch.setattr(head, "OF_BLOCKS", {"home": shown(index, "lag")})
    parts: Any = SimpleNamespace(reading=index, heads=heads)
    events = viewer(hub, "home")
    async with running(head.HeadFollower(parts=parts, pages=pages, hub=hub)) as tasks:
        first = tasks.create_task(event_of(events))
        await wait_until(lambda: hub.client_count > 0)
        index.number += 1
        heads.tell(index.number)
        assert (await first)[0] == "home"

        index.failure = StorageFailed("the index's database at postgresql://u:secret@db says nothing")
        heads.tell(index.number)
        reason = "the database refused or did not answer"
        assert await anext(events) == ("away", {"topic": "home", "reason": reason})
        late = viewer(hub, "home")
        assert await anext(late) == ("away", {"topic": "home", "reason": reason}), "also who comes now"
        index.failure = None
        assert (await anext(events))[0] == "home", "back, without a new block"

        index.node_answers = False
        heads.tell(index.number)
        assert (await anext(events))[0] == "home", "the page says that no node answers, without a new block"
        index.node_answers = True
        heads.tell(index.number)
        assert (await anext(events))[0] == "home"


async def test_a_block_that_is_told_is_rendered_once_for_all_who_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index, hub, pages, heads = Index(), LiveHub(TOPICS), Pages(), Heads()
    # The indexer is in this process: nobody has to look by himself.
    heads.is_local = True
    monkeypatch.setattr(
        head,
        "OF_BLOCKS",
        {topic: shown(index, "list", "lag") for topic in ("home", "blocks", "transactions")},
    )
    parts: Any = SimpleNamespace(reading=index, heads=heads)
    viewers = [viewer(hub, "blocks") for _ in range(VIEWERS)]
    async with running(head.HeadFollower(parts=parts, pages=pages, hub=hub)) as tasks:
        for number in (2, 3, 4):
            waiting = [tasks.create_task(event_of(one)) for one in viewers]
            await wait_until(lambda: hub.client_count >= VIEWERS)
            index.number = number
            heads.tell(number)
            told = [await one for one in waiting]
            # The first look may have found the second block before it was told.
            assert [event for _, event in told] == [told[0][1]] * VIEWERS
            assert told[0][1]["number"] == number

    assert pages.rendered == ["blocks/list.html", "blocks/lag.html"] * 3, (
        "and what nobody sees is not rendered"
    )
    assert index.looks <= 1 + 3, "nothing asks the index again and again"


async def test_a_pool_and_a_monitor_are_shown_again_and_again_while_somebody_looks() -> None:
    index, hub, pages = Index(), LiveHub(TOPICS), Pages()
    parts: Any = SimpleNamespace(reading=index, heads=Heads())
    topics = {"pending": shown(index, "list"), "dashboard": shown(index, "tiles", folder="elsewhere")}
    events = viewer(hub, "dashboard")
    async with running(head.RoundTeller(parts=parts, pages=pages, hub=hub, topics=topics)) as tasks:
        waiting = tasks.create_task(event_of(events))
        assert (await waiting)[1]["parts"] == {"tiles": "elsewhere/tiles.html"}
        assert (await anext(events))[0] == "dashboard"

    assert set(pages.rendered) == {"elsewhere/tiles.html"}, "nobody looks at the pool"


class Monitor:
    """Sees what it is told."""

    def __init__(self) -> None:
        self.head = 1
        self.verdict = SimpleNamespace(verdict="HEALTHY")
        self.alerts: list[Any] = []
        self.events: list[Any] = []
        self.limits = SimpleNamespace(block_time_s=10.0)
        self.asked = 0

    def __getattribute__(self, name: str) -> Any:
        if name == "head":
            self.asked += 1
        return object.__getattribute__(self, name)


async def test_the_dashboard_is_rendered_once_for_a_block_and_when_its_verdict_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(head, "LOOK_S", 0)
    index, hub, pages, monitor, now_s = Index(), LiveHub(TOPICS), Pages(), Monitor(), 1_000.0
    parts: Any = SimpleNamespace(monitor=monitor)
    topics = {"dashboard": shown(index, "tiles")}
    viewers = [viewer(hub, "dashboard") for _ in range(VIEWERS)]
    alert = SimpleNamespace(name="Late", subject="v", severity="warning")
    teller = head.MonitorTeller(parts=parts, pages=pages, hub=hub, topics=topics, monotonic_s=lambda: now_s)

    async def wait_for_looks() -> None:
        before = monitor.asked
        await wait_until(lambda: monitor.asked >= before + 20)

    async with running(teller) as tasks:

        def listen() -> list[asyncio.Task[tuple[str, dict[str, Any]]]]:
            return [tasks.create_task(event_of(one)) for one in viewers]

        waiting = listen()
        await wait_until(lambda: hub.client_count >= VIEWERS)
        # Somebody may have been told before the last one came.
        for change in (
            lambda: setattr(monitor, "head", 2),
            lambda: setattr(monitor, "head", 3),
            lambda: setattr(monitor.verdict, "verdict", "SLOW"),
            lambda: monitor.alerts.append(alert),
        ):
            change()
            index.number += 1
            told = [await one for one in waiting]
            assert {event["number"] for _, event in told} <= {index.number, 1}
            waiting = listen()
            await wait_for_looks()
        rendered = len(pages.rendered)
        assert rendered <= 5, "many looks, and a render for each change"

        # No block comes for two blocks' time: those who look are told of the validators all the same.
        now_s += 19
        await wait_for_looks()
        assert len(pages.rendered) == rendered
        now_s += 1
        for one in waiting:
            await one
        await wait_for_looks()
        assert len(pages.rendered) == rendered + 1


async def test_a_dashboard_that_could_not_be_made_is_made_at_the_next_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(head, "LOOK_S", 0)
    index, hub, pages, monitor = Index(), LiveHub(TOPICS), Pages(failures=2), Monitor()
    parts: Any = SimpleNamespace(monitor=monitor)
    topics = {"dashboard": shown(index, "tiles")}
    events = viewer(hub, "dashboard")
    with capture_logs() as entries:
        async with running(head.MonitorTeller(parts=parts, pages=pages, hub=hub, topics=topics)):
            assert (await event_of(events))[0] == "dashboard"

    failed = [entry["event"] for entry in entries if entry["log_level"] == "error"]
    assert failed == ["explorer_live_failed"] * 2


async def test_a_block_whose_page_could_not_be_made_is_shown_before_the_next_block_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index, hub, pages, heads = Index(), LiveHub(TOPICS), Pages(failures=1), Heads()
    monkeypatch.setattr(head, "OF_BLOCKS", {"home": shown(index, "tiles")})
    parts: Any = SimpleNamespace(reading=index, heads=heads)
    events = viewer(hub, "home")
    with capture_logs():
        async with running(head.HeadFollower(parts=parts, pages=pages, hub=hub)):
            name, data = await event_of(events)
    assert (name, data["number"], index.number) == ("home", 1, 1)


def test_what_is_live_has_a_template_for_each_part() -> None:
    templates = Path(head.__file__).with_name("templates")
    for topics in (head.OF_BLOCKS, head.OF_POOL, head.OF_MONITOR):
        for topic, page in topics.items():
            for part in page.parts:
                assert (templates / (page.folder or topic) / f"{part}.html").is_file(), (topic, part)
